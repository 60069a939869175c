"""What an evaluation of a predictions table holds."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from leukoscope.evaluation.abstention import Abstention
from leukoscope.evaluation.baselines import Baseline
from leukoscope.evaluation.intervals import Score
from leukoscope.evaluation.leaks import LeakStatus

__all__ = ["Counts", "Evaluation", "PartScores", "SubjectRow"]


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
