"""The predictions table → every number of the report, each with n and an interval over people."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from leukoscope.errors import SettingsError
from leukoscope.evaluation.abstention import compute_abstention
from leukoscope.evaluation.baselines import Views, compute_baselines, compute_views
from leukoscope.evaluation.cohort import Cohort, FloatArray, build_cohort, draw_group_counts
from leukoscope.evaluation.intervals import Score, compute_view
from leukoscope.evaluation.leaks import compute_leak_status
from leukoscope.evaluation.results import Counts, Evaluation, FoldScores, SubjectRow
from leukoscope.evaluation.scores import ScoreKind, find_scores
from leukoscope.io.files import write_text
from leukoscope.labels import LEUKAEMIC, NORMAL
from leukoscope.predictions import normalise_predictions, set_threshold

__all__ = ["compute_evaluation", "write_metrics"]

_FOLD_SCORES = ("weighted_f1", "roc_auc", "sensitivity", "specificity")


def compute_evaluation(
    table: pd.DataFrame,
    *,
    threshold: float | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
    scores: str | Sequence[str] = (),
) -> Evaluation:
    """Evaluate a predictions table.

    Intervals are 95% percentile intervals of a bootstrap over groups (people), stratified by
    class. The thresholds are fixed: nothing is chosen on the evaluated cells.

    Args:
        table: as `leukoscope.predictions` describes.
        threshold: a cell at or above is called leukaemic, 0 to 1; by default the table's column
            `threshold`, or 0.5 where there is none.
        n_bootstrap: bootstrap resamples.
        seed: of the resamples.
        scores: of your own, beside those built in: import path "package.module:name" of a
            `ScoreKind`, or several.

    Raises:
        DataError: the table breaks the contract.
        SettingsError: a threshold outside 0 to 1, fewer than one resample, or a score that cannot
            be used.

    Example:
        evaluation = compute_evaluation(read_predictions(path), scores=["mypkg.scores:youden"])
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise SettingsError(f"Expected a threshold from 0 to 1; received {threshold}.")
    if n_bootstrap < 1:
        raise SettingsError(f"Expected 1 resample or more; received {n_bootstrap}.")
    kinds = find_scores(scores)
    table = set_threshold(normalise_predictions(table), threshold)
    cohort = build_cohort(table)
    counts = draw_group_counts(cohort, n_bootstrap, seed)
    model = compute_views(cohort, counts, kinds)
    context = _compute_context(table, cohort, counts, kinds)
    called = table["probability"] >= table["threshold"]
    return Evaluation(
        thresholds=_find_range(table["threshold"]),
        n_bootstrap=n_bootstrap,
        seed=seed,
        counts=_compute_counts(table, cohort.groups),
        confusion=_compute_confusion(table["label"], called),
        by_cell=model.by_cell.scores,
        by_subject=model.by_subject.scores,
        sensitive=_compute_sensitive(table, cohort, counts),
        context_by_cell=context.by_cell.scores if context else (),
        context_by_subject=context.by_subject.scores if context else (),
        abstention=compute_abstention(table, cohort, counts),
        subject_auc=_compute_subject_auc(table, n_bootstrap, seed),
        baselines=compute_baselines(table, cohort, model, counts, kinds),
        subjects=_compute_subjects(table, called),
        folds=_compute_folds(table, n_bootstrap, seed),
        leak=compute_leak_status(table),
        notes=(*_find_reversed(model.by_cell.scores), *_compute_notes(table)),
    )


def write_metrics(evaluation: Evaluation, path: Path) -> None:
    """Write metrics.json: every number with n and interval, null where not defined."""
    write_text(path, json.dumps(evaluation.to_json(), indent=2) + "\n")


def _compute_counts(table: pd.DataFrame, people: int) -> Counts:
    leukaemic = table[table["label"] == LEUKAEMIC]
    normal = table[table["label"] == NORMAL]
    sizes = table["subject"].value_counts()
    return Counts(
        cells=len(table),
        cells_leukaemic=len(leukaemic),
        cells_normal=len(normal),
        subjects=len(sizes),
        subjects_leukaemic=leukaemic["subject"].nunique(),
        subjects_normal=normal["subject"].nunique(),
        people=people,
        largest_subject=str(sizes.index[0]) if len(sizes) else "",
        largest_subject_cells=int(sizes.iloc[0]) if len(sizes) else 0,
        largest_subject_share=float(sizes.iloc[0] / len(table)) if len(sizes) else None,
    )


def _compute_confusion(labels: pd.Series, called: pd.Series) -> dict[str, dict[str, int]]:
    return {
        truth: {
            LEUKAEMIC: int(((labels == truth) & called).sum()),
            NORMAL: int(((labels == truth) & ~called).sum()),
        }
        for truth in (LEUKAEMIC, NORMAL)
    }


def _compute_subjects(table: pd.DataFrame, called: pd.Series) -> tuple[SubjectRow, ...]:
    cells = table.assign(
        called=called.astype(float),
        right=(called == (table["label"] == LEUKAEMIC)).astype(float),
        group=table["group"] if "group" in table else table["subject"],
        fold=table.get("fold", ""),
    )
    rows = [
        SubjectRow(
            subject=str(subject),
            group=str(own["group"].iloc[0]),
            label=str(label),
            fold=", ".join(sorted(set(own["fold"]))),
            cells=len(own),
            mean_probability=float(own["probability"].mean()),
            share_called_leukaemic=float(own["called"].mean()),
            accuracy=float(own["right"].mean()),
        )
        for (subject, label), own in cells.groupby(["subject", "label"])
    ]
    return tuple(sorted(rows, key=lambda row: (-row.mean_probability, row.subject)))


def _compute_subject_auc(table: pd.DataFrame, n_bootstrap: int, seed: int) -> Score:
    """ROC-AUC over subjects, each with the mean of its cells' probabilities; groups resampled."""
    keys = ["subject", "label", *(["group"] if "group" in table else [])]
    means = table.groupby(keys)["probability"].mean().reset_index()
    cohort = build_cohort(means)
    view = compute_view(cohort, draw_group_counts(cohort, n_bootstrap, seed))
    score = dataclasses.replace(view.get("roc_auc"), n_cells=len(table))
    return dataclasses.replace(
        score, name="subject_roc_auc", title="ROC-AUC of subjects (mean probability)"
    )


def _find_range(thresholds: pd.Series) -> tuple[float, float]:
    if not len(thresholds):
        return (0.5, 0.5)
    return (float(thresholds.min()), float(thresholds.max()))


def _compute_sensitive(
    table: pd.DataFrame, cohort: Cohort, counts: FloatArray
) -> tuple[Score, ...]:
    if "sensitive_threshold" not in table:
        return ()
    thresholds = table["sensitive_threshold"].to_numpy(dtype=np.float64)
    view = compute_view(cohort.replace_probability(cohort.probability, thresholds), counts)
    return (view.get("sensitivity"), view.get("specificity"))


def _compute_context(
    table: pd.DataFrame, cohort: Cohort, counts: FloatArray, kinds: Sequence[ScoreKind]
) -> Views | None:
    columns = ["context_probability", "context_threshold"]
    if not set(columns) <= set(table) or table[columns].isna().any(axis=None):
        return None
    probability, threshold = (table[column].to_numpy(dtype=np.float64) for column in columns)
    return compute_views(cohort.replace_probability(probability, threshold), counts, kinds)


def _compute_folds(table: pd.DataFrame, n_bootstrap: int, seed: int) -> tuple[FoldScores, ...]:
    if "fold" not in table:
        return ()
    folds = []
    for name, cells in table.groupby("fold"):
        cohort = build_cohort(cells)
        view = compute_view(cohort, draw_group_counts(cohort, n_bootstrap, seed))
        scores = tuple(view.get(score) for score in _FOLD_SCORES)
        folds.append(FoldScores(str(name), len(cells), cells["subject"].nunique(), scores))
    return tuple(folds)


def _find_reversed(by_cell: Sequence[Score]) -> Iterator[str]:
    """A note where the probabilities rank the classes the wrong way round."""
    auc = next((score for score in by_cell if score.name == "roc_auc"), None)
    if auc and auc.value is not None and auc.high is not None and auc.high < 0.5:
        yield (
            f"ROC-AUC {auc.value:.3f} is below chance: are these probabilities of normal, or the "
            "labels exchanged? A probability here is that of leukaemic, and label 1 is leukaemic."
        )


def _compute_notes(table: pd.DataFrame) -> tuple[str, ...]:
    notes = []
    if "group" not in table:
        notes.append(
            "The table has no column group, so each subject name is treated as one person. If one "
            "person has two names, the intervals are too narrow."
        )
    if "fold" in table and table["fold"].nunique() > 1:
        notes.append(
            "Scores over all cells pool the folds. Where each fold was scored by its own network, "
            "areas under curves also compare probabilities between networks."
        )
    if int((table.groupby("subject")["label"].nunique() > 1).sum()):
        notes.append("A subject has cells of both classes; it has a row for each.")
    return tuple(notes)
