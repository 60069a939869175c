"""Cover a patch, predict again: places that change the prediction drive it (Zeiler & Fergus 2014).

A patch is not covered with black, which would draw an outline that no cell has, but with the
cell's own blurred content: its detail goes, its colour and its outline stay. Patches are soft discs
whose radius is a tenth of the cell's diameter. So the map shows the effect of places inside the
cell; size and outline are not local and not in it. Their effect shows in the prediction for the
flat cell, blurred as a whole (`flatten_cell`), with the caveat that such a cell is
out-of-distribution.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from leukoscope.arrays import UInt8Array
from leukoscope.cells.blur import blur_within
from leukoscope.cells.crop import compute_foreground
from leukoscope.logits import compute_logit

__all__ = ["BoolArray", "FloatArray", "Predict", "compute_map", "flatten_cell"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

Predict = Callable[[UInt8Array], FloatArray]
"""uint8 crops (n, 225, 225, 3) → probability of leukaemic, float64 (n,)."""

_RADIUS = 0.10  # of a patch, over the cell's diameter
_STEP = 1.0  # between patches, over their radius
_FLAT_SIGMA = 0.20  # of the blur that flattens, over the cell's diameter
_AT_ONCE = 64  # covered crops held in memory


def flatten_cell(crop: UInt8Array) -> UInt8Array:
    """The cell without its detail: its outline and its slow changes of colour.

    Args:
        crop: uint8 (225, 225, 3), RGB, black background.

    Returns:
        The same shape; the background is untouched.
    """
    cell = compute_foreground(crop)
    if not cell.any():
        return crop.copy()
    blurred = blur_within(crop, cell, _FLAT_SIGMA * _find_diameter(cell))
    flat = np.clip(np.rint(blurred), 0, 255).astype(np.uint8)
    return np.where(cell[..., None], flat, crop)


def compute_map(
    crop: UInt8Array, predict: Predict, cover: UInt8Array | None = None
) -> tuple[FloatArray, int]:
    """How much each place of the cell speaks for leukaemic.

    Args:
        crop: uint8 (225, 225, 3), RGB, black background.
        predict: the network.
        cover: what patches are covered with, shaped as the crop; by default the flat cell.

    Returns:
        float64 (225, 225): change of the logit of leukaemic for each pixel covered there; above 0
        where the cell's detail speaks for leukaemic, below 0 where it speaks for normal, 0 outside
        the cell. And the number of forward passes.
    """
    cell = compute_foreground(crop)
    found = np.zeros(cell.shape)
    if not cell.any():
        return found, 0
    cover = flatten_cell(crop) if cover is None else cover
    before = compute_logit(predict(crop[None]))[0]
    radius = max(2.0, _RADIUS * _find_diameter(cell))
    centres = _place_patches(cell, radius)
    total, mass = np.zeros(cell.shape), np.zeros(cell.shape)
    for start in range(0, len(centres), _AT_ONCE):
        patches = [_draw_patch(cell, centre, radius) for centre in centres[start:][:_AT_ONCE]]
        covered = np.stack([_blend(crop, cover, patch) for patch in patches])
        change = before - compute_logit(predict(covered))
        for patch, difference in zip(patches, change, strict=True):
            total += patch * difference / max(patch.sum(), 1e-6)
            mass += patch
    found = np.divide(total, mass, out=found, where=mass > 1e-3)
    return np.where(cell, found, 0), len(centres) + 1


def _find_diameter(cell: BoolArray) -> float:
    """Of the disc of the same area, px."""
    return float(2 * np.sqrt(np.count_nonzero(cell) / np.pi))


def _place_patches(cell: BoolArray, radius: float) -> list[tuple[float, float]]:
    """Centres (y, x) of a triangular grid that lie in the cell, one at least."""
    rows, columns = np.nonzero(cell)
    step = _STEP * radius
    centres = [
        (y, x)
        for number, y in enumerate(np.arange(rows.min() + step / 2, rows.max() + 1, step * 0.866))
        for x in np.arange(columns.min() + (step / 2 if number % 2 else 0), columns.max() + 1, step)
        if cell[int(y), int(x)]
    ]
    return centres or [(float(rows.mean()), float(columns.mean()))]


def _draw_patch(
    cell: BoolArray, centre: tuple[float, float], radius: float
) -> npt.NDArray[np.float32]:
    """How far each pixel is covered, 0 to 1: a disc whose edge fades over half its radius."""
    y, x = np.ogrid[: cell.shape[0], : cell.shape[1]]
    distance = np.hypot(y - centre[0], x - centre[1])
    return np.asarray(np.clip((radius - distance) / (radius / 2), 0, 1) * cell, np.float32)


def _blend(crop: UInt8Array, cover: UInt8Array, patch: npt.NDArray[np.float32]) -> UInt8Array:
    share = patch[..., None]
    return np.asarray(np.rint(crop * (1 - share) + cover * share), np.uint8)
