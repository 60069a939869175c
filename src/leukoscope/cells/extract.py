"""An image → its cells. Today the whole image is one; a finder of cells in fields goes here.

Only `find_boxes` would change: all that follows takes an image for several cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import cut_crop
from leukoscope.cells.quality import find_warnings
from leukoscope.datasets.spec import CropSpec, DatasetSpec

__all__ = [
    "FINDER",
    "Box",
    "Cell",
    "cut_box",
    "cut_cells",
    "extract_cells",
    "find_boxes",
    "name_cell",
]

Box = tuple[int, int, int, int]
"""Left, top, width and height, in pixels of the image."""


@dataclass(frozen=True)
class Cell:
    """One cell of an image.

    Attributes:
        id: names it within the image; "" where the image is the cell.
        crop: uint8 (225, 225, 3), RGB: the central square of its box, as of an image of that size.
        box: where it lies in the image.
        warnings: image-quality warnings, a sentence each.
    """

    id: str
    crop: UInt8Array
    box: Box
    warnings: tuple[str, ...] = ()


FINDER = 1
"""Counts changes of `find_boxes` that change its boxes: crops that were packed before are stale."""


def find_boxes(rgb: UInt8Array) -> dict[str, Box]:
    """Find the cells of an image; this is the place for a finder.

    Args:
        rgb: uint8 (height, width, 3).

    Returns:
        Name of a cell within the image → its box, one at least, within the image. A box counts as
        an image of its own: what lies outside of it is black in the crop. "" is the whole image.
    """
    return {"": (0, 0, rgb.shape[1], rgb.shape[0])}


def cut_box(rgb: UInt8Array, box: Box) -> UInt8Array:
    """The pixels of a box: uint8 (height, width, 3), a view."""
    left, top, width, height = box
    return rgb[top : top + height, left : left + width]


def cut_cells(rgb: UInt8Array, spec: CropSpec) -> list[Cell]:
    """Cut the cells out of an image, unchecked: without warnings.

    Args:
        rgb: uint8 (height, width, 3).
        spec: how images of one cell become crops.

    Returns:
        One cell at least.
    """
    return [
        Cell(name, cut_crop(cut_box(rgb, box), spec), box) for name, box in find_boxes(rgb).items()
    ]


def extract_cells(rgb: UInt8Array, spec: DatasetSpec) -> list[Cell]:
    """Cut the cells out of an image, and check each.

    Args:
        rgb: uint8 (height, width, 3).
        spec: what a network's images look like.

    Returns:
        One cell at least.
    """
    return [
        replace(cell, warnings=tuple(find_warnings(cut_box(rgb, cell.box), cell.crop, spec)))
        for cell in cut_cells(rgb, spec.crop)
    ]


def name_cell(image: str, cell: str) -> str:
    """An image and a cell in it, in words.

    Example:
        >>> name_cell("a.png", ""), name_cell("a.png", "2")
        ('a.png', 'a.png, cell 2')
    """
    return f"{image}, cell {cell}" if cell else image
