"""Novelty: how far a cell lies from the training cells, by the network's own features.

Mahalanobis distance (Lee et al., 2018, arXiv 1807.03888) of the features, standardised and brought
to their first principal components: how many deviations a crop lies off, over the directions in
which cells differ. A matrix and an offset are all it takes, so it goes into the exported network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

__all__ = ["Novelty", "fit_novelty"]

FloatArray = npt.NDArray[np.float64]

_COMPONENTS = 64
_FLOOR = 1e-6  # of a deviation: a constant feature carries no information
_NOTHING = 1e-15  # variance, in squared units of the floor, that float64 makes by rounding


@dataclass(frozen=True)
class Novelty:
    """Features → distance: the length of `features @ kernel + bias`.

    Attributes:
        kernel: float64 (features, components).
        bias: float64 (components,).
    """

    kernel: FloatArray
    bias: FloatArray

    def compute(self, features: npt.NDArray[np.floating]) -> FloatArray:
        """Distances, float64 (n,), of features (n, features); 0 or more."""
        components = np.asarray(features, np.float64) @ self.kernel + self.bias
        return np.asarray(np.linalg.norm(components, axis=1))

    def divide(self, limit: float) -> Novelty:
        """The same in units of a limit: 1 where it lies."""
        return replace(self, kernel=self.kernel / limit, bias=self.bias / limit)


def fit_novelty(features: npt.NDArray[np.floating]) -> Novelty:
    """Fit the distribution of the training cells.

    Args:
        features: (n, features), of training cells, n of 2 or more.

    Returns:
        Distances of components with a deviation of 1 among these cells: of 64 components, or of as
        many as there are; 0 everywhere where no feature differs between cells.
    """
    values = np.asarray(features, np.float64)
    mean, deviation = values.mean(axis=0), np.maximum(values.std(axis=0), _FLOOR)
    standard = (values - mean) / deviation
    variances, directions = np.linalg.eigh(standard.T @ standard / len(standard))
    kept = np.flatnonzero(variances > max(_FLOOR * variances.max(), _NOTHING))[::-1][:_COMPONENTS]
    if not len(kept):
        return Novelty(np.zeros((values.shape[1], 1)), np.zeros(1))
    kernel = directions[:, kept] / np.sqrt(variances[kept]) / deviation[:, None]
    return Novelty(kernel, -mean @ kernel)
