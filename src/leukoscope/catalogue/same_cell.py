"""Find the same photographed cell under two names, from its chromatin texture.

A cell that was stain-normalised or segmented again has other pixels, another hash and often another
perceptual hash, but its chromatin keeps its pattern. The method has three steps.

1. Texture: grey level minus its local mean, divided by its local deviation, clipped, within the
   eroded outline, less its mean at each depth. Stain and focus only scale the contrast and cancel;
   neither bright spots nor the rim of cytoplasm that many cells share can dominate the score.
2. Candidates: a small picture of the texture about the cell's centre, for every cell, compared with
   every other at nine shifts by matrix products in blocks (the full matrix is never kept).
3. Proof: for each candidate the normalised cross-correlation of the two textures over all shifts,
   counted only where both cells are (masked correlation after Padfield, 2012,
   doi 10.1109/TIP.2011.2181402). The decision uses the evidence: Fisher's z of the correlation
   times the square root of the overlap, since a high correlation over few pixels means little.

On 7,966 real C-NMC cells no pair has an evidence between 22, where chance ends, and 24, from which
pairs are linked; no linked pair joins a leukaemic with a normal cell (by chance four in ten would).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import fft

from leukoscope.arrays import UInt8Array
from leukoscope.catalogue.store import Progress
from leukoscope.cells.blur import blur_within
from leukoscope.cells.crop import compute_foreground
from leukoscope.machine import count_workers

__all__ = ["MIN_EVIDENCE", "compute_evidence", "compute_textures", "link_same_cells"]

Floats = npt.NDArray[np.float32]

MIN_EVIDENCE = 24.0
"""Pairs at or above it show the same cell."""

_MIN_CORRELATION = 0.5
_RING_PX = 2.0  # crop pixels
_SIDE = 96  # of a texture, at half the crop's resolution
_FFT_SIDE = 108  # ≥ _SIDE + _MAX_SHIFT, and a fast size
_MAX_SHIFT = 10  # texture pixels: 40 pixels of the original image
_MIN_OVERLAP = 0.6  # of the smaller cell
_SMALL = 24  # side of the small picture
_SMALL_SHIFT = 4  # texture pixels between the nine shifts
_MIN_SMALL = 0.42
_NEIGHBOURS = 8  # candidates kept for each cell in a block
_BLOCK = 1024
_CHUNK = 256  # cells or pairs that a thread takes at a time


def link_same_cells(
    crops: UInt8Array,
    *,
    turns: int = 1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Link images of the same photographed cell.

    Args:
        crops: uint8 (n, 225, 225, 3), RGB; may be memory-mapped.
        turns: how many rotations of each cell to compare (72 finds a cell turned by any angle, at
            72 times the cost; 1 finds unrotated cells).
        progress: called with (cells or pairs done, all of them).

    Returns:
        One row a pair: first, second (row numbers, first < second), correlation (0 to 1),
        evidence (≥ 24), angle (degrees by which the first was turned).
    """
    textures, masks = compute_textures(crops)
    rows = []
    for turn in range(turns):
        angle = 360.0 * turn / turns
        turned = _turn(textures, masks, angle) if turn else (textures, masks)
        pairs = _find_candidates(turned[0], textures, symmetric=turn == 0)
        if len(pairs):
            correlation, evidence = _prove(turned, (textures, masks), pairs)
            keep = (evidence >= MIN_EVIDENCE) & (correlation >= _MIN_CORRELATION)
            rows.append(
                np.column_stack(
                    [pairs[keep], correlation[keep], evidence[keep], np.full(keep.sum(), angle)]
                )
            )
        if progress:
            progress(turn + 1, turns)
    found = np.concatenate(rows) if rows else np.zeros((0, 5))
    links = pd.DataFrame(found, columns=["first", "second", "correlation", "evidence", "angle"])
    links = links.astype({"first": int, "second": int})
    ends = np.sort(links[["first", "second"]].to_numpy(), axis=1)
    links["first"], links["second"] = ends[:, 0], ends[:, 1]
    links = links.sort_values("evidence", ascending=False).drop_duplicates(["first", "second"])
    return links.sort_values(["first", "second"], ignore_index=True)


def compute_textures(crops: UInt8Array) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.bool_]]:
    """Chromatin texture of each cell about its centroid.

    Args:
        crops: uint8 (n, 225, 225, 3).

    Returns:
        Textures float16 (n, 96, 96), zero outside the eroded outline, about -2 to 2; and their
        masks, bool (n, 96, 96). Both are empty for a crop without a cell.
    """
    textures = np.zeros((len(crops), _SIDE, _SIDE), np.float16)
    masks = np.zeros((len(crops), _SIDE, _SIDE), np.bool_)

    def work(start: int) -> None:
        for row in range(start, min(start + _CHUNK, len(crops))):
            textures[row], masks[row] = _compute_texture(np.asarray(crops[row]))

    with ThreadPoolExecutor(count_workers()) as pool:
        list(pool.map(work, range(0, len(crops), _CHUNK)))
    return textures, masks


def _compute_texture(crop: UInt8Array) -> tuple[Floats, npt.NDArray[np.bool_]]:
    empty = np.zeros((_SIDE, _SIDE), np.float32)
    outline = compute_foreground(crop).astype(np.uint8)
    outline[[0, -1]] = outline[:, [0, -1]] = 0
    left, top, width, height = cv2.boundingRect(outline)
    box = np.s_[top : top + height, left : left + width]
    inside = cv2.erode(outline, np.ones((9, 9), np.uint8))[box].astype(np.float32)
    if inside.sum() < 200:
        return empty, empty.astype(np.bool_)
    grey = cv2.cvtColor(crop[box], cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = (grey - blur_within(grey, inside, 5.0)) * inside
    deviation = np.sqrt(blur_within(detail * detail, inside, 10.0) + 1.0)
    contrast = _remove_rings(np.clip(detail / deviation, -2, 2), inside)
    texture = cv2.GaussianBlur(contrast, (0, 0), 1.3) * inside
    moments = cv2.moments(inside)
    centre_x, centre_y = (moments[m] / moments["m00"] for m in ("m10", "m01"))
    halve = np.array([[2, 0, centre_x - _SIDE + 0.5], [0, 2, centre_y - _SIDE + 0.5]], np.float32)
    mask = _warp(inside, halve) > 0.5
    return _warp(texture, halve) * mask, mask


def _remove_rings(contrast: Floats, inside: Floats) -> Floats:
    """Subtract the mean at each depth below the outline: a rim of cytoplasm is like any other."""
    depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3)
    ring = (depth / _RING_PX).astype(np.int64).ravel()
    total = np.bincount(ring, (contrast * inside).ravel())
    mean = total / np.maximum(np.bincount(ring, inside.ravel()), 1)
    return np.asarray((contrast - mean[ring].reshape(depth.shape)) * inside, np.float32)


def _warp(image: Floats, matrix: Floats, side: int = _SIDE) -> Floats:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), flags=flags), np.float32)


def _turn(
    textures: npt.NDArray[np.float16], masks: npt.NDArray[np.bool_], angle: float
) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.bool_]]:
    centre = (_SIDE - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), angle, 1.0).astype(np.float32)
    turned, covers = np.empty_like(textures), np.empty_like(masks)
    for row in range(len(textures)):
        turned[row] = _warp(textures[row].astype(np.float32), matrix)
        covers[row] = _warp(masks[row].astype(np.float32), matrix) > 0.5
    return turned, covers


def _shrink(textures: npt.NDArray[np.float16], shift: tuple[int, int] = (0, 0)) -> Floats:
    """Small pictures as unit vectors: float32 (n, 576)."""
    factor = _SIDE / _SMALL
    matrix = np.array(
        [[factor, 0, shift[0] + factor / 2 - 0.5], [0, factor, shift[1] + factor / 2 - 0.5]],
        np.float32,
    )
    small = np.empty((len(textures), _SMALL * _SMALL), np.float32)
    for row, texture in enumerate(textures):
        smooth = cv2.GaussianBlur(texture.astype(np.float32), (0, 0), factor / 2.5)
        small[row] = _warp(smooth, matrix, _SMALL).ravel()
    return np.asarray(small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6))


def _find_candidates(
    queries: npt.NDArray[np.float16], textures: npt.NDArray[np.float16], *, symmetric: bool
) -> npt.NDArray[np.int64]:
    """Pairs whose small pictures agree: int64 (m, 2), first < second where `symmetric`."""
    steps = (-_SMALL_SHIFT, 0, _SMALL_SHIFT)
    shifts = [(x, y) for x in steps for y in steps] if symmetric else [(0, 0)]
    fixed = _shrink(textures)
    found = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(textures), _BLOCK):
        block = queries[start : start + _BLOCK]
        others = fixed[start:] if symmetric else fixed
        best = np.full((len(block), len(others)), -1, np.float32)
        for shift in shifts:
            np.maximum(best, _shrink(block, shift) @ others.T, out=best)
        if symmetric:
            best[:, : len(block)][np.tril_indices(len(block))] = -1
        else:
            best[np.arange(len(block)), start + np.arange(len(block))] = -1
        found.append(_keep_best(best) + np.array([start, start if symmetric else 0]))
    return np.concatenate(found)


def _keep_best(best: Floats) -> npt.NDArray[np.int64]:
    count = min(_NEIGHBOURS, best.shape[1])
    columns = np.argpartition(best, -count, axis=1)[:, -count:]
    rows = np.repeat(np.arange(len(best)), count)
    pairs = np.column_stack([rows, columns.ravel()])
    return pairs[best[pairs[:, 0], pairs[:, 1]] > _MIN_SMALL]


def compute_evidence(
    correlation: npt.NDArray[np.float64], overlap: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Fisher's z of the correlation times the square root of the pixels it was taken over."""
    return np.arctanh(np.minimum(correlation, 0.9999)) * np.sqrt(np.maximum(overlap, 0))


def _prove(
    firsts: tuple[npt.NDArray[np.float16], npt.NDArray[np.bool_]],
    seconds: tuple[npt.NDArray[np.float16], npt.NDArray[np.bool_]],
    pairs: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Best masked correlation of each pair over all shifts, and its evidence."""

    def work(some: npt.NDArray[np.int64]) -> list[tuple[float, float]]:
        return [
            _correlate(
                tuple(part[first].astype(np.float32) for part in firsts),
                tuple(part[second].astype(np.float32) for part in seconds),
            )
            for first, second in some
        ]

    chunks = np.array_split(pairs, max(1, len(pairs) // _CHUNK))
    with ThreadPoolExecutor(count_workers()) as pool:
        rows = [row for some in pool.map(work, chunks) for row in some]
    found = np.array(rows, np.float64).reshape(-1, 2)
    return found[:, 0], compute_evidence(found[:, 0], found[:, 1])


def _correlate(first: tuple[Floats, ...], second: tuple[Floats, ...]) -> tuple[float, float]:
    """(correlation, overlap in texture pixels) at the best shift of two (texture, mask)."""
    (a, a_mask), (b, b_mask) = first, second
    size = (_FFT_SIDE, _FFT_SIDE)
    spectra = fft.rfft2(np.stack([a, a * a, a_mask, b, b * b, b_mask]), size)
    fa, faa, fam, fb, fbb, fbm = spectra
    products = np.stack([fa.conj() * fb, faa.conj() * fbm, fam.conj() * fbb, fam.conj() * fbm])
    maps = fft.irfft2(products, size)
    near = np.r_[-_MAX_SHIFT : _MAX_SHIFT + 1]
    together, power_a, power_b, overlap = maps[:, near[:, None], near[None, :]]
    score = together / np.sqrt(np.maximum(power_a * power_b, 1e-3))
    score[overlap < _MIN_OVERLAP * min(a_mask.sum(), b_mask.sum())] = 0
    best = np.unravel_index(score.argmax(), score.shape)
    return float(min(score[best], 1.0)), float(overlap[best])
