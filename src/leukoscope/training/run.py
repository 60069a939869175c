"""Every network of a run, and what their outputs say together."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from leukoscope.inference.decision import (
    average_by_subject,
    calibrate,
    decide_by_fold,
    fit_decision,
)
from leukoscope.io.runs import FINAL, NETWORK_HISTORY, Run, read_run_table
from leukoscope.io.tables import write_table
from leukoscope.predictions import write_predictions
from leukoscope.splits import Split
from leukoscope.training.describe import compute_expected, describe_subjects
from leukoscope.training.network import Work, predict_fold, read_outputs, train_network

__all__ = ["train_all"]


def train_all(
    work: Work,
    table: pd.DataFrame,
    split: Split,
    *,
    final: bool,
    on_network: Callable[[str, int, int], None] | None = None,
) -> None:
    """Train a network for each fold and predict its held-out cells; then the network for use.

    Whatever stands there already is not made again, so a run that was killed continues.

    Args:
        work: what all networks share.
        table: the usable cells; index = rows of the crops.
        split: its folds.
        final: whether to train on all cells too, calibrated on what the folds say.
        on_network: called with (name, number, count) before each network is trained.
    """
    run, names = work.run, [fold.name for fold in split.folds]
    count = len(names) + final
    for number, fold in enumerate(split.folds, start=1):
        if on_network:
            on_network(fold.name, number, count)
        cells = table.loc[fold.training]
        train_network(work, fold.name, cells)
        predict_fold(work, cells, table.loc[fold.evaluated], fold.name)
    outputs = _gather_predictions(run, split)
    _gather_histories(run, names)
    if final:
        if on_network:
            on_network(FINAL, count, count)
        decision = fit_decision(outputs)
        calibrated = outputs.assign(probability=calibrate(outputs["probability"], decision))
        expected = compute_expected(run, split)
        subjects = describe_subjects(run, calibrated)
        train_network(work, FINAL, table, decision, expected, subjects)
        _gather_histories(run, [*names, FINAL])


def _gather_predictions(run: Run, split: Split) -> pd.DataFrame:
    """The folds' outputs → the run's table, calibrated; returned as the networks gave them.

    What is said of a cell, calibration and thresholds too, never rests on its own fold.
    """
    found = []
    for fold in split.folds:
        outputs = read_outputs(run.find_network(fold.name), len(fold.evaluated))
        found.append(outputs.assign(fold=fold.name))
    outputs = pd.concat(found, ignore_index=True).assign(split=split.name)
    decided, size = decide_by_fold(outputs), decide_by_fold(outputs, "area_probability")
    context = decide_by_fold(outputs.assign(probability=average_by_subject(outputs)))
    predictions = outputs.assign(
        cell="",  # an image of a data set is one cell
        output=outputs["probability"],
        **decided,
        area_probability=size["probability"],
        area_threshold=size["threshold"],
        context_probability=context["probability"],
        context_threshold=context["threshold"],
    )
    with run.keep_digest(run.predictions):
        write_predictions(predictions, run.predictions)
    return outputs


def _gather_histories(run: Run, names: list[str]) -> None:
    """The networks' histories → one table."""
    found = []
    for name in names:
        network = run.find_network(name)
        fix = (
            f"Put it back from a copy, or delete it and {network.onnx}, and continue the run with "
            "`resume`, which trains this network again."
        )
        history = read_run_table(network.history, NETWORK_HISTORY, fix)
        found.append(history.assign(fold=name))
    with run.keep_digest(run.history):
        write_table(run.history, pd.concat(found))
