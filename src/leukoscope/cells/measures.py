"""One crop → morphological measures of its cell, and their percentiles among training cells.

Area, outline (roundness, solidity), nucleus, chromatin texture and colour. All lengths are pixels
of the crop (half of the image's), as no image says its scale. Sources:

    roundness      4πA/P² (Cox 1927), from a smoothed outline: a staircase of pixels has too long a
                   perimeter
    solidity       area over area of the convex hull
    nucleus        Otsu's threshold (1979) on green, where the stain absorbs most; given only where
                   the two classes are well separated, the dark one is a single body and the bright
                   one is bluish. Of the cell, not of the cytoplasm: percentiles are the same
    texture        contrast of green between two blurs (band-limited contrast, Peli 1990), of the
                   fraction of light that passes, in three octaves
    stain, hue     mean absorbance of green, and hue of the mean colour

A model file keeps the quantiles of its training cells' measures (`records.TrainingMeasures`), to
compute a value's percentiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.arrays import UInt8Array
from leukoscope.cells.blur import blur_within
from leukoscope.cells.crop import compute_foreground
from leukoscope.labels import LABELS
from leukoscope.machine import count_workers
from leukoscope.records import ClassMeasures, TrainingMeasures

__all__ = [
    "MEASURES",
    "MIN_AREA",
    "PERCENTS",
    "Measure",
    "compute_measure_quantiles",
    "compute_measures",
    "find_percentile",
]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

MIN_AREA = 200
"""Pixels of the crop below which there is no cell to measure."""

PERCENTS = tuple(float(percent) for percent in range(0, 101, 5))
"""Where quantiles are kept."""

_OUTLINE_SIGMA = 3.0  # px along the outline
_NUCLEUS_SIGMA = 1.5  # px; the nucleus is a body, its chromatin is not
_MIN_SEPARATION = 0.7  # share of green's variance between Otsu's classes; a flat histogram has 0.75
_MIN_GAP = 0.4  # least difference of the classes' mean green, as a share of the brighter
_MIN_BLUE = 5.0  # least mean of blue minus red in the cytoplasm: red cells beside it are pink
_MIN_BODY = 0.9  # least share of the dark pixels in one piece
_MAX_HOLES = 0.1  # greatest share of the body that is bright: more is chromatin, not cytoplasm
_MIN_CYTOPLASM = 0.03  # least share of the inside that is bright
_RIM = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))  # 4 px: the cut edge is no chromatin
_BANDS = {"texture_fine": 1.0, "texture_medium": 2.0, "texture_coarse": 4.0}
_MIN_CELLS = 20  # that a class's quantiles need: each stands for 5% of them


@dataclass(frozen=True)
class Measure:
    """Definition of a measure.

    Attributes:
        name: key in files.
        title: shown to users.
        unit: "" where it has none.
        digits: after the point.
    """

    name: str
    title: str
    unit: str
    digits: int


MEASURES = (
    Measure("area", "Area", "px", 0),
    Measure("roundness", "Roundness", "", 3),
    Measure("solidity", "Solidity", "", 3),
    Measure("nucleus_share", "Nucleus, share of the cell", "", 2),
    Measure("texture_fine", "Chromatin texture, fine (1–2 px)", "", 4),
    Measure("texture_medium", "Chromatin texture, medium (2–4 px)", "", 4),
    Measure("texture_coarse", "Chromatin texture, coarse (4–8 px)", "", 4),
    Measure("stain", "Depth of stain", "", 3),
    Measure("hue", "Hue", "°", 0),
)
"""All measures, in the order to show. A new one is a line here and one in `compute_measures`."""


def compute_measures(crop: UInt8Array) -> dict[str, float | None]:
    """Measure one cell.

    Args:
        crop: uint8 (225, 225, 3), RGB, black background.

    Returns:
        Name of a measure → value. None where it is undefined: the nucleus where green does not
        split in two, everything where there is no cell.
    """
    cell = compute_foreground(crop)
    if np.count_nonzero(cell) < MIN_AREA:
        return {measure.name: None for measure in MEASURES}
    green = crop[..., 1].astype(np.float32)
    return {
        "area": float(np.count_nonzero(cell)),
        **_measure_outline(cell),
        "nucleus_share": _measure_nucleus(crop, cell),
        **_measure_texture(green, cell),
        **_measure_colour(crop, cell),
    }


def _measure_outline(cell: BoolArray) -> dict[str, float | None]:
    """Roundness and solidity, each at most 1, of the largest piece."""
    outlines, _ = cv2.findContours(cell.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = max(outlines, key=len)[:, 0].astype(np.float32)
    reach = int(3 * _OUTLINE_SIGMA)
    weights = cv2.getGaussianKernel(2 * reach + 1, _OUTLINE_SIGMA).ravel()
    smooth = sum(
        weight * np.roll(points, shift, axis=0)
        for weight, shift in zip(weights, range(-reach, reach + 1), strict=True)
    )
    outline = np.asarray(smooth, np.float32)[:, None]
    area, perimeter = cv2.contourArea(outline), cv2.arcLength(outline, True)
    hull = cv2.contourArea(cv2.convexHull(outline))
    if not (perimeter and hull):
        return {"roundness": None, "solidity": None}
    return {"roundness": 4 * np.pi * area / perimeter**2, "solidity": area / hull}


def _measure_nucleus(crop: UInt8Array, cell: BoolArray) -> float | None:
    """Area of the nucleus over that of the cell, 0 to 1; None where the split is unreliable.

    Split where the cell is whole: at its cut edge pixels mix with the bright background, and every
    cell would seem to have a rim.
    """
    inside = _cut_rim(cell)
    if np.count_nonzero(inside) < MIN_AREA:
        return None
    green = blur_within(crop[..., 1], cell, _NUCLEUS_SIGMA)
    levels = np.clip(green[inside], 0, 255).astype(np.uint8)
    cut, _ = cv2.threshold(levels[:, None], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    dark = levels <= cut
    if dark.all() or not dark.any():
        return None
    low, high = float(levels[dark].mean()), float(levels[~dark].mean())
    share = float(dark.mean())
    separation = share * (1 - share) * (high - low) ** 2 / float(levels.var())
    if separation < _MIN_SEPARATION or high - low < _MIN_GAP * high or 1 - share < _MIN_CYTOPLASM:
        return None
    red, _, blue = crop[inside][~dark].mean(axis=0)
    if blue - red < _MIN_BLUE:
        return None
    mask = np.zeros(cell.shape, np.uint8)
    mask[inside] = dark
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(outlines, key=cv2.contourArea)
    body = cv2.drawContours(np.zeros_like(mask), [largest], -1, 1, cv2.FILLED)
    holes = np.count_nonzero(body & ~mask & 1) / np.count_nonzero(body)
    if np.count_nonzero(mask & body) < _MIN_BODY * np.count_nonzero(mask) or holes > _MAX_HOLES:
        return None
    rim = cell & ~inside  # goes to what lies nearest
    nucleus = body.astype(bool) | (cv2.dilate(body, _RIM).astype(bool) & rim)
    return float(np.count_nonzero(nucleus) / np.count_nonzero(cell))


def _measure_texture(green: FloatArray, cell: BoolArray) -> dict[str, float | None]:
    """Standard deviation of (blur σ - blur 2σ) / blur 4σ of green, well inside the cell."""
    inside = _cut_rim(cell)
    if np.count_nonzero(inside) < MIN_AREA:
        return dict.fromkeys(_BANDS)
    found: dict[str, float | None] = {}
    for name, sigma in _BANDS.items():
        near, far, around = (blur_within(green, cell, sigma * times) for times in (1, 2, 4))
        found[name] = float(((near - far)[inside] / np.maximum(around[inside], 1)).std())
    return found


def _measure_colour(crop: UInt8Array, cell: BoolArray) -> dict[str, float | None]:
    """Mean absorbance of green, -log10(green / 255), and hue of the mean colour in degrees."""
    pixels = crop[cell].astype(np.float32)
    stain = float(-np.log10(np.maximum(pixels[:, 1], 1) / 255).mean())
    hue, saturation, _ = cv2.cvtColor(pixels.mean(axis=0)[None, None] / 255, cv2.COLOR_RGB2HSV)[
        0, 0
    ]
    return {"stain": stain, "hue": float(hue) if saturation > 0 else None}


def _cut_rim(cell: BoolArray) -> BoolArray:
    """The cell without its outermost pixels; what lies beyond the crop counts as black."""
    padded = cv2.copyMakeBorder(cell.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.erode(padded, _RIM)[1:-1, 1:-1].astype(bool))


def compute_measure_quantiles(
    crops: Iterable[UInt8Array], labels: Sequence[str], people: Sequence[str]
) -> TrainingMeasures:
    """Measure cells, and keep the quantiles of both classes; every cell has equal weight.

    Args:
        crops: n of uint8 (225, 225, 3), RGB; one after the other, so that they may be read late.
        labels: n of leukaemic, normal.
        people: n names, to count.

    Returns:
        The quantiles; none of a measure that fewer than 20 cells of a class have.
    """
    with ThreadPoolExecutor(count_workers()) as pool:
        rows = list(pool.map(lambda crop: compute_measures(np.asarray(crop)), crops))
    cells = list(zip(rows, labels, people, strict=True))
    found = {label: [(row, who) for row, word, who in cells if word == label] for label in LABELS}
    return TrainingMeasures(
        PERCENTS,
        {
            label: _compute_class([row for row, _ in own], len({who for _, who in own}))
            for label, own in found.items()
        },
    )


def _compute_class(rows: Sequence[Mapping[str, float | None]], people: int) -> ClassMeasures:
    known = {
        measure.name: [value for row in rows if (value := row[measure.name]) is not None]
        for measure in MEASURES
    }
    return ClassMeasures(
        cells=len(rows),
        people=people,
        measurable={name: len(values) for name, values in known.items()},
        quantiles={name: _compute_quantiles(values) for name, values in known.items()},
    )


def _compute_quantiles(values: Sequence[float]) -> tuple[float, ...]:
    if len(values) < _MIN_CELLS:
        return ()
    return tuple(float(f"{value:.5g}") for value in np.percentile(values, PERCENTS))


def find_percentile(
    measures: TrainingMeasures, label: str, name: str, value: float | None
) -> float | None:
    """Share of a class's cells below a value, 0 to 100, between the quantiles by a straight line.

    Args:
        measures: of the training cells.
        label: the class.
        name: of the measure.
        value: of the cell; None stays None, and so does a measure without quantiles.
    """
    known = measures.classes[label].quantiles.get(name)
    if value is None or not known:
        return None
    return float(np.interp(value, known, measures.percents))
