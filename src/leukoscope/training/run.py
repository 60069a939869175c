"""Every network of a run, and what their outputs say together."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from leukoscope.inference.decision import (
    average_by_subject,
    calibrate,
    decide_by_part,
    fit_decision,
)
from leukoscope.io.runs import FINAL, Run
from leukoscope.io.tables import write_table
from leukoscope.predictions import write_predictions
from leukoscope.splits import Split
from leukoscope.training.describe import compute_expected, describe_subjects
from leukoscope.training.parts import Work, predict_part, train_part

__all__ = ["train_all"]


def train_all(
    work: Work,
    table: pd.DataFrame,
    split: Split,
    *,
    final: bool,
    on_part: Callable[[str, int, int], None] | None = None,
) -> None:
    """Train a network for each fold and predict its held-out cells; then the network for use.

    Whatever stands there already is not made again, so a run that was killed continues.

    Args:
        work: what all networks share.
        table: the usable cells; index = rows of the crops.
        split: its folds.
        final: whether to train on all cells too, calibrated on what the folds say.
        on_part: called with (name, number, count) before each network is trained.
    """
    run, names = work.run, [fold.name for fold in split.folds]
    count = len(names) + final
    for number, fold in enumerate(split.folds, start=1):
        if on_part:
            on_part(fold.name, number, count)
        cells = table.loc[fold.training]
        train_part(work, fold.name, cells)
        predict_part(work, cells, table.loc[fold.evaluated], fold.name)
    outputs = _gather_predictions(run, split)
    _gather_histories(run, names)
    if final:
        if on_part:
            on_part(FINAL, count, count)
        decision = fit_decision(outputs)
        calibrated = outputs.assign(probability=calibrate(outputs["probability"], decision))
        expected = compute_expected(run, split)
        subjects = describe_subjects(run, calibrated)
        train_part(work, FINAL, table, decision, expected, subjects)
        _gather_histories(run, [*names, FINAL])


def _gather_predictions(run: Run, split: Split) -> pd.DataFrame:
    """The folds' outputs → the run's table, calibrated; returned as the networks gave them.

    What is said of a cell, calibration and thresholds too, never rests on its own fold.
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
