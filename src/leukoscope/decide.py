"""Out-of-fold predictions → calibration and thresholds. The only place where either is chosen.

A network's output is no probability until it is compared with what happened. Calibration is a
straight line on the logit (Platt, 1999), which keeps the order of the cells. Two thresholds:
`threshold`, where sensitivity + specificity is largest (Youden, 1950), and `sensitive_threshold`,
where 95% of the leukaemic cells are found. A person's cells weigh 1/√n each, so that nobody with
hundreds of cells decides alone, and the classes weigh as their cells do.

What is reported of a run is chosen without the people it is reported on: each held-out part takes
the calibration and thresholds of the other parts (`decide_by_part`). The final network takes those
of all parts (`fit_decision`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from leukoscope.labels import LEUKAEMIC

__all__ = ["Decision", "calibrate", "decide_by_part", "fit_decision"]

SENSITIVITY = 0.95
"""Share of leukaemic cells found at the sensitive threshold."""

FloatArray = npt.NDArray[np.float64]

_FLOOR = 1e-6  # of a probability, so that its logit is finite
_LEAST_SLOPE = 0.05  # below, the network orders the cells no better than chance


@dataclass(frozen=True)
class Decision:
    """How raw outputs become probabilities and calls.

    Attributes:
        slope: of the line on the logit, above 0.
        intercept: of the line on the logit.
        threshold: calibrated probability from which a cell is called leukaemic.
        sensitive_threshold: the same where 95% of the leukaemic cells are to be found.
    """

    slope: float = 1.0
    intercept: float = 0.0
    threshold: float = 0.5
    sensitive_threshold: float = 0.5


def fit_decision(table: pd.DataFrame, column: str = "probability") -> Decision:
    """Choose calibration and thresholds on cells that the network never saw.

    Args:
        table: columns label, group (or subject) and `column`, raw outputs from 0 to 1.
        column: the outputs to calibrate.

    Returns:
        The default decision where it cannot be chosen: one class only, or outputs that order the
        cells no better than chance.
    """
    from sklearn.linear_model import LogisticRegression

    leukaemic = (table["label"] == LEUKAEMIC).to_numpy()
    if leukaemic.all() or not leukaemic.any():
        return Decision()
    raw, weight = table[column].to_numpy(np.float64), _weigh(table, leukaemic)
    model = LogisticRegression(C=1e6).fit(_to_logit(raw)[:, None], leukaemic, sample_weight=weight)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope < _LEAST_SLOPE:
        return Decision()
    probability = _apply_line(raw, slope, intercept)
    found, alarms, cuts = _compute_rates(probability, leukaemic, weight)
    return Decision(
        slope=slope,
        intercept=intercept,
        threshold=float(cuts[np.argmax(found - alarms)]),
        sensitive_threshold=float(cuts[np.searchsorted(found, SENSITIVITY - 1e-9)]),
    )


def calibrate(raw: npt.ArrayLike, decision: Decision) -> FloatArray:
    """Raw outputs, (n,) from 0 to 1 → calibrated probabilities, float64 (n,)."""
    return _apply_line(np.asarray(raw, np.float64), decision.slope, decision.intercept)


def decide_by_part(table: pd.DataFrame, column: str = "probability") -> pd.DataFrame:
    """Calibrate every part, and choose its thresholds, on the cells of the other parts.

    Args:
        table: as `fit_decision`, with column part. Of a single part, nothing can be chosen.
        column: the outputs to calibrate.

    Returns:
        Columns probability, threshold and sensitive_threshold, float64, rows as in `table`.
    """
    found = pd.DataFrame(index=table.index, columns=_COLUMNS, dtype=np.float64)
    for part in table["part"].unique():
        own = table["part"] == part
        decision = fit_decision(table[~own], column)
        found.loc[own, "probability"] = calibrate(table.loc[own, column], decision)
        found.loc[own, "threshold"] = decision.threshold
        found.loc[own, "sensitive_threshold"] = decision.sensitive_threshold
    return found


_COLUMNS = ["probability", "threshold", "sensitive_threshold"]


def _weigh(table: pd.DataFrame, leukaemic: npt.NDArray[np.bool_]) -> FloatArray:
    """Weight of each cell: 1/√(cells of the person), the classes adding up to their cells."""
    person = table["group"] if "group" in table else table["subject"]
    weight = 1 / np.sqrt(person.groupby(person).transform("size").to_numpy(np.float64))
    for truth in (True, False):
        own = leukaemic == truth
        weight[own] *= own.sum() / weight[own].sum()
    return np.asarray(weight)


def _to_logit(raw: FloatArray) -> FloatArray:
    inside = np.clip(raw, _FLOOR, 1 - _FLOOR)
    return np.asarray(np.log(inside / (1 - inside)))


def _apply_line(raw: FloatArray, slope: float, intercept: float) -> FloatArray:
    if (slope, intercept) == (1, 0):
        return raw.copy()
    return np.asarray(1 / (1 + np.exp(-(slope * _to_logit(raw) + intercept))))


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
