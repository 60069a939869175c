"""A predictions table → one row a subject."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from leukoscope.errors import DataError
from leukoscope.evaluation.aggregate import SubjectSummary, aggregate_subjects, find_line
from leukoscope.io.runs import find_predictions
from leukoscope.io.tables import write_table
from leukoscope.predictions import read_answers
from leukoscope.records import SubjectLine
from leukoscope.workflow.prediction import find_spec, open_classifier

__all__ = ["aggregate_predictions"]


def aggregate_predictions(
    predictions: Path,
    out: Path | None = None,
    *,
    calibrate: Path | None = None,
    model: Path | None = None,
    columns: Mapping[str, str] | None = None,
    threshold: float | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> SubjectSummary:
    """Summarise the subjects of a table or a run.

    Args:
        predictions: a CSV as `read_answers` takes, or a run folder.
        out: the CSV to write, one row a subject.
        calibrate: a run or labelled CSV of people its network was not trained on, to calibrate on.
        model: that predicted, a run or an ONNX file; by default the shipped model. Its
            subject-level calibration serves tables without labels, and its rule for names those
            without subjects.
        columns: column names of the CSV: our name → its name.
        threshold: probability from which a cell counts as called leukaemic.
        n_bootstrap: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        LeukoscopeError: no such table, or one without probabilities, subjects or (in `calibrate`)
            labels.
    """
    if out is not None and out.is_dir():
        raise DataError(f"{out}: a folder. Expected the name of a CSV file.")
    spec = find_spec(predictions, model)
    table = read_answers(find_predictions(predictions), threshold, columns, spec)
    reference = None if calibrate is None else _read_reference(calibrate, model)
    line = _read_line(table, model) if reference is None and "label" not in table else None
    summary = aggregate_subjects(table, reference, line=line, n_bootstrap=n_bootstrap, seed=seed)
    if out is not None:
        write_table(out, summary.table)
    return summary


def _read_line(table: pd.DataFrame, model: Path | None) -> SubjectLine | None:
    """The subject-level calibration of the model that is named, or of the shipped one."""
    classifier = open_classifier(model)
    return find_line(table, classifier.metadata, classifier.name, given=model is not None)


def _read_reference(path: Path, model: Path | None) -> pd.DataFrame:
    reference = read_answers(find_predictions(path), spec=find_spec(path, model))
    if "label" not in reference:
        raise DataError(f"{path}: no column label. Expected a labelled table to calibrate on.")
    return reference
