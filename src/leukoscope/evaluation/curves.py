"""The points of the figures, and the most confident errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn import metrics

from leukoscope.evaluation.cohort import Cohort, FloatArray, build_cohort
from leukoscope.evaluation.scores import ECE_BINS, compute_calibration_bins
from leukoscope.labels import LEUKAEMIC, NORMAL

__all__ = [
    "Curve",
    "ReliabilityBin",
    "compute_curves",
    "compute_reliability",
    "list_confident_errors",
]


@dataclass(frozen=True)
class Curve:
    """Both curves of one system in one view; every array float64, its own length.

    Attributes:
        title: shown to users.
        false_positive: 1 - specificity, rising, with `true_positive` the ROC curve.
        true_positive: sensitivity.
        recall: sensitivity, falling, with `precision` the precision-recall curve.
        precision: share of leukaemic among the cells called leukaemic.
        prevalence: weighted share of leukaemic cells, the precision by chance.
    """

    title: str
    false_positive: FloatArray
    true_positive: FloatArray
    recall: FloatArray
    precision: FloatArray
    prevalence: float


@dataclass(frozen=True)
class ReliabilityBin:
    """Cells whose probabilities lie from `low` to `high`."""

    low: float
    high: float
    cells: int
    mean_probability: float
    share_leukaemic: float


def compute_curves(table: pd.DataFrame) -> tuple[Curve, ...]:
    """Curves of the network by cell and by subject, and of size alone where it was fitted.

    Args:
        table: a normalised predictions table.

    Returns:
        Nothing where a class has no cells: the curves are not defined.
    """
    cohort = build_cohort(table)
    if cohort.leukaemic.all() or not cohort.leukaemic.any():
        return ()
    curves = [
        _compute_curve("Network, by cell", cohort),
        _compute_curve("Network, by subject", cohort.weigh_by_subject()),
    ]
    for column in ("area_probability", "area"):
        if column in table and bool(table[column].notna().all()):
            sized = cohort.replace_probability(table[column].to_numpy(dtype=np.float64))
            curves.append(_compute_curve("Size only, by cell", sized))
            break
    return tuple(curves)


def _compute_curve(title: str, cohort: Cohort) -> Curve:
    truth, probability, weight = cohort.leukaemic, cohort.probability, cohort.weight
    false_positive, true_positive, _ = metrics.roc_curve(truth, probability, sample_weight=weight)
    precision, recall, _ = metrics.precision_recall_curve(truth, probability, sample_weight=weight)
    return Curve(
        title=title,
        false_positive=false_positive,
        true_positive=true_positive,
        recall=recall,
        precision=precision,
        prevalence=float(weight[truth].sum() / weight.sum()),
    )


def compute_reliability(table: pd.DataFrame) -> tuple[ReliabilityBin, ...]:
    """The bins of the expected calibration error that hold a cell, lowest first."""
    bins = compute_calibration_bins(table["probability"].to_numpy(dtype=np.float64))
    found = []
    for number in range(ECE_BINS):
        own = table[bins == number]
        if len(own):
            found.append(
                ReliabilityBin(
                    low=number / ECE_BINS,
                    high=(number + 1) / ECE_BINS,
                    cells=len(own),
                    mean_probability=float(own["probability"].mean()),
                    share_leukaemic=float((own["label"] == LEUKAEMIC).mean()),
                )
            )
    return tuple(found)


def list_confident_errors(table: pd.DataFrame, n: int = 24) -> pd.DataFrame:
    """The incorrectly classified cells, the most confident first.

    Args:
        table: a normalised predictions table.
        n: maximum number of cells.

    Returns:
        The table's rows with two columns more: `call`, and `confidence`, the probability that the
        network gave to the wrong class.
    """
    called = build_cohort(table).called
    errors = table.assign(
        call=np.where(called, LEUKAEMIC, NORMAL),
        confidence=np.where(called, table["probability"], 1 - table["probability"]),
    ).loc[called != (table["label"] == LEUKAEMIC).to_numpy()]
    ordered: pd.DataFrame = errors.sort_values(["confidence", "image"], ascending=[False, True])
    return ordered.head(n).reset_index(drop=True)
