"""Image-quality warnings, found before any network sees the image: a sentence a fault.

The limits are a `QualityLimits`, measured from a model's training cells, and lie just outside
their range: so a warning says that something is wrong with the image, not that a cell is rare.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import cv2
import numpy as np

from leukoscope.arrays import BoolArray, UInt8Array
from leukoscope.cells.crop import CROP_PX, compute_foreground, find_inside
from leukoscope.datasets.spec import DatasetSpec, QualityLimits

if TYPE_CHECKING:  # checking an image needs no table
    import pandas as pd

__all__ = ["CellQuality", "describe_quality", "find_warnings", "measure_limits", "measure_quality"]

_MAX_SHARE = 0.75  # of the crop that may be foreground where cells are cut out on black
_BORDER = 0.5  # of the border that is foreground: as much on a bright ground, little on black
_FULL = 0.9  # of one image's edge: a cell that is cut tightly may reach half of it
_PIECE = 0.1  # a second body, as a share of the first; a cell that is cut out has none
_BLURRED = (0.005, 1.1)  # share of the training cells, and factor below it, of low sharpness
_RIM_PX = 3  # left out where sharpness is measured: the cut edge is sharp in any image
_NO_CELL = 0.5  # of the smallest usual area: below, there is no cell

_USUAL = 0.001  # share of the training cells beyond a limit on either side, before it is widened
_WIDER = 0.35  # of the usual range, on either side
_TIMES = 1.3  # areas and sharpness: factor on either side
_RARE = 0.05  # share of the training cells up to which a feature gives a warning


@dataclass(frozen=True)
class CellQuality:
    """What the image-quality checks use, measured from one crop; NaN without foreground.

    Attributes:
        area: foreground pixels.
        bodies: pieces of foreground of more than a tenth of the largest.
        cut: whether foreground reaches the edge of the image, or of the crop within it.
        border: share of the pixels at that edge that are foreground, 0 to 1.
        hue: degrees, of the foreground's mean colour.
        saturation: 0 to 1, likewise.
        brightness: 0 to 1, likewise.
        sharpness: fine detail of green inside the foreground, relative to its brightness: low where
            out of focus, high where noisy.
    """

    area: int = 0
    bodies: int = 0
    cut: bool = False
    border: float = 0.0
    hue: float = math.nan
    saturation: float = math.nan
    brightness: float = math.nan
    sharpness: float = math.nan


def measure_quality(
    crop: UInt8Array, inside: tuple[slice, slice] = (slice(None), slice(None))
) -> CellQuality:
    """Measure one crop.

    Args:
        crop: uint8 (225, 225, 3), RGB.
        inside: rows and columns that show the image; by default all. Around it is black padding,
            which is no background of the cell.
    """
    foreground = compute_foreground(crop)
    area = int(np.count_nonzero(foreground))
    if not area:
        return CellQuality()
    _, _, facts, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8))
    pieces = facts[1:, cv2.CC_STAT_AREA]
    shown = foreground[inside]
    edge = np.concatenate([*shown[[0, -1]], *shown[1:-1, [0, -1]].T])
    mean = crop[foreground].mean(axis=0, dtype=np.float32).reshape(1, 1, 3) / 255
    hue, saturation, brightness = map(float, cv2.cvtColor(mean, cv2.COLOR_RGB2HSV)[0, 0])
    return CellQuality(
        area=area,
        bodies=int((pieces > _PIECE * pieces.max()).sum()),
        cut=bool(edge.any()),
        border=float(edge.mean()),
        hue=hue,
        saturation=saturation,
        brightness=brightness,
        sharpness=_measure_sharpness(crop[..., 1], foreground),
    )


def _measure_sharpness(green: UInt8Array, foreground: BoolArray) -> float:
    inner = cv2.erode(foreground.astype(np.uint8), np.ones((2 * _RIM_PX + 1,) * 2, np.uint8)) > 0
    if not inner.any():
        return math.nan
    detail = cv2.Laplacian(green.astype(np.float32), cv2.CV_32F)[inner].std()
    return float(detail / (green[inner].mean() + 1))


def measure_limits(table: pd.DataFrame) -> QualityLimits | None:
    """The range of the training cells, a little widened.

    All but 1 in 1,000 on either side of a measure, and a third of that range more; a factor of 1.3
    more where the measure has no upper end. Low sharpness is a tenth
    below what 1 in 200 cells have: with people of C-NMC held out, 85% of cells blurred by 1 px of
    the crop are below it, 99% of those by 2 px, and 0.1% of cells as they are.

    Args:
        table: one row a cell with the columns of `CellQuality`, as the cell store keeps them.

    Returns:
        The limits; None where no cell has a foreground.
    """
    seen = table[[field.name for field in fields(CellQuality)]].dropna()
    if seen.empty:
        return None
    low, high = (seen.astype(float).quantile(share) for share in (_USUAL, 1 - _USUAL))

    def widen(name: str) -> tuple[float, float]:
        margin = _WIDER * (high[name] - low[name])
        return (max(0.0, float(low[name] - margin)), min(1.0, float(high[name] + margin)))

    def stretch(name: str) -> tuple[float, float]:
        return (float(low[name] / _TIMES), float(high[name] * _TIMES))

    return QualityLimits(
        black_background=bool(seen["border"].median() < _BORDER),
        whole=bool(seen["cut"].mean() <= _RARE),
        single=bool((seen["bodies"] > 1).mean() <= _RARE),
        area_px=stretch("area"),
        hue_deg=_measure_hues(seen["hue"]),
        saturation=widen("saturation"),
        brightness=widen("brightness"),
        sharpness=(
            float(seen["sharpness"].astype(float).quantile(_BLURRED[0]) / _BLURRED[1]),
            stretch("sharpness")[1],
        ),
    )


def _measure_hues(hues: pd.Series) -> tuple[float, float]:
    """As `measure_limits`, about the mean direction: a range may go through 0."""
    angles = np.deg2rad(hues.to_numpy(np.float64))
    middle = np.rad2deg(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean()))
    off = (hues.to_numpy(np.float64) - middle + 180) % 360 - 180
    low, high = np.quantile(off, [_USUAL, 1 - _USUAL])
    margin = _WIDER * (high - low)
    if high - low + 2 * margin >= 360:
        return (0.0, 360.0)
    return (float((middle + low - margin) % 360), float((middle + high + margin) % 360))


def find_warnings(rgb: UInt8Array, crop: UInt8Array, spec: DatasetSpec) -> Iterator[str]:
    """Find the image-quality warnings of an image.

    Args:
        rgb: uint8 (height, width, 3), as it was read.
        crop: uint8 (225, 225, 3), cut from it.
        spec: of the images that the network was trained on.
    """
    found = measure_quality(crop, find_inside(rgb.shape, spec.crop)) if spec.quality else None
    yield from describe_quality(found, rgb.shape[1], rgb.shape[0], spec)


def describe_quality(
    found: CellQuality | None, width: int, height: int, spec: DatasetSpec
) -> Iterator[str]:
    """The same of an image of that size, in pixels, whose crop was measured before."""
    if not spec.crop.knows(width, height):
        known = " or ".join(f"{side}×{side}" for side in spec.crop.known_frames)
        yield f"{width}×{height} pixels, not {known}: the cell's scale is unknown"
    limits = spec.quality
    if limits is None or found is None:
        return
    filled = found.border > _FULL or found.area > max(_MAX_SHARE * CROP_PX**2, limits.area_px[1])
    if found.area < _NO_CELL * limits.area_px[0]:
        yield "no cell found"
    elif limits.black_background and filled:
        field = ": a whole field?" if min(height, width) > 2 * spec.crop.frame_px else ""
        yield f"the background is not black{field or ':'} cut the cell out first"
    else:
        yield from _look_at_outline(found, spec.name, limits)
        yield from _look_at_colour(found, spec.name, limits)
        yield from _look_at_sharpness(found, limits)


def _look_at_outline(found: CellQuality, name: str, limits: QualityLimits) -> Iterator[str]:
    if limits.single and found.bodies > 1:
        yield f"{found.bodies} separate bodies: expected one cell"
    elif found.area > limits.area_px[1]:
        yield f"larger than any cell of {name}: several cells in one, or another scale"
    elif found.area < limits.area_px[0]:
        yield f"smaller than any cell of {name}: a piece of one, or another scale"
    if limits.whole and found.cut:
        yield "the cell reaches the edge of the image"


def _look_at_colour(found: CellQuality, name: str, limits: QualityLimits) -> Iterator[str]:
    low, high = limits.hue_deg
    usual_hue = low <= found.hue <= high if low <= high else not high < found.hue < low
    inside = (
        limits.saturation[0] <= found.saturation <= limits.saturation[1]
        and limits.brightness[0] <= found.brightness <= limits.brightness[1]
    )
    if not (usual_hue and inside):
        yield f"its colour differs from that of the stained cells of {name}"


def _look_at_sharpness(found: CellQuality, limits: QualityLimits) -> Iterator[str]:
    if found.sharpness < limits.sharpness[0]:
        yield "out of focus, or smoothed"
    elif found.sharpness > limits.sharpness[1]:
        yield "noisy, sharpened or strongly compressed"
