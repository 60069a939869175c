"""An image → its cells. Today the whole image is one; a finder of cells in fields goes here."""

from __future__ import annotations

from dataclasses import dataclass

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import cut_crop
from leukoscope.cells.quality import find_warnings
from leukoscope.datasets.spec import DatasetSpec

__all__ = ["Box", "Cell", "extract_cells"]

Box = tuple[int, int, int, int]
"""Left, top, width and height, in pixels of the image."""


@dataclass(frozen=True)
class Cell:
    """One cell of an image.

    Attributes:
        id: names it within the image; "" where the image is the cell.
        crop: uint8 (225, 225, 3), RGB.
        box: where it lies in the image.
        warnings: image-quality warnings, a sentence each.
    """

    id: str
    crop: UInt8Array
    box: Box
    warnings: tuple[str, ...]


def extract_cells(rgb: UInt8Array, spec: DatasetSpec) -> list[Cell]:
    """Cut the cells out of an image.

    Args:
        rgb: uint8 (height, width, 3).
        spec: what a network's images look like.

    Returns:
        One cell at least.
    """
    crop = cut_crop(rgb, spec.crop)
    box = (0, 0, rgb.shape[1], rgb.shape[0])
    return [Cell("", crop, box, tuple(find_warnings(rgb, crop, spec)))]
