"""Train a run: every fold of a split, then the final network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import pandas as pd

from leukoscope.catalogue import read_catalogue, select_usable
from leukoscope.datasets.kaggle import find_data
from leukoscope.datasets.reader import ReadOptions
from leukoscope.inference.decision import (
    average_by_subject,
    calibrate,
    decide_by_part,
    fit_decision,
)
from leukoscope.io.runs import FINAL, Run, create_run, write_table
from leukoscope.predictions import write_predictions
from leukoscope.settings import Recipe, read_recipe
from leukoscope.splits import Split, make_split
from leukoscope.training.augment import find_effects
from leukoscope.training.describe import (
    compute_expected,
    describe_cells,
    describe_run,
    describe_subjects,
    tell_time,
)
from leukoscope.training.parts import Work, predict_part, read_features, train_part

if TYPE_CHECKING:
    from leukoscope.training.loop import EpochReport

__all__ = ["TrainingRequest", "read_features", "train_run"]


@dataclasses.dataclass(frozen=True)
class TrainingRequest:
    """Arguments of `leukoscope train`.

    Attributes:
        data: a folder, a zip, or "kaggle".
        out: folder of the run.
        recipe: name, TOML file, or a recipe.
        split: name, as in `split.SPLITS`, or leave-one-group-out:COLUMN.
        options: how to read the data: labels, subjects, classes, frame.
        folds: number of folds, for splits that take one.
        seed: of split, weights, order and augmentation.
        final: also train the final network, on all cells.
        resume: continue an existing run.
        turns: rotations at which cells are compared to join people, as in `data audit`.
        groups_csv: which subjects are one person; overrides the links between cells.
    """

    data: str | Path
    out: Path
    recipe: str | Path | Recipe = "texture"
    split: str = "group-kfold"
    options: ReadOptions = ReadOptions()  # noqa: RUF009 (frozen)
    folds: int = 5
    seed: int = 0
    final: bool = True
    resume: bool = False
    turns: int = 1
    groups_csv: Path | None = None


def train_run(
    request: TrainingRequest,
    *,
    on_decode: Callable[[int, int], None] | None = None,
    on_link: Callable[[int, int], None] | None = None,
    on_groups: Callable[[str], None] | None = None,
    on_features: Callable[[int, int], None] | None = None,
    on_part: Callable[[str, int, int], None] | None = None,
    on_step: Callable[[EpochReport], None] | None = None,
) -> Run:
    """Train and predict every fold of a split, then train the final network.

    Args:
        request: the arguments.
        on_decode: called with (done, total) while images are decoded.
        on_link: called while cells are compared.
        on_groups: called with each sentence on what a file of groups overrides.
        on_features: called while the features of a frozen recipe are computed.
        on_part: called with (name, number, count) before each network is trained.
        on_step: called after each training step.

    Returns:
        The finished run.

    Raises:
        LeukoscopeError: anything wrong with the data, the recipe, the split or the folder.
    """
    recipe, data = read_recipe(request.recipe), find_data(request.data)
    from leukoscope.models import build_model  # after what can fail at once: it loads TensorFlow

    build_model(recipe.model)  # fails now, where an extra or an architecture is missing
    find_effects(recipe.augment)
    catalogue = read_catalogue(
        data,
        request.options,
        groups_csv=request.groups_csv,
        turns=request.turns,
        on_decode=on_decode,
        on_link=on_link,
    )
    table = select_usable(catalogue)
    split = make_split(
        table, request.split, folds=request.folds, seed=request.seed, spec=catalogue.spec
    )
    record = describe_run(recipe, catalogue, table, split, request.seed)
    if on_groups and record.group_overrides:
        for sentence in record.group_overrides.overruled:
            on_groups(f"{catalogue.groups_csv}: {sentence}")
    run = create_run(request.out, record, resume=request.resume)
    write_table(run.cells, describe_cells(table, split))
    inputs: npt.NDArray[Any] = catalogue.crops
    if recipe.training.freeze_backbone:
        inputs = read_features(recipe, catalogue, on_features)
    work = Work(run, recipe, catalogue.spec, catalogue.crops, inputs, request.seed, on_step)
    names = [fold.name for fold in split.folds]
    count = len(names) + request.final
    for number, fold in enumerate(split.folds, start=1):
        if on_part:
            on_part(fold.name, number, count)
        cells = table.loc[fold.training]
        train_part(work, fold.name, cells)
        predict_part(work, catalogue, cells, fold)
    outputs = _gather_predictions(run, split)
    _gather_histories(run, names)
    if request.final:
        if on_part:
            on_part(FINAL, count, count)
        decision = fit_decision(outputs)
        calibrated = outputs.assign(probability=calibrate(outputs["probability"], decision))
        expected = compute_expected(run, split)
        subjects = describe_subjects(run, calibrated)
        train_part(work, FINAL, table, decision, expected, subjects)
        names.append(FINAL)
    _gather_histories(run, names)
    run.write_record(dataclasses.replace(run.read_record(), finished=tell_time()))
    return run


def _gather_predictions(run: Run, split: Split) -> pd.DataFrame:
    """The folds' outputs → the run's calibrated table; returns the raw outputs.

    Probability, calibration and thresholds of a cell never depend on its own fold.
    """
    text = dict.fromkeys(("image", "subject", "group", "part", "pixel_hash"), str)
    found = [
        pd.read_csv(run.find_part(fold.name).outputs, dtype=text, keep_default_na=False)
        for fold in split.folds
    ]
    outputs = pd.concat(found, ignore_index=True).assign(split=split.name)
    decided, size = decide_by_part(outputs), decide_by_part(outputs, "area_probability")
    context = decide_by_part(outputs.assign(probability=average_by_subject(outputs)))
    write_predictions(
        outputs.assign(
            output=outputs["probability"],
            **decided,
            area_probability=size["probability"],
            area_threshold=size["threshold"],
            context_probability=context["probability"],
            context_threshold=context["threshold"],
        ),
        run.predictions,
    )
    return outputs


def _gather_histories(run: Run, names: list[str]) -> None:
    """The networks' histories → one table."""
    found = [pd.read_csv(run.find_part(name).history).assign(part=name) for name in names]
    write_table(run.history, pd.concat(found))
