"""Probability ↔ log odds, finite at 0 and 1 too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["PROBABILITY_FLOOR", "compute_logit", "compute_probability"]

FloatArray = npt.NDArray[np.float64]

PROBABILITY_FLOOR = 1e-6
"""Of a probability and of its complement, so that its log odds are finite."""


def compute_logit(probability: npt.ArrayLike) -> FloatArray:
    """Log odds of probabilities, 0 to 1, kept within ±13.8: float64, of the same shape."""
    inside = np.clip(np.asarray(probability, np.float64), PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return np.asarray(special.logit(inside))


def compute_probability(logit: npt.ArrayLike) -> FloatArray:
    """The inverse of `compute_logit`, 0 to 1: float64, of the same shape."""
    return np.asarray(special.expit(np.asarray(logit, np.float64)))
