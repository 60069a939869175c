"""The predictions table → numbers, each with n and an interval by person.

Choosing anything (a threshold, a model) is not done here, drawing neither.
"""

from leukoscope.evaluation.abstention import Abstention, LeftOut
from leukoscope.evaluation.baselines import Baseline, compute_size_probability
from leukoscope.evaluation.curves import (
    Curve,
    ReliabilityBin,
    compute_curves,
    compute_reliability,
    list_confident_errors,
)
from leukoscope.evaluation.evaluation import (
    Counts,
    Evaluation,
    PartScores,
    SubjectRow,
    compute_evaluation,
    write_metrics,
)
from leukoscope.evaluation.intervals import FEW_PEOPLE, NOT_DEFINED, Score
from leukoscope.evaluation.leaks import LeakStatus

__all__ = [
    "FEW_PEOPLE",
    "NOT_DEFINED",
    "Abstention",
    "Baseline",
    "Counts",
    "Curve",
    "Evaluation",
    "LeakStatus",
    "LeftOut",
    "PartScores",
    "ReliabilityBin",
    "Score",
    "SubjectRow",
    "compute_curves",
    "compute_evaluation",
    "compute_reliability",
    "compute_size_probability",
    "list_confident_errors",
    "write_metrics",
]
