"""The results of evaluating a predictions table."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from leukoscope.evaluation.abstention import Abstention
from leukoscope.evaluation.baselines import Baseline
from leukoscope.evaluation.intervals import Score
from leukoscope.evaluation.leaks import LeakStatus

__all__ = ["Counts", "Evaluation", "FoldScores", "SubjectRow"]


@dataclass(frozen=True)
class Counts:
    """Numbers of cells, subjects and people, and how unevenly they are spread."""

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
    fold: str
    cells: int
    mean_probability: float
    share_called_leukaemic: float
    accuracy: float


@dataclass(frozen=True)
class FoldScores:
    """The scores of one fold, cells equally weighted."""

    fold: str
    cells: int
    subjects: int
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Evaluation:
    """All numbers of one predictions table.

    Attributes:
        thresholds: the lowest and the highest; a cell at or above its own is called leukaemic.
        n_bootstrap: bootstrap resamples of people.
        seed: of the resamples.
        counts: cells, subjects and people.
        confusion: true label → call → cells.
        by_cell: the scores, cells equally weighted.
        by_subject: the same, subject-weighted.
        sensitive: sensitivity and specificity by cell at the sensitive threshold; empty where the
            table has none.
        context_by_cell: the scores where each cell is predicted from all its subject's cells, cells
            equally weighted; empty where the table has no such predictions.
        context_by_subject: the same, subject-weighted.
        abstention: coverage and accuracy of conformal calls, selective accuracy, novelty.
        subject_auc: ROC-AUC of subjects by their mean probability.
        baselines: all-leukaemic, then size-only.
        subjects: one row a subject, highest mean probability first.
        folds: one entry a fold.
        leak: whether the split leaks.
        notes: caveats for reading the numbers.
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
    folds: tuple[FoldScores, ...]
    leak: LeakStatus
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers for `json.dumps`; what is not defined is None."""
        text = json.dumps(dataclasses.asdict(self), allow_nan=False)
        plain: dict[str, Any] = json.loads(text)
        return plain
