"""Crops → pictures to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import CROP_PX, compute_foreground
from leukoscope.io.files import write_bytes

__all__ = ["brighten", "cut_cell", "cut_middle", "write_contact_sheet"]

_TILE_PX = 150
_BRIGHTER = 1.6  # cells on black look darker than they are


def brighten(picture: UInt8Array) -> UInt8Array:
    """Brighten a picture, uint8 (height, width, 3), for display."""
    return np.asarray(cv2.convertScaleAbs(picture, alpha=_BRIGHTER))


def cut_middle(crop: UInt8Array, side: int) -> UInt8Array:
    """The central square of a crop; what lies outside is nearly always black."""
    margin = (CROP_PX - side) // 2
    return crop[margin : margin + side, margin : margin + side]


def cut_cell(
    picture: UInt8Array, crop: UInt8Array, least: int, *, margin: int = 0, around: int = 0
) -> UInt8Array:
    """A square about the cell, whole pixels moved and none resampled.

    Args:
        picture: uint8 (225, 225, 3), the crop itself or what was drawn of it.
        crop: uint8 (225, 225, 3), RGB, black background, whose cell is looked for.
        least: shortest side, px; a larger cell makes it longer.
        margin: least distance of the cell from the edges, px.
        around: grey level of what lies beyond the picture.

    Returns:
        uint8 (side, side, 3).
    """
    left, top, width, height = cv2.boundingRect(compute_foreground(crop).astype(np.uint8))
    side = max(least, width + 2 * margin, height + 2 * margin)
    shift = np.array(
        [[1, 0, side // 2 - left - width // 2], [0, 1, side // 2 - top - height // 2]], np.float32
    )
    moved = cv2.warpAffine(
        picture, shift, (side, side), flags=cv2.INTER_NEAREST, borderValue=(around,) * 3
    )
    return np.asarray(moved, np.uint8)


def write_contact_sheet(
    rows: Sequence[Sequence[UInt8Array]], titles: Sequence[str], path: Path
) -> None:
    """Write a PNG of rows of crops, each under its title.

    Args:
        rows: equally long, of crops uint8 (225, 225, 3), RGB.
        titles: one a row.
        path: the file; replaced whole.
    """
    sheet = np.vstack([_draw_row(*row) for row in zip(rows, titles, strict=True)])
    _, png = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    write_bytes(path, png.tobytes())


def _draw_row(crops: Sequence[UInt8Array], title: str) -> UInt8Array:
    row = brighten(np.hstack([cut_middle(crop, _TILE_PX) for crop in crops]))
    head = np.full((22, row.shape[1], 3), 255, np.uint8)
    cv2.putText(head, title, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
    return np.vstack([head, row])
