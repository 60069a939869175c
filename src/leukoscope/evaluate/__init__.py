"""The predictions table → numbers, each with n and an interval by person.

Choosing anything (a threshold, a model) is not done here, drawing neither.
"""

from leukoscope.evaluate.abstention import Abstention, LeftOut
from leukoscope.evaluate.baselines import Baseline, compute_size_probability
from leukoscope.evaluate.curves import (
    Curve,
    ReliabilityBin,
    compute_curves,
    compute_reliability,
    list_confident_errors,
)
from leukoscope.evaluate.evaluation import (
    Counts,
    Evaluation,
    PartScores,
    SubjectRow,
    compute_evaluation,
    write_metrics,
)
from leukoscope.evaluate.intervals import FEW_PEOPLE, NOT_DEFINED, Score
from leukoscope.evaluate.leaks import LeakStatus

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
