"""A map → colours to lay over its cell."""

from __future__ import annotations

import cv2
import numpy as np

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import compute_foreground
from leukoscope.explanation.explain import Explanation
from leukoscope.explanation.occlusion import FloatArray
from leukoscope.labels import CLASS_COLOURS, LEUKAEMIC, NORMAL

__all__ = ["draw_layer", "encode_layer", "find_limit", "scale_map"]

_FAINTER = 0.7  # opacity is the strength to this power: weak places stay visible


def scale_map(explanation: Explanation) -> FloatArray:
    """The map for 1% of the cell's pixels instead of one."""
    return explanation.map * np.count_nonzero(compute_foreground(explanation.crop)) / 100


def find_limit(explanation: Explanation) -> float:
    """End of the colour scale: change of log odds where 1% of the cell is covered."""
    return max(float(np.percentile(np.abs(scale_map(explanation)), 99.9)), 1e-4)


def draw_layer(explanation: Explanation) -> UInt8Array:
    """The map's colours alone, more opaque where stronger: uint8 (225, 225, 4), RGBA."""
    strength = np.clip(scale_map(explanation) / find_limit(explanation), -1, 1)
    sick, well = (_parse_colour(CLASS_COLOURS[label]) for label in (LEUKAEMIC, NORMAL))
    colours = np.where(strength[..., None] > 0, sick, well)
    opacity = np.rint(255 * np.abs(strength) ** _FAINTER)
    return np.dstack([colours, opacity]).astype(np.uint8)


def encode_layer(explanation: Explanation) -> bytes:
    """`draw_layer` as a PNG."""
    _, data = cv2.imencode(".png", cv2.cvtColor(draw_layer(explanation), cv2.COLOR_RGBA2BGRA))
    return bytes(data)


def _parse_colour(text: str) -> UInt8Array:
    return np.frombuffer(bytes.fromhex(text.removeprefix("#")), np.uint8)
