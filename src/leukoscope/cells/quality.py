"""What speaks against an image before any network sees it: a sentence a fault.

The limits lie just outside what C-NMC's cells show on the 225 px crop (docs/trust.md), so a warning
says that something is wrong with the image, not that a cell is rare.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import FRAME_PX, FRAMES_PX, compute_foreground

__all__ = ["find_warnings"]

_MAX_SHARE = 0.75  # of the crop that is not black
_SMALLEST, _SMALL, _LARGE = 800, 1600, 16_000  # px of a cell; C-NMC's have 2,013 to 12,711
_PIECE = 0.1  # a second body, as a share of the first; C-NMC's cells have none
_SMOOTH, _ROUGH = 0.04, 0.25  # deviation of the Laplacian over the mean; C-NMC's 0.055 to 0.189
_HUES = (255, 335)  # degrees of the mean colour; C-NMC's 272 to 316
_SATURATIONS = (0.38, 0.78)  # C-NMC's 0.455 to 0.702
_VALUES = (0.18, 0.55)  # C-NMC's 0.228 to 0.443
_RIM_PX = 3  # left out where sharpness is measured: the cut edge is sharp in any image


def find_warnings(rgb: UInt8Array, crop: UInt8Array) -> Iterator[str]:
    """Find what is wrong with an image.

    Args:
        rgb: uint8 (height, width, 3), as it was read.
        crop: uint8 (225, 225, 3), cut from it.
    """
    height, width = rgb.shape[:2]
    if width != height or width not in FRAMES_PX:
        yield f"{width}×{height} pixels, not 450×450 or 600×600: the cell's scale is unknown"
    foreground = compute_foreground(crop)
    area = int(np.count_nonzero(foreground))
    if area < _SMALLEST:
        yield "no cell to be seen"
    elif area > _MAX_SHARE * foreground.size:
        field = ": a whole field?" if min(height, width) > 2 * FRAME_PX else ""
        yield f"the background is not black{field or ':'} cut the cell out first"
    else:
        yield from _look_at_outline(foreground.astype(np.uint8), area)
        yield from _look_at_colour(crop, foreground)
        yield from _look_at_sharpness(crop[..., 1], foreground)


def _look_at_outline(mask: UInt8Array, area: int) -> Iterator[str]:
    _, _, facts, _ = cv2.connectedComponentsWithStats(mask)
    bodies = np.sort(facts[1:, cv2.CC_STAT_AREA])[::-1]
    several = int((bodies > _PIECE * bodies[0]).sum())
    if several > 1:
        yield f"{several} separate bodies: expected one cell"
    elif area > _LARGE:
        yield "larger than any cell of C-NMC: several cells in one, or another scale"
    elif area < _SMALL:
        yield "smaller than any cell of C-NMC: a piece of one, or another scale"
    edges = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    if any(edge.any() for edge in edges):
        yield "the cell reaches the edge of the image"


def _look_at_colour(crop: UInt8Array, foreground: np.ndarray) -> Iterator[str]:
    mean = crop[foreground].mean(axis=0, dtype=np.float32).reshape(1, 1, 3) / 255
    found = cv2.cvtColor(mean, cv2.COLOR_RGB2HSV)[0, 0]
    limits = (_HUES, _SATURATIONS, _VALUES)
    if any(not low <= value <= high for value, (low, high) in zip(found, limits, strict=True)):
        yield "its colour is unlike that of C-NMC's stained cells"


def _look_at_sharpness(green: UInt8Array, foreground: np.ndarray) -> Iterator[str]:
    """Fine detail, relative to the light: little where out of focus, much where noisy."""
    inner = cv2.erode(foreground.astype(np.uint8), np.ones((2 * _RIM_PX + 1,) * 2, np.uint8)) > 0
    if not inner.any():
        return
    detail = cv2.Laplacian(green.astype(np.float32), cv2.CV_32F)[inner].std()
    sharpness = detail / (green[inner].mean() + 1)
    if sharpness < _SMOOTH:
        yield "out of focus, or smoothed"
    elif sharpness > _ROUGH:
        yield "noisy, sharpened or strongly compressed"
