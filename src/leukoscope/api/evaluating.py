"""Score predictions, and aggregate them by subject."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from os import PathLike
from pathlib import Path

import pandas as pd

from leukoscope.api.predicting import Model, get_model
from leukoscope.arguments import check_arguments, is_path, refuse_argument
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError
from leukoscope.results import EvaluationResult, SubjectResult, TrainedRun

__all__ = ["aggregate", "evaluate"]

StrPath = str | PathLike[str]


@check_arguments
def evaluate(
    predictions: pd.DataFrame | StrPath | TrainedRun,
    *,
    model: Model | StrPath | TrainedRun | None = None,
    columns: Mapping[str, str] | None = None,
    threshold: float | None = None,
    scores: str | Collection[str] = (),
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> EvaluationResult:
    """Score predictions by cell and by subject, with intervals over people.

    Args:
        predictions: a table with image, subject, label and probability, such as `predict` returns
            with a column label added; the path of a CSV; or a run.
        model: the model that predicted, for tables without subjects: its data set says how the
            images' names give them, and has words for the classes. By default as the run has
            them, or as the known data sets do.
        columns: column names of the table: our name → its name.
        threshold: probability from which a cell is called leukaemic, not chosen on these cells;
            by default the table's own, else 0.5.
        scores: of your own, import path "package.module:name" of a `ScoreKind`, or several.
        n_bootstrap: bootstrap resamples, of people.
        seed: of the resamples.

    Raises:
        LeukoscopeError: no such table, a column that is missing, or a value out of range.

    >>> import leukoscope as lk
    >>> table = lk.predict("cells/")
    >>> table["label"] = table["image"].str.extract("_(all|hem)[.]", expand=False)
    >>> result = lk.evaluate(table, n_bootstrap=200)
    >>> list(result.scores["by_cell"].columns)
    ['value', 'low', 'high']
    >>> result.plot_roc().save("roc.svg").name
    'roc.svg'
    """
    from leukoscope.evaluation import compute_evaluation
    from leukoscope.predictions import (
        normalise_predictions,
        read_predictions,
        rename_columns,
        set_threshold,
    )

    spec = _find_spec(predictions, model)
    if isinstance(predictions, pd.DataFrame):
        title = "Predictions"
        table = normalise_predictions(rename_columns(predictions, columns), spec)
    else:
        source = _find_table(predictions)
        title = Path(predictions).resolve().name
        table = read_predictions(source, columns, spec)
    table = set_threshold(table, threshold)
    evaluation = compute_evaluation(
        table,
        n_bootstrap=n_bootstrap,
        seed=seed,
        scores=scores if isinstance(scores, str) else tuple(scores),
    )
    return EvaluationResult(evaluation, table, title)


@check_arguments
def aggregate(
    predictions: pd.DataFrame | StrPath | TrainedRun,
    *,
    model: Model | StrPath | TrainedRun | None = None,
    calibrate: pd.DataFrame | StrPath | TrainedRun | None = None,
    columns: Mapping[str, str] | None = None,
    threshold: float | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> SubjectResult:
    """Aggregate by subject: share of leukaemic cells, calibrated probability, call.

    Args:
        predictions: as in `evaluate`, with or without labels.
        model: the model that predicted; its subject-level calibration serves tables without labels,
            and its data set says how the images' names give the subject, as in `evaluate`.
        calibrate: labelled predictions of people the network was not trained on, to calibrate on.
        columns: column names of the table: our name → its name.
        threshold: probability from which a cell counts as called leukaemic.
        n_bootstrap: bootstrap resamples, of people.
        seed: of the resamples.

    Raises:
        LeukoscopeError: no such table, or one without probabilities or subjects.

    >>> import leukoscope as lk
    >>> subjects = lk.aggregate(lk.predict(lk.list_images("cells/")[:12]))
    >>> list(subjects.table.columns[:3])
    ['subject', 'group', 'label']
    """
    from leukoscope.evaluation.aggregate import aggregate_subjects, find_line

    spec = _find_spec(predictions, model)
    table = _read_answers(predictions, threshold, columns, spec)
    reference = None
    if calibrate is not None:
        spec = _find_spec(calibrate, model)
        reference = _read_answers(calibrate, None, None, spec, "calibrate")
    if reference is not None and "label" not in reference:
        raise DataError("calibrate: no column label. Expected a labelled table to calibrate on.")
    line = None
    if reference is None and "label" not in table:
        known = get_model(model)
        line = find_line(table, known.metadata, known.key, given=model is not None)
    summary = aggregate_subjects(table, reference, line=line, n_bootstrap=n_bootstrap, seed=seed)
    return SubjectResult(summary)


def _find_table(predictions: StrPath | TrainedRun, name: str = "predictions") -> Path:
    from leukoscope.io.runs import find_predictions

    if not is_path(predictions):
        raise refuse_argument(name, predictions, "a DataFrame, a run, or the path of a CSV")
    return find_predictions(Path(predictions))


def _find_spec(
    predictions: pd.DataFrame | StrPath | TrainedRun, model: Model | StrPath | TrainedRun | None
) -> DatasetSpec | None:
    """How the images are named: as the model has it, or the run."""
    from leukoscope.workflow.prediction import find_spec

    if model is not None:
        return get_model(model).metadata.dataset
    if isinstance(predictions, pd.DataFrame) or not is_path(predictions):
        return None
    return find_spec(Path(predictions))


def _read_answers(
    predictions: pd.DataFrame | StrPath | TrainedRun,
    threshold: float | None,
    columns: Mapping[str, str] | None,
    spec: DatasetSpec | None,
    name: str = "predictions",
) -> pd.DataFrame:
    from leukoscope.predictions import normalise_answers, read_answers, rename_columns

    if isinstance(predictions, pd.DataFrame):
        return normalise_answers(rename_columns(predictions, columns), threshold, spec, name)
    return read_answers(_find_table(predictions, name), threshold, columns, spec)
