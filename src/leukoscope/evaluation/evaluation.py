"""The predictions table → every number of the report, each with n and an interval by person."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leukoscope.errors import SettingsError
from leukoscope.evaluation.abstention import Abstention, compute_abstention
from leukoscope.evaluation.baselines import Baseline, Views, compute_baselines, compute_views
from leukoscope.evaluation.cohort import Cohort, FloatArray, build_cohort, draw_group_counts
from leukoscope.evaluation.intervals import Score, compute_view
from leukoscope.evaluation.leaks import LeakStatus, compute_leak_status
from leukoscope.io.files import write_text
from leukoscope.labels import LEUKAEMIC, NORMAL
from leukoscope.predictions import normalise_predictions, set_threshold

__all__ = [
    "Counts",
    "Evaluation",
    "PartScores",
    "SubjectRow",
    "compute_evaluation",
    "write_metrics",
]

_PART_SCORES = ("weighted_f1", "roc_auc", "sensitivity", "specificity")


@dataclass(frozen=True)
class Counts:
    """How much there is, and how unevenly it is spread."""

    cells: int
    cells_leukaemic: int
    cells_normal: int
    subjects: int
    subjects_leukaemic: int
    subjects_normal: int
    people: int
    largest_subject: str
    largest_subject_cells: int
    largest_subject_share: float | None


@dataclass(frozen=True)
class SubjectRow:
    """One subject's cells of one class (a C-NMC subject has one class)."""

    subject: str
    group: str
    label: str
    part: str
    cells: int
    mean_probability: float
    share_called_leukaemic: float
    accuracy: float


@dataclass(frozen=True)
class PartScores:
    """The scores of one held-out part, cells weighing alike."""

    part: str
    cells: int
    subjects: int
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Evaluation:
    """All numbers of one predictions table.

    Attributes:
        thresholds: the lowest and the highest; a cell at or above its own is called leukaemic.
        n_bootstrap: bootstrap resamples of persons.
        seed: of the resamples.
        counts: cells, subjects and people.
        confusion: truth → call → cells.
        by_cell: the scores, every cell weighing alike.
        by_subject: the same, every subject weighing alike.
        sensitive: sensitivity and specificity by cell at the sensitive threshold; empty where the
            table has none.
        context_by_cell: the scores where each cell is answered with all its subject's cells, cells
            weighing alike; empty where the table has no such answers.
        context_by_subject: the same, subjects weighing alike.
        abstention: what it is worth when the network says that it does not know.
        subject_auc: ROC-AUC of subjects by their mean probability.
        baselines: all-leukaemic, then size-only.
        subjects: one row a subject, highest mean probability first.
        parts: one entry a held-out part.
        leak: whether the split may be believed.
        notes: what a reader must know to read the numbers.
    """

    thresholds: tuple[float, float]
    n_bootstrap: int
    seed: int
    counts: Counts
    confusion: dict[str, dict[str, int]]
    by_cell: tuple[Score, ...]
    by_subject: tuple[Score, ...]
    sensitive: tuple[Score, ...]
    context_by_cell: tuple[Score, ...]
    context_by_subject: tuple[Score, ...]
    abstention: Abstention
    subject_auc: Score
    baselines: tuple[Baseline, ...]
    subjects: tuple[SubjectRow, ...]
    parts: tuple[PartScores, ...]
    leak: LeakStatus
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers for `json.dumps`; what is not defined is None."""
        text = json.dumps(dataclasses.asdict(self), allow_nan=False)
        plain: dict[str, Any] = json.loads(text)
        return plain


def compute_evaluation(
    table: pd.DataFrame, *, threshold: float | None = None, n_bootstrap: int = 2000, seed: int = 0
) -> Evaluation:
    """Evaluate a predictions table.

    Intervals are 95% percentile intervals of a bootstrap over groups (persons), stratified by
    class. The thresholds are a given: nothing is chosen on the evaluated cells.

    Args:
        table: as `leukoscope.predictions` describes.
        threshold: a cell at or above is called leukaemic, 0 to 1; the table's column `threshold`
            where left out, or 0.5 where there is none.
        n_bootstrap: bootstrap resamples.
        seed: of the resamples.

    Raises:
        DataError: the table breaks the contract.
        SettingsError: a threshold outside 0 to 1, or fewer than one resample.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise SettingsError(f"Expected a threshold from 0 to 1; received {threshold}.")
    if n_bootstrap < 1:
        raise SettingsError(f"Expected 1 resample or more; received {n_bootstrap}.")
    table = set_threshold(normalise_predictions(table), threshold)
    cohort = build_cohort(table)
    counts = draw_group_counts(cohort, n_bootstrap, seed)
    model = compute_views(cohort, counts)
    context = _compute_context(table, cohort, counts)
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
        baselines=compute_baselines(table, cohort, model, counts),
        subjects=_compute_subjects(table, called),
        parts=_compute_parts(table, n_bootstrap, seed),
        leak=compute_leak_status(table),
        notes=_compute_notes(table),
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
        part=table.get("part", ""),
    )
    rows = [
        SubjectRow(
            subject=str(subject),
            group=str(own["group"].iloc[0]),
            label=str(label),
            part=", ".join(sorted(set(own["part"]))),
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


def _compute_context(table: pd.DataFrame, cohort: Cohort, counts: FloatArray) -> Views | None:
    columns = ["context_probability", "context_threshold"]
    if not set(columns) <= set(table) or table[columns].isna().any(axis=None):
        return None
    probability, threshold = (table[column].to_numpy(dtype=np.float64) for column in columns)
    return compute_views(cohort.replace_probability(probability, threshold), counts)


def _compute_parts(table: pd.DataFrame, n_bootstrap: int, seed: int) -> tuple[PartScores, ...]:
    if "part" not in table:
        return ()
    parts = []
    for name, cells in table.groupby("part"):
        cohort = build_cohort(cells)
        view = compute_view(cohort, draw_group_counts(cohort, n_bootstrap, seed))
        scores = tuple(view.get(score) for score in _PART_SCORES)
        parts.append(PartScores(str(name), len(cells), cells["subject"].nunique(), scores))
    return tuple(parts)


def _compute_notes(table: pd.DataFrame) -> tuple[str, ...]:
    notes = []
    if "group" not in table:
        notes.append(
            "The table has no column group, so each subject name is taken for one person. If one "
            "person has two names, the intervals are too narrow."
        )
    if "part" in table and table["part"].nunique() > 1:
        notes.append(
            "Scores over all cells pool the held-out parts. Where each part was scored by its own "
            "network, areas under curves also compare probabilities between networks."
        )
    if int((table.groupby("subject")["label"].nunique() > 1).sum()):
        notes.append("A subject has cells of both classes; it has a row for each.")
    return tuple(notes)
