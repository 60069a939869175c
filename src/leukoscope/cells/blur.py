"""Blur within the cell's outline: the black background does not contribute."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["blur_within"]

_LEAST = 1e-6  # of the weight about a pixel; above it wherever a pixel of the cell is near


def blur_within(
    values: npt.NDArray[Any], cell: npt.NDArray[Any], sigma: float
) -> npt.NDArray[np.float32]:
    """Gaussian mean over the cell's own pixels (normalised convolution; Knutsson & Westin, 1993).

    Args:
        values: (height, width) or (height, width, channels).
        cell: (height, width), true or 1 where the cell is.
        sigma: of the Gaussian, px.

    Returns:
        float32, shaped as `values`; what it holds outside the cell means nothing.
    """
    weight = cell.astype(np.float32)
    mass = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), _LEAST)
    spread = (..., None) if values.ndim == 3 else ...
    total = cv2.GaussianBlur(values.astype(np.float32) * weight[spread], (0, 0), sigma)
    return np.asarray(total / mass[spread], np.float32)
