"""Crops → pictures to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import CROP_PX
from leukoscope.io.files import write_bytes

__all__ = ["brighten", "cut_middle", "write_contact_sheet"]

_TILE_PX = 150
_BRIGHTER = 1.6  # cells on black look darker than they are


def brighten(picture: UInt8Array) -> UInt8Array:
    """Make a picture, uint8 (height, width, 3), light enough for a page."""
    return np.asarray(cv2.convertScaleAbs(picture, alpha=_BRIGHTER))


def cut_middle(crop: UInt8Array, side: int) -> UInt8Array:
    """The central square of a crop; what lies outside is nearly always black."""
    margin = (CROP_PX - side) // 2
    return crop[margin : margin + side, margin : margin + side]


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
