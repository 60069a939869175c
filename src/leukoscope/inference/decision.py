"""Out-of-fold predictions → calibration, thresholds, abstention. The only place that chooses them.

A network's output is not a probability until it is calibrated. Calibration is a straight line on
the logit (Platt, 1999), which keeps the order of the cells. Two thresholds:
`threshold`, where sensitivity + specificity is largest (Youden, 1950), and `sensitive_threshold`,
where 95% of the leukaemic cells are found. A person's cells weigh 1/√n each, so that no person with
hundreds of cells dominates, and the classes weigh as their cells do.

Abstention: a class belongs to a cell's conformal prediction set unless the cell looks less like it
than 90% of that class's cells do, people equally weighted and one more added for the new person
(hierarchical conformal prediction; Lee, Barber and Willett, 2023, arXiv 2306.06342). The conformal
call is the one class in the set, else "uncertain": a cell like neither class is taken for one that
may be of either, so an empty set counts as a full one, which can only raise the coverage. And
`novelty_limit` is the distance from the training cells (`novelty`) that 5% of the cells of unseen
people exceed.

In context: in practice a person's cells come together and share one true label. In this separate
mode a cell takes the mean logit of all its subject's cells (`average_by_subject`). It is never
mixed into the scores of single cells.

What is reported of a run is chosen on the cells of other people: each fold is calibrated on the
held-out cells of the other folds (`decide_by_fold`), the final network on those of all folds
(`fit_decision`). This is cross-fitting, not independence: the networks that scored those cells were
trained on this fold's people, and the final network is another than the folds'. So the theorem of
hierarchical conformal prediction, which wants one network that has seen none of the people, does
not apply as it stands (as for cross-conformal prediction: Vovk, 2015); that 9 of 10 cells are
covered is a target, and the report says what was reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from leukoscope.arrays import FloatArray
from leukoscope.labels import LEUKAEMIC
from leukoscope.logits import compute_logit, compute_probability
from leukoscope.records import Decision

if TYPE_CHECKING:  # predicting an image loads this module, and needs no table
    import pandas as pd

__all__ = [
    "COVERAGE",
    "SENSITIVITY",
    "average_by_subject",
    "calibrate",
    "decide_by_fold",
    "fit_decision",
]

SENSITIVITY = 0.95
"""Share of leukaemic cells found at the sensitive threshold."""

COVERAGE = 0.90
"""Share of a new person's cells whose prediction set holds the true label."""

USUAL = 0.95
"""Share of unseen people's cells within the novelty limit."""

_LEAST_SLOPE = 0.05  # below, the network orders the cells no better than chance


def fit_decision(table: pd.DataFrame, column: str = "probability") -> Decision:
    """Choose calibration, thresholds and limits on cells that the network was not trained on.

    Args:
        table: columns label, group (or subject) and `column`, raw outputs from 0 to 1; and where
            known novelty, distances from the training cells.
        column: the outputs to calibrate.

    Returns:
        The default decision where it cannot be chosen: one class only, or outputs that order the
        cells no better than chance.
    """
    from sklearn.linear_model import LogisticRegression

    limit = float(table["novelty"].quantile(USUAL)) if "novelty" in table and len(table) else 1.0
    limit = limit or 1.0  # 0: the features of no network differ between cells
    nothing = Decision(novelty_limit=limit)
    leukaemic = (table["label"] == LEUKAEMIC).to_numpy()
    if leukaemic.all() or not leukaemic.any():
        return nothing
    raw, weight = table[column].to_numpy(np.float64), _weigh(table, leukaemic)
    model = LogisticRegression(C=1e6).fit(
        compute_logit(raw)[:, None], leukaemic, sample_weight=weight
    )
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope < _LEAST_SLOPE:
        return nothing
    probability = _apply_line(raw, slope, intercept)
    found, alarms, cuts = _compute_rates(probability, leukaemic, weight)
    person = _find_people(table).to_numpy()
    return Decision(
        slope=slope,
        intercept=intercept,
        threshold=float(cuts[np.argmax(found - alarms)]),
        sensitive_threshold=float(cuts[np.searchsorted(found, SENSITIVITY - 1e-9)]),
        conformal_lower=1 - _find_edge(1 - probability[leukaemic], person[leukaemic]),
        conformal_upper=_find_edge(probability[~leukaemic], person[~leukaemic]),
        novelty_limit=limit,
    )


def calibrate(raw: npt.ArrayLike, decision: Decision) -> FloatArray:
    """Raw outputs, (n,) from 0 to 1 → calibrated probabilities, float64 (n,)."""
    return _apply_line(np.asarray(raw, np.float64), decision.slope, decision.intercept)


def decide_by_fold(table: pd.DataFrame, column: str = "probability") -> pd.DataFrame:
    """Calibrate every fold, and choose its thresholds and limits, on the cells of the other folds.

    Args:
        table: as `fit_decision`, with column fold. With a single fold, nothing can be chosen.
        column: the outputs to calibrate.

    Returns:
        Columns probability, threshold, sensitive_threshold, conformal_call, and where the
        table has it novelty, 1 at the limit; rows as in `table`.
    """
    found = table[[]].copy()
    for fold in table["fold"].unique():
        own = table["fold"] == fold
        decision = fit_decision(table[~own], column)
        probability = calibrate(table.loc[own, column], decision)
        found.loc[own, "probability"] = probability
        found.loc[own, "threshold"] = decision.threshold
        found.loc[own, "sensitive_threshold"] = decision.sensitive_threshold
        found.loc[own, "conformal_call"] = [
            decision.find_conformal_call(value) for value in probability
        ]
        if "novelty" in table:
            found.loc[own, "novelty"] = table.loc[own, "novelty"] / decision.novelty_limit
    return found


def average_by_subject(table: pd.DataFrame, column: str = "probability") -> FloatArray:
    """Each cell's output in the context of its subject: the mean logit, as 0 to 1, float64 (n,)."""
    logit = table.assign(logit=compute_logit(table[column]))
    mean = logit.groupby("subject")["logit"].transform("mean").to_numpy()
    return compute_probability(mean)


def _find_people(table: pd.DataFrame) -> pd.Series:
    return table["group"] if "group" in table else table["subject"]


def _find_edge(strangeness: FloatArray, person: npt.NDArray[np.object_]) -> float:
    """The nonconformity up to which a class belongs to the set, 0 to 1; 1 where all of it does.

    The quantile over one class's cells, people equally weighted, with one more person whose cells
    may have any value.
    """
    names, code = np.unique(person.astype(str), return_inverse=True)
    order = np.argsort(strangeness, kind="stable")
    mass = np.cumsum(1 / np.bincount(code)[code[order]])
    place = int(np.searchsorted(mass, COVERAGE * (len(names) + 1) - 1e-9))
    return float(strangeness[order[place]]) if place < len(order) else 1.0


def _weigh(table: pd.DataFrame, leukaemic: npt.NDArray[np.bool_]) -> FloatArray:
    """Weight of each cell: 1/√(cells of the person), each class summing to its number of cells."""
    person = _find_people(table)
    weight = 1 / np.sqrt(person.groupby(person).transform("size").to_numpy(np.float64))
    for truth in (True, False):
        own = leukaemic == truth
        weight[own] *= own.sum() / weight[own].sum()
    return np.asarray(weight)


def _apply_line(raw: FloatArray, slope: float, intercept: float) -> FloatArray:
    if (slope, intercept) == (1, 0):
        return raw.copy()
    return compute_probability(slope * compute_logit(raw) + intercept)


def _compute_rates(
    probability: FloatArray, leukaemic: npt.NDArray[np.bool_], weight: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Share of leukaemic and of normal cells at or above each cut; cuts fall, (cuts,) each."""
    order = np.argsort(-probability, kind="stable")
    sorted_probability, truth, mass = probability[order], leukaemic[order], weight[order]
    ends = np.append(np.flatnonzero(np.diff(sorted_probability)), len(order) - 1)
    found = np.cumsum(mass * truth)[ends] / mass[truth].sum()
    alarms = np.cumsum(mass * ~truth)[ends] / mass[~truth].sum()
    return found, alarms, sorted_probability[ends]
