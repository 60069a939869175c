"""The predictions table → numbers, each with n and an interval over people.

Nothing is chosen here (no threshold, no model), and nothing is drawn.
"""

from leukoscope.evaluation.abstention import Abstention, LeftOut
from leukoscope.evaluation.baselines import Baseline, compute_size_probability
from leukoscope.evaluation.compute import compute_evaluation, write_metrics
from leukoscope.evaluation.curves import (
    Curve,
    ReliabilityBin,
    compute_curves,
    compute_reliability,
    list_confident_errors,
)
from leukoscope.evaluation.intervals import FEW_PEOPLE, NOT_DEFINED, Score, find_score
from leukoscope.evaluation.leaks import LeakStatus
from leukoscope.evaluation.results import Counts, Evaluation, FoldScores, SubjectRow
from leukoscope.evaluation.scores import ScoreKind, Sums

__all__ = [
    "FEW_PEOPLE",
    "NOT_DEFINED",
    "Abstention",
    "Baseline",
    "Counts",
    "Curve",
    "Evaluation",
    "FoldScores",
    "LeakStatus",
    "LeftOut",
    "ReliabilityBin",
    "Score",
    "ScoreKind",
    "SubjectRow",
    "Sums",
    "compute_curves",
    "compute_evaluation",
    "compute_reliability",
    "compute_size_probability",
    "find_score",
    "list_confident_errors",
    "write_metrics",
]
