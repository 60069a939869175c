"""A photographed cell → the image in the file: stained, focused, cut out, set on black.

One photograph prepared twice is what C-NMC holds so many of: the same cell in two images that
share no pixel value.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from leukoscope.errors import SettingsError
from leukoscope.simulate.draw import (
    LATENTS,
    NUCLEUS,
    FloatArray,
    Photograph,
    draw_noise,
    measure_square_distance,
    photograph_cell,
)

__all__ = ["FILE_PX", "Preparation", "UInt8Array", "prepare_cell", "simulate_pairs"]

UInt8Array = npt.NDArray[np.uint8]

FILE_PX = 450
"""Side of an image file, as in C-NMC."""

_LIGHT = np.array([112.0, 80.0, 101.0])  # RGB of the bare smear
_STAIN = np.array([0.54, 0.73, 0.41])  # the direction in which real cells differ most, log RGB


@dataclass(frozen=True)
class Preparation:
    """How a photograph becomes a file.

    Attributes:
        seed: of the outline's wobble.
        paleness: gain of log brightness along the stain's main direction; negative is darker.
        tint: gain of log R, G and B on top.
        contrast: factor on the absorbance, about that of a nucleus.
        blur: standard deviation of the focus blur, pixels of the field.
        outline: how far outside its edge the cell is cut, pixels of the field; negative: inside.
        with_pieces: whether what touches the cell is cut out with it.
        shift_px: offset of the centroid from the image's centre, pixels of the file (x, y).
        rotation_deg: anticlockwise, about the centroid.
    """

    seed: tuple[int, ...]
    paleness: float = 0.0
    tint: tuple[float, ...] = (0.0, 0.0, 0.0)
    contrast: float = 1.0
    blur: float = 0.9
    outline: float = 0.5
    with_pieces: bool = True
    shift_px: tuple[float, ...] = (0.0, 0.0)
    rotation_deg: float = 0.0


def prepare_cell(photograph: Photograph, preparation: Preparation) -> UInt8Array:
    """Make the image: uint8 (450, 450, 3), RGB, exactly black around the cell."""
    inside = _cut_out(photograph, preparation)
    moments = cv2.moments((inside > 0).astype(np.uint8), binaryImage=True)
    centre = (moments["m10"] / moments["m00"], moments["m01"] / moments["m00"])
    place = cv2.getRotationMatrix2D(centre, preparation.rotation_deg, 2.0)  # field → file
    place[:, 2] += (FILE_PX - 1) / 2 + np.asarray(preparation.shift_px) - np.asarray(centre)
    left, top, right, bottom = _bound(inside, place)
    place[:, 2] -= (left, top)
    size = (right - left, bottom - top)
    light = cv2.warpAffine(
        _stain(photograph, preparation), place, size, borderMode=cv2.BORDER_REFLECT
    )
    cell = cv2.warpAffine(inside, place, size, borderValue=(-1.0,)) > 0
    rgb = cv2.convertScaleAbs(light)
    image = np.zeros((FILE_PX, FILE_PX, 3), np.uint8)
    image[top:bottom, left:right] = cv2.bitwise_and(rgb, rgb, mask=cell.view(np.uint8))
    return image


def simulate_pairs(
    n: int,
    seed: int,
    *,
    max_shift_px: float = 12,
    outline_px: float = 6,
    stain: float = 0.5,
    rotation_deg: float = 0.0,
) -> tuple[UInt8Array, UInt8Array]:
    """Draw n cells twice, as one photographed cell is in C-NMC under two names.

    Row i of both arrays is the same cell; rows i and j are unrelated cells. The second image
    differs in stain, focus, outline, place, and in a fifth to a third of the pairs that have any,
    in the pieces that touch the cell.

    Args:
        n: number of pairs.
        seed: of all that is drawn.
        max_shift_px: largest shift of the second image along x and along y, pixels of the file.
        outline_px: largest distance between the two outlines, pixels of the file.
        stain: how far apart the two stain normalisations are; 1 is as far as two subjects.
        rotation_deg: largest rotation of the second image, either way.

    Returns:
        Two arrays uint8 (n, 450, 450, 3), RGB.

    Raises:
        SettingsError: fewer than 1 pair.
    """
    if n < 1:
        raise SettingsError(f"Expected at least 1 pair; received {n}.")
    first = np.empty((n, FILE_PX, FILE_PX, 3), np.uint8)
    second = np.empty_like(first)
    for i in range(n):
        rng = np.random.default_rng((seed, 1, i))
        photograph = photograph_cell((seed, 2, i), rng.normal(size=len(LATENTS)))
        before = Preparation(
            seed=(seed, 3, i),
            paleness=rng.normal(0, 0.2),
            blur=rng.uniform(0.6, 1.2),
            with_pieces=rng.random() < 0.8,
        )
        after = Preparation(
            seed=(seed, 4, i),
            paleness=before.paleness + stain * rng.normal(0, 0.3),
            tint=tuple((stain * rng.normal(0, 0.06, 3)).tolist()),
            contrast=float(np.exp(stain * rng.normal(0, 0.2))),
            blur=before.blur + rng.uniform(-0.2, 0.4),
            outline=before.outline + rng.uniform(-outline_px, outline_px) / 2,
            with_pieces=rng.random() < 0.8,
            shift_px=tuple(rng.uniform(-max_shift_px, max_shift_px, 2).tolist()),
            rotation_deg=rng.uniform(-rotation_deg, rotation_deg),
        )
        first[i] = prepare_cell(photograph, before)
        second[i] = prepare_cell(photograph, after)
    return first, second


def _stain(photograph: Photograph, preparation: Preparation) -> FloatArray:
    """Absorbance → light that reaches the camera: float32 (side, side, 3), RGB, 0 to 255."""
    gain = np.log(_LIGHT) + preparation.paleness * _STAIN + np.asarray(preparation.tint)
    gain += (preparation.contrast - 1) * NUCLEUS
    planes = [
        cv2.exp(np.float32(gain[c]) - np.float32(preparation.contrast) * plane)
        for c, plane in enumerate(photograph.absorbance)
    ]
    light = cv2.GaussianBlur(cv2.merge(planes), (0, 0), max(preparation.blur, 0.3))
    return np.asarray(light, dtype=np.float32)


def _cut_out(photograph: Photograph, preparation: Preparation) -> FloatArray:
    """Where the cell is cut, in one piece: float32 (side, side), positive inside."""
    rng = np.random.default_rng(preparation.seed)
    inside = photograph.inside_with_pieces if preparation.with_pieces else photograph.inside
    side = len(inside)
    inside = inside + np.float32(preparation.outline) + draw_noise(rng, side, 5.0, 0.5)
    if rng.random() < 0.35:  # one side is cut raggedly
        squared = measure_square_distance(rng.normal(0, 45), rng.normal(0, 45), side)
        ragged = draw_noise(rng, side, 1.6, float(rng.uniform(1.0, 4.0)))
        inside += cv2.exp(squared * np.float32(-1 / 900)) * ragged
    count, labels, stats, _ = cv2.connectedComponentsWithStats((inside > 0).astype(np.uint8))
    if count > 2:
        largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        inside[(labels != largest) & (inside > 0)] = -1.0
    return np.asarray(inside, dtype=np.float32)


def _bound(inside: FloatArray, place: npt.NDArray[np.float64]) -> tuple[int, int, int, int]:
    """The part of the file that the cell can reach: left, top, right, bottom."""
    x, y, width, height = cv2.boundingRect((inside > 0).astype(np.uint8))
    corners = [(x + i * width, y + j * height, 1) for i in (0, 1) for j in (0, 1)]
    reached = np.array(corners) @ place.T
    left, top = np.clip(np.floor(reached.min(axis=0)).astype(int) - 3, 0, FILE_PX).tolist()
    right, bottom = np.clip(np.ceil(reached.max(axis=0)).astype(int) + 3, 0, FILE_PX).tolist()
    return left, top, right, bottom
