"""An image of one cell → one uint8 crop, at the scale of its data set.

A frame is cut or padded about its centre to the square that the data set's `CropSpec` names, and
never resized to fit: resizing frames of 450 and 600 px to one size would change the cells' scale by
a third. The square becomes the whole crop, whatever its size.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from leukoscope.arrays import BoolArray, UInt8Array
from leukoscope.datasets.spec import CropSpec
from leukoscope.io.images import read_image

__all__ = ["CROP_PX", "compute_foreground", "cut_crop", "find_inside", "read_crop"]

CROP_PX = 225
"""Side of a crop."""

_BACKGROUND_LEVEL = 10  # a cut-out cell's background is exactly 0; the rest is room for JPEG noise


def cut_crop(rgb: UInt8Array, spec: CropSpec) -> UInt8Array:
    """Cut the central square, pad it with black where the image is smaller, and bring it to 225 px.

    Args:
        rgb: uint8 (height, width, 3).
        spec: how large the square is.

    Returns:
        uint8 (225, 225, 3).
    """
    side = spec.frame_px
    square = _cut_centre(rgb, side)
    if square.shape[:2] != (side, side):
        pad_y, pad_x = side - square.shape[0], side - square.shape[1]
        margins = ((pad_y // 2, pad_y - pad_y // 2), (pad_x // 2, pad_x - pad_x // 2), (0, 0))
        square = np.pad(square, margins)
    how = cv2.INTER_AREA if side >= CROP_PX else cv2.INTER_CUBIC
    crop = cv2.resize(np.ascontiguousarray(square), (CROP_PX, CROP_PX), interpolation=how)
    return np.asarray(crop, dtype=np.uint8)


def _cut_centre(rgb: UInt8Array, side: int) -> UInt8Array:
    """The central pixels, at most `side` along each axis: cut before anything is padded."""
    top, left = (max(0, (length - side) // 2) for length in rgb.shape[:2])
    return rgb[top : top + side, left : left + side]


def find_inside(shape: tuple[int, ...], spec: CropSpec) -> tuple[slice, slice]:
    """The rows and columns of a crop that show the image; the rest is padding.

    Args:
        shape: of the image: height, width.
        spec: how it is cut.
    """
    scale = CROP_PX / spec.frame_px
    margins = (max(0, spec.frame_px - length) * scale for length in shape[:2])
    rows, columns = (
        slice(math.ceil(margin / 2), max(math.ceil(margin / 2) + 1, int(CROP_PX - margin / 2)))
        for margin in margins
    )
    return rows, columns


def read_crop(source: Path | bytes, spec: CropSpec, name: str | None = None) -> UInt8Array:
    """Decode one image and cut its crop: uint8 (225, 225, 3), RGB. Raises as `read_image`."""
    return cut_crop(read_image(source, name), spec)


def compute_foreground(crop: UInt8Array) -> BoolArray:
    """Mask of the cell: bool, the shape of the crop without its channels."""
    brightest = cv2.max(cv2.max(crop[..., 0], crop[..., 1]), crop[..., 2])
    return np.asarray(brightest > _BACKGROUND_LEVEL)
