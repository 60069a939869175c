"""Train a run: every fold of a split, then the network that is to be used."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from leukoscope import __version__
from leukoscope.catalogue import Catalogue, compute_fingerprint, read_catalogue, select_usable
from leukoscope.catalogue.fetch import find_data
from leukoscope.decide import (
    Decision,
    average_by_subject,
    calibrate,
    decide_by_part,
    fit_decision,
)
from leukoscope.errors import ModelError
from leukoscope.files import move_into_place
from leukoscope.labels import LABELS
from leukoscope.notices import find_banner
from leukoscope.novelty import Novelty, fit_novelty
from leukoscope.pixels import CROP_PX, UInt8Array
from leukoscope.predictions import read_answers, read_predictions, write_predictions
from leukoscope.runs import FINAL, Part, Run, create_run, write_json, write_table
from leukoscope.settings import Recipe, read_recipe
from leukoscope.split import Fold, Split, choose_stopping, find_seen, make_split

if TYPE_CHECKING:
    from leukoscope.train import EpochReport

__all__ = ["TrainingRequest", "read_features", "train_run"]

_PACKAGES = ("keras", "tensorflow-cpu", "tensorflow", "jax", "torch", "tf2onnx", "onnxruntime")
_EXPECTED = ("weighted_f1", "roc_auc", "sensitivity", "specificity", "balanced_accuracy", "ece")
_FEATURES_FORMAT = 1
_CHUNK = 512  # crops in memory at a time
_COMPARED = 256  # cells on which an export must answer as Keras does
_LEARNED = 2000  # training cells from which novelty is learnt, where features are not at hand


@dataclasses.dataclass(frozen=True)
class TrainingRequest:
    """What `leukoscope train` is asked for.

    Attributes:
        data: a folder, a zip, or "kaggle".
        out: folder of the run.
        recipe: name or TOML file.
        split: name, as in `split.SPLITS`, or column:NAME.
        labels_csv: labels and subjects of the images.
        folds: how many, where the split has a choice.
        seed: of split, weights, order and augmentation.
        final: also train the network that is to be used, on all cells.
        resume: go on with the run that is there.
        turns: rotations at which cells are compared to join people, as in `data check`.
        groups_csv: which subjects are one person, in place of what the links between cells say.
    """

    data: str | Path
    out: Path
    recipe: str | Path = "texture"
    split: str = "subject-cv"
    labels_csv: Path | None = None
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
        request: what to do.
        on_decode: called with (done, total) while images are decoded.
        on_link: called while cells are compared.
        on_groups: called with each sentence on what a file of groups overrules.
        on_features: called while the features of a frozen recipe are computed.
        on_part: called with (name, number, count) before each network is trained.
        on_step: called after each training step.

    Returns:
        The finished run.

    Raises:
        LeukoscopeError: anything wrong with the data, the recipe, the split or the folder.
    """
    recipe, data = read_recipe(request.recipe), find_data(request.data)
    from leukoscope.model import build_model  # after what can fail at once: it loads TensorFlow

    build_model(recipe.model)  # fails now, where an extra or an architecture is missing
    catalogue = read_catalogue(
        data,
        request.labels_csv,
        groups_csv=request.groups_csv,
        turns=request.turns,
        on_decode=on_decode,
        on_link=on_link,
    )
    table = select_usable(catalogue)
    split = make_split(table, request.split, folds=request.folds, seed=request.seed)
    settings = _describe_run(request, recipe, catalogue, table, split)
    if on_groups and settings["groups"]:
        for sentence in settings["groups"]["overruled"]:
            on_groups(f"{catalogue.groups_csv}: {sentence}")
    run = create_run(request.out, settings, resume=request.resume)
    write_table(run.cells, _describe_cells(table, split))
    inputs: npt.NDArray[Any] = catalogue.crops
    if recipe.training.frozen:
        inputs = read_features(recipe, catalogue, on_features)
    work = _Work(run, recipe, catalogue.crops, inputs, request.seed, on_step)
    names = [fold.name for fold in split.folds]
    count = len(names) + request.final
    for number, fold in enumerate(split.folds, start=1):
        if on_part:
            on_part(fold.name, number, count)
        cells = table.loc[fold.training]
        _train_part(work, fold.name, cells)
        _predict_part(work, catalogue, cells, fold)
    outputs = _gather_predictions(run, split)
    _gather_histories(run, names)
    if request.final:
        if on_part:
            on_part(FINAL, count, count)
        decision = fit_decision(outputs)
        calibrated = outputs.assign(probability=calibrate(outputs["probability"], decision))
        known = {
            "expected": _compute_expected(run, split),
            "subjects": _describe_subjects(run, calibrated),
        }
        _train_part(work, FINAL, table, decision, known)
        names.append(FINAL)
    _gather_histories(run, names)
    write_json(run.settings, run.read_settings() | {"finished": _now()})
    return run


@dataclasses.dataclass(frozen=True)
class _Work:
    """What the training of every part shares."""

    run: Run
    recipe: Recipe
    crops: UInt8Array
    inputs: npt.NDArray[Any]  # crops, or the features of a frozen recipe
    seed: int
    on_step: Callable[[EpochReport], None] | None


def _train_part(
    work: _Work,
    name: str,
    cells: pd.DataFrame,
    decision: Decision = Decision(),  # noqa: B008 (frozen)
    known: dict[str, Any] | None = None,
) -> None:
    """Train and export one network, unless that is done already.

    The networks of the folds answer as they learned; the final one, given a decision, calibrated.
    """
    from leukoscope.export import export_onnx
    from leukoscope.inference import FORMAT
    from leukoscope.model import calibrate_model, cut_features, cut_head
    from leukoscope.train import (
        predict_exactly,
        predict_with_keras,
        run_keras,
        save_keras,
        train_model,
    )

    part = work.run.find_part(name)
    if part.onnx.exists():
        return
    part.folder.mkdir(parents=True, exist_ok=True)
    early = work.recipe.training.early_stopping
    stopping = choose_stopping(cells, work.seed) if early else cells.index[:0]
    training = cells.index.difference(stopping, sort=False)
    model, history = train_model(
        work.recipe,
        work.inputs,
        cells.loc[training],
        cells.loc[stopping],
        part.checkpoint,
        seed=work.seed,
        progress=work.on_step,
    )
    write_table(part.history, history)
    calibrate_model(model, decision.slope, decision.intercept)
    metadata = {
        "format": FORMAT,
        "classes": list(LABELS),
        "crop_px": CROP_PX,
        "threshold": decision.threshold,
        "sensitive_threshold": decision.sensitive_threshold,
        "leukaemic_from": decision.leukaemic_from,
        "normal_to": decision.normal_to,
        "calibration": {"slope": decision.slope, "intercept": decision.intercept},
        "recipe": work.recipe.name,
        "fingerprint": compute_fingerprint(cells),
        "version": __version__,
        **(known or {"expected": None, "subjects": None}),
    }
    save_keras(model, part.keras, metadata)
    rows = _spread(cells.index.to_numpy(), _COMPARED)
    crops = np.asarray(work.crops[rows])
    frozen = work.recipe.training.frozen
    novelty = _fit_novelty(work, model, cells).divide(decision.novelty_limit)
    features = work.inputs[rows] if frozen else run_keras(cut_features(model), work.crops, rows)
    distances = novelty.compute(features)
    try:
        answers = predict_with_keras(cut_head(model) if frozen else model, work.inputs, rows)
        answers = np.column_stack([answers, distances])
        export_onnx(model, novelty, part.onnx, metadata, crops, answers)
    except ModelError:  # float32 may round further apart than is allowed; the truth decides
        exact = predict_exactly(work.recipe, model, work.crops, rows)
        answers = np.column_stack([exact, distances])
        export_onnx(model, novelty, part.onnx, metadata, crops, answers)
    part.checkpoint.unlink()


def _fit_novelty(work: _Work, model: Any, cells: pd.DataFrame) -> Novelty:
    """What is usual among a network's training cells; some of them, where the network is slow."""
    from leukoscope.model import cut_features
    from leukoscope.train import run_keras

    if work.recipe.training.frozen:
        return fit_novelty(work.inputs[cells.index])
    rows = _spread(cells.index.to_numpy(), _LEARNED)
    return fit_novelty(run_keras(cut_features(model), work.crops, rows))


def read_features(
    recipe: Recipe, catalogue: Catalogue, progress: Callable[[int, int], None] | None = None
) -> npt.NDArray[np.float32]:
    """Features of all crops, computed once for a backbone and kept beside the crops.

    Args:
        recipe: a frozen one.
        catalogue: of the crops.
        progress: called with (done, total) while they are computed.

    Returns:
        float32 (n, features), rows as in the catalogue.
    """
    from leukoscope.train import compute_features

    model = dataclasses.replace(recipe.model, hidden=0, dropout=0.0)
    name = hashlib.sha256(f"{_FEATURES_FORMAT} {model}".encode()).hexdigest()[:16]
    path = catalogue.folder / f"features-{name}.npy"
    if not path.exists():
        features = compute_features(recipe, catalogue.crops, progress)
        with move_into_place(path) as part, part.open("wb") as file:
            np.save(file, features)
    return np.asarray(np.load(path))


def _predict_part(work: _Work, catalogue: Catalogue, cells: pd.DataFrame, fold: Fold) -> None:
    """Probabilities of the evaluated cells, beside what their area alone says of them."""
    from leukoscope.evaluate import compute_size_probability

    part = work.run.find_part(fold.name)
    if part.outputs.exists():
        return
    evaluated = catalogue.table.loc[fold.evaluated]
    answers = _answer(work, part, cells, evaluated.index.to_numpy())
    found = evaluated[["image", "subject", "label"]].assign(
        probability=answers[:, 0],
        novelty=answers[:, 1],
        part=fold.name,
        group=evaluated["group"],
        area=evaluated["area"],
        area_probability=compute_size_probability(cells["area"], cells["label"], evaluated["area"]),
        pixel_hash=evaluated["pixel_hash"],
        leaky=find_seen(cells, evaluated),
    )
    write_table(part.outputs, found)


def _answer(
    work: _Work, part: Part, cells: pd.DataFrame, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Probability and novelty of some rows: by ONNX Runtime, or from ready features.

    The two were found equal when the network was exported.
    """
    if work.recipe.training.frozen:
        from leukoscope.model import cut_head, keras
        from leukoscope.train import predict_with_keras

        model = keras.saving.load_model(part.keras, compile=False)
        probability = predict_with_keras(cut_head(model), work.inputs, rows)
        novelty = _fit_novelty(work, model, cells).compute(work.inputs[rows])
        return np.column_stack([probability, novelty])
    from leukoscope.inference import Classifier

    classifier, chunks = Classifier(part.onnx), range(0, len(rows), _CHUNK)
    answers = [classifier.answer(work.crops[rows[at : at + _CHUNK]]) for at in chunks]
    return np.concatenate(answers)


def _gather_predictions(run: Run, split: Split) -> pd.DataFrame:
    """The folds' outputs → the run's table, calibrated; returned as the networks gave them.

    What is said of a cell, calibration and thresholds too, never rests on its own part.
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


def _compute_expected(run: Run, split: Split) -> dict[str, Any]:
    """What to expect of the final network on new people, for its metadata."""
    from leukoscope.evaluate import compute_evaluation

    evaluation = compute_evaluation(read_predictions(run.predictions), resamples=1000)
    scores = {score.name: score for score in evaluation.by_cell if score.name in _EXPECTED}
    auc = scores["roc_auc"]
    found, spared = scores["sensitivity"].value, scores["specificity"].value
    leaky = split.leaky or evaluation.leak.status == "leaky"
    leak = " (leaky split: will not hold)" if leaky else ""
    if run.read_settings()["simulated"]:
        leak += " (simulated)"
    words = "Expected on new people of the same laboratory: not known."
    if auc.value is not None and found is not None and spared is not None:
        interval = "" if auc.low is None else f" (95% interval {auc.low:.2f} to {auc.high:.2f})"
        words = (
            f"Expected on new people of the same laboratory{leak}: ROC-AUC {auc.value:.2f}"
            f"{interval}, of 100 leukaemic cells {100 * found:.0f} found, of 100 normal cells "
            f"{100 - 100 * spared:.0f} called leukaemic too."
        )
    numbers = {
        name: {"value": score.value, "low": score.low, "high": score.high}
        for name, score in scores.items()
    }
    return {"split": split.name, "leaky": leaky, "scores": numbers, "words": words}


def _describe_subjects(run: Run, calibrated: pd.DataFrame) -> dict[str, Any] | None:
    """How a person's cells together become a probability, and what it was worth on new people."""
    from leukoscope.summarise import fit_subject_line, summarise_subjects

    line = fit_subject_line(calibrated)
    if line is None:
        return None
    tested = summarise_subjects(read_answers(run.predictions), resamples=1000)
    scores = {s.name: {"value": s.value, "low": s.low, "high": s.high} for s in tested.scores}
    return dataclasses.asdict(line) | {"tested": tested.scored, "scores": scores}


def _spread(rows: Any, count: int) -> Any:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def _describe_cells(table: pd.DataFrame, split: Split) -> pd.DataFrame:
    columns = ["image", "label", "subject", "group", "fold", "area", "pixel_hash"]
    cells = table[columns].assign(row=table.index, part="")
    for fold in split.folds:
        cells.loc[fold.evaluated, "part"] = fold.name
    return cells


def _describe_run(
    request: TrainingRequest,
    recipe: Recipe,
    catalogue: Catalogue,
    table: pd.DataFrame,
    split: Split,
) -> dict[str, Any]:
    versions = {"leukoscope": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "recipe": dataclasses.asdict(recipe),
        "split": {
            "name": split.name,
            "leaky": split.leaky,
            "folds": [
                {
                    "name": fold.name,
                    "training": len(fold.training),
                    "evaluated": len(fold.evaluated),
                    "removed": len(fold.removed),
                }
                for fold in split.folds
            ],
        },
        "seed": request.seed,
        "data": {
            "fingerprint": compute_fingerprint(table),
            "cells": len(table),
            "subjects": int(table["subject"].nunique()),
            "groups": int(table["group"].nunique()),
            **_fingerprint_groups(catalogue),
        },
        "groups": _describe_groups(catalogue),
        "simulated": find_banner(catalogue.root) is not None,
        "root": str(catalogue.root.resolve()),
        "versions": versions,
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        "started": _now(),
    }


def _fingerprint_groups(catalogue: Catalogue) -> dict[str, str]:
    """So that a run is not resumed with a file of other groups; nothing where there is no file."""
    if catalogue.groups_csv is None:
        return {}
    named = catalogue.table[["subject", "group"]].drop_duplicates().sort_values("subject")
    lines = "\n".join("\0".join(row) for row in named.itertuples(index=False))
    return {"groups_fingerprint": hashlib.sha256(lines.encode()).hexdigest()[:16]}


def _describe_groups(catalogue: Catalogue) -> dict[str, Any] | None:
    """The file of groups, and what it overrules; None where the groups are those of the links."""
    overruling = catalogue.find_overruling()
    if catalogue.groups_csv is None or overruling is None:
        return None
    return {
        "file": str(catalogue.groups_csv.resolve()),
        "equal_cells_apart": overruling.equal_cells,
        "similar_pairs_apart": overruling.similar_pairs,
        "names_apart": overruling.apart.to_dict("records"),
        "joined": overruling.joined["group"].unique().tolist(),
        "overruled": overruling.describe(),
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
