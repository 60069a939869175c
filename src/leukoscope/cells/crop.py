"""An image → one uint8 crop at a fixed scale.

The scale is fixed: one pixel of a C-NMC image is one pixel of a cell, whatever the frame. So a
frame is cut or padded about its centre to 450×450 and never resized to fit (resizing 450 and 600
frames to one size would change the cells' scale by a third). The crop keeps the whole 450 px frame
at half resolution, which holds every cell; C-NMC images are smooth enough that nothing is lost.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from leukoscope.arrays import BoolArray, UInt8Array
from leukoscope.io.images import read_image

__all__ = ["CROP_PX", "FRAMES_PX", "FRAME_PX", "compute_foreground", "cut_crop", "read_crop"]

FRAME_PX = 450
"""Side of the central square that is kept, in pixels of the original image."""

CROP_PX = FRAME_PX // 2
"""Side of a crop: the 450 px frame at half resolution."""

FRAMES_PX = (FRAME_PX, 600)
"""Sides of the square frames whose scale is known: C-NMC's training and final test images."""

_BACKGROUND_LEVEL = 10  # C-NMC backgrounds are exactly 0; the rest is room for JPEG noise


def cut_crop(rgb: UInt8Array) -> UInt8Array:
    """Cut the central 450×450 pixels (padded with black) and average them 2×2.

    Args:
        rgb: uint8 (height, width, 3).

    Returns:
        uint8 (225, 225, 3).
    """
    height, width = rgb.shape[:2]
    if (height, width) != (FRAME_PX, FRAME_PX):
        pad_y, pad_x = max(0, FRAME_PX - height), max(0, FRAME_PX - width)
        if pad_y or pad_x:
            rgb = np.pad(
                rgb,
                ((pad_y // 2, pad_y - pad_y // 2), (pad_x // 2, pad_x - pad_x // 2), (0, 0)),
            )
        top, left = (rgb.shape[0] - FRAME_PX) // 2, (rgb.shape[1] - FRAME_PX) // 2
        rgb = rgb[top : top + FRAME_PX, left : left + FRAME_PX]
    crop = cv2.resize(np.ascontiguousarray(rgb), (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, dtype=np.uint8)


def read_crop(source: Path | bytes, name: str | None = None) -> UInt8Array:
    """Decode one image and cut its crop: uint8 (225, 225, 3), RGB. Raises as `read_image`."""
    return cut_crop(read_image(source, name))


def compute_foreground(crop: UInt8Array) -> BoolArray:
    """Where the cell is: bool, the shape of the crop without its channels."""
    brightest = cv2.max(cv2.max(crop[..., 0], crop[..., 1]), crop[..., 2])
    return np.asarray(brightest > _BACKGROUND_LEVEL)
