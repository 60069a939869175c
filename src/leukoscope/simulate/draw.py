"""Latents → the photograph of one drawn cell, as absorbance, with what lies beside it.

Real C-NMC images are so smooth that half their resolution holds all of them. So a cell is drawn at
half the resolution of the file, on a square field about its centre as large as the cell needs;
`prepare` enlarges it. Lengths are pixels of the field, unless they are said to be the file's.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

__all__ = [
    "LATENTS",
    "NUCLEUS",
    "FloatArray",
    "Photograph",
    "draw_noise",
    "measure_square_distance",
    "photograph_cell",
]

FloatArray = npt.NDArray[np.float32]
Outline = npt.NDArray[np.float64]

LATENTS = ("coarseness", "nucleoli", "irregularity", "cytoplasm", "size")
"""What a cell is drawn from; each has a standard deviation of 1 within a class."""

NUCLEUS = np.array([0.55, 1.17, 0.31], np.float32)
"""Absorbance of a nucleus in R, G and B (natural logarithm), as in the mean real cell."""

_CYTOPLASM = np.array([0.36, 0.60, 0.09], np.float32)
_DEBRIS = np.array([0.24, 0.27, 0.17], np.float32)
_CHROMATIN = np.array([0.59, 0.76, 0.26], np.float32)  # from light to dark spots of a nucleus
_SHADE = np.array([0.80, -0.30, -0.55], np.float32)  # from its red to its blue parts
_MEDIAN_AREA = 7_900.0
_MARGIN = 26.0  # room for what touches the cell
_ANGLES = np.linspace(0.0, 2 * np.pi, 180, endpoint=False)


@dataclass(frozen=True)
class Photograph:
    """One cell on the glass, on a field of side × side pixels.

    Attributes:
        absorbance: float32 (3, side, side), RGB, natural logarithm; 0 is bare smear.
        inside: float32 (side, side), distance to the cell's edge, negative outside.
        inside_with_pieces: the same for the cell and what touches it.
    """

    absorbance: FloatArray
    inside: FloatArray
    inside_with_pieces: FloatArray


def photograph_cell(seed: tuple[int, ...], latents: npt.ArrayLike) -> Photograph:
    """Draw a cell and what lies beside it.

    Args:
        seed: of all that the latents leave open; the same seed and latents are the same cell.
        latents: (5,), in the order of `LATENTS`.
    """
    rng = np.random.default_rng(seed)
    coarseness, nucleoli, irregularity, cytoplasm, size = np.asarray(latents, np.float64)
    radius = np.sqrt(_MEDIAN_AREA * np.exp(0.25 * np.clip(size, -3.2, 3.2)) / np.pi)
    outline = radius * _draw_outline(rng, irregularity)
    rim = radius * 0.055 * np.exp(0.7 * np.clip(cytoplasm, -3, 2))
    rim = rim * (1 + rng.uniform(0.2, 0.9) * np.cos(_ANGLES - rng.uniform(0, 2 * np.pi)))
    side = 4 * int(np.ceil((outline.max() + _MARGIN) / 2))
    nucleus, body = _fill(outline - rim, side), _fill(outline, side)
    debris, neighbour = _draw_pieces(rng, outline, side)

    in_nucleus = cv2.GaussianBlur(np.maximum(nucleus, neighbour), (0, 0), 1.2)
    in_cytoplasm = np.maximum(cv2.GaussianBlur(body, (0, 0), 1.2) - in_nucleus, 0)
    depth = _blur_widely(nucleus, 12)
    chromatin = _draw_chromatin(rng, coarseness, side)
    chromatin -= _draw_nucleoli(rng, nucleoli, outline - 2 * rim, side)
    chromatin -= np.float32(0.10) * depth  # a nucleus is darkest, and bluest, near its edge
    shade = draw_noise(rng, side, 16, 0.03) + np.float32(0.10) * (1 - depth)
    mottle = 1 + draw_noise(rng, side, 2.5, 0.12)
    materials = (
        (in_nucleus, NUCLEUS),
        (in_nucleus * chromatin, _CHROMATIN),
        (in_nucleus * shade, _SHADE),
        (in_cytoplasm * mottle, _CYTOPLASM),
        (cv2.GaussianBlur(debris, (0, 0), 1.2) * mottle, _DEBRIS),
    )
    inside = _measure_inside(body)
    pieces = np.maximum(debris, neighbour)
    return Photograph(
        absorbance=np.stack([sum(m * colour[c] for m, colour in materials) for c in range(3)]),
        inside=inside,
        inside_with_pieces=np.maximum(inside, _measure_inside(pieces)) if pieces.any() else inside,
    )


def draw_noise(rng: np.random.Generator, side: int, grain: float, deviation: float) -> FloatArray:
    """Smooth noise: float32 (side, side), `grain` the standard deviation of its blur in pixels."""
    step = 4 if grain >= 8 else 2 if grain >= 3.5 else 1
    sigma = grain / step
    noise = rng.integers(256, size=(side // step, side // step), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), sigma)  # which makes it normal
    scale = deviation * 2 * np.sqrt(np.pi) * sigma / 73.9  # 73.9: deviation of a byte
    return _enlarge((blurred - np.float32(127.5)) * np.float32(scale), side)


def measure_square_distance(x: float, y: float, side: int) -> FloatArray:
    """To a point given from the field's centre: float32 (side, side), square pixels."""
    axis = np.arange(side, dtype=np.float32) - np.float32(side / 2)
    across, down = axis - np.float32(x), axis - np.float32(y)
    return np.asarray(np.add.outer(down * down, across * across), dtype=np.float32)


def _blur_widely(image: FloatArray, sigma: float) -> FloatArray:
    """Gaussian blur, done at a quarter of the size: float32 (side, side)."""
    side = len(image)
    small = cv2.resize(image, (side // 4, side // 4), interpolation=cv2.INTER_AREA)
    return _enlarge(cv2.GaussianBlur(small, (0, 0), sigma / 4), side)


def _enlarge(image: FloatArray, side: int) -> FloatArray:
    if len(image) == side:
        return image
    large = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, dtype=np.float32)


def _draw_outline(rng: np.random.Generator, irregularity: float) -> Outline:
    """Radius at each of 180 angles, relative to a circle of the same area."""
    ratio = np.sqrt(1 - min(0.45, abs(rng.normal(0.08, 0.12))))
    turned = _ANGLES - rng.uniform(0, np.pi)
    radii = 1 / np.hypot(np.cos(turned) * ratio, np.sin(turned) / ratio)
    amplitude = 0.018 * np.exp(0.7 * np.clip(irregularity, -3, 2))
    for k in range(3, 10):
        wave = np.cos(k * _ANGLES - rng.uniform(0, 2 * np.pi))
        radii += amplitude * rng.normal() * (3 / k) * wave
    depth = 0.10 * np.logaddexp(0, 1.6 * irregularity - 1.0)  # of a cleft
    away = np.angle(np.exp(1j * (_ANGLES - rng.uniform(0, 2 * np.pi))))
    radii -= min(depth, 0.4) * np.exp(-0.5 * (away / rng.uniform(0.10, 0.28)) ** 2)
    return np.asarray(radii / np.sqrt(np.mean(radii**2)), dtype=np.float64)


def _fill(radii: Outline, side: int) -> FloatArray:
    """The inside of an outline about the field's centre: float32 (side, side), 0 to 1."""
    points = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1) * np.maximum(radii, 2)[:, None]
    sixteenths = np.rint((points + side / 2) * 16).astype(np.int32)
    filled = np.zeros((side, side), np.uint8)
    cv2.fillPoly(filled, [sixteenths], 255, lineType=cv2.LINE_AA, shift=4)
    return filled.astype(np.float32) / np.float32(255)


def _draw_chromatin(rng: np.random.Generator, coarseness: float, side: int) -> FloatArray:
    """Mottling whose grain is the coarseness: float32 (side, side), gain of absorbance."""
    contrast = 0.15 * np.exp(rng.normal(0, 0.22))
    grain = draw_noise(rng, side, 3.0 * float(np.exp(0.45 * np.clip(coarseness, -2.5, 2.2))), 1.0)
    grain = np.minimum(grain, 0.3 + 0.4 * grain)  # dense clumps are even, light gaps stand out
    grain *= np.float32(contrast)
    grain += draw_noise(rng, side, 10, 0.10)
    grain += draw_noise(rng, side, 1.0, 0.05)
    return np.asarray(grain, dtype=np.float32)


def _draw_nucleoli(
    rng: np.random.Generator, prominence: float, radii: Outline, side: int
) -> FloatArray:
    """Light round spots: float32 (side, side), loss of absorbance."""
    spots = np.zeros((side, side), np.float32)
    strength = 0.80 / (1 + np.exp(0.5 - 1.6 * prominence))
    for _ in range(1 + min(int(rng.poisson(1.3)), 3)):
        k = int(rng.integers(len(radii)))
        reach = max(radii[k], 8) * np.sqrt(rng.uniform(0.0, 0.5))
        squared = measure_square_distance(
            reach * np.cos(_ANGLES[k]), reach * np.sin(_ANGLES[k]), side
        )
        squared *= np.float32(1 / rng.uniform(4.0, 7.0) ** 2)
        spot = cv2.exp(np.float32(-0.7) * squared * squared)  # flatter than a Gaussian
        spots += np.float32(strength * rng.uniform(0.7, 1.1)) * spot
    return spots


def _draw_pieces(
    rng: np.random.Generator, radii: Outline, side: int
) -> tuple[FloatArray, FloatArray]:
    """What touches the cell, debris and rarely a nucleus: two float32 (side, side), 0 or 1."""
    debris = np.zeros((side, side), np.uint8)
    neighbour = np.zeros_like(debris)

    def add(field: npt.NDArray[np.uint8], k: int, reach: float, axes: npt.ArrayLike) -> None:
        across, down = np.asarray(axes, np.float64).tolist()
        x, y = side / 2 + reach * np.cos(_ANGLES[k]), side / 2 + reach * np.sin(_ANGLES[k])
        cv2.ellipse(field, ((x, y), (across, down), rng.uniform(0, 180)), 1, -1)

    for _ in range(int(rng.choice(4, p=(0.65, 0.22, 0.09, 0.04)))):
        k = int(rng.integers(len(radii)))
        reach = radii[k]
        for _ in range(int(rng.integers(2, 12))):
            add(debris, k, reach, rng.uniform(1.6, 9.0, 2))
            k = (k + round(rng.normal(0, 2))) % len(radii)
            reach = min(reach + rng.normal(0.8, 2.0), side / 2 - 8)
    if rng.random() < 0.05:
        k, size = int(rng.integers(len(radii))), rng.uniform(8, 20)
        reach = min(radii[k] + 0.8 * size, side / 2 - 4 - size)
        add(neighbour, k, reach, size * rng.uniform(1.2, 2.0, 2))
    return debris.astype(np.float32), neighbour.astype(np.float32)


def _measure_inside(filled: FloatArray) -> FloatArray:
    """Distance to the edge, negative outside: float32 (side, side)."""
    within = (filled > 0.5).astype(np.uint8)
    distance = cv2.distanceTransform(within, cv2.DIST_L2, 3)
    distance -= cv2.distanceTransform(1 - within, cv2.DIST_L2, 3)
    return np.asarray(cv2.GaussianBlur(distance, (0, 0), 1.0), dtype=np.float32)
