"""Image bytes → one uint8 crop. The only decoder: store, audit, predict and serve all use it.

The scale is fixed: one pixel of a C-NMC image is one pixel of a cell, whatever the frame. So a
frame is cut or padded about its centre to 450×450 and never resized to fit (resizing 450 and 600
frames to one size would change the cells' scale by a third). The crop keeps the whole 450 px frame
at half resolution, which holds every cell; C-NMC images are smooth enough that nothing is lost.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from leukoscope.errors import DataError

__all__ = [
    "CROP_PX",
    "FRAMES_PX",
    "FRAME_PX",
    "IMAGE_SUFFIXES",
    "UInt8Array",
    "compute_foreground",
    "compute_pixel_hash",
    "cut_crop",
    "read_crop",
    "read_image",
]

UInt8Array = npt.NDArray[np.uint8]

FRAME_PX = 450
"""Side of the central square that is kept, in pixels of the original image."""

CROP_PX = FRAME_PX // 2
"""Side of a crop: the 450 px frame at half resolution."""

IMAGE_SUFFIXES = frozenset({".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".gif"})

FRAMES_PX = (FRAME_PX, 600)
"""Sides of the square frames whose scale is known: C-NMC's training and final test images."""

_FORMATS = ("BMP", "DIB", "PNG", "JPEG", "TIFF", "WEBP", "GIF")  # no EPS: it would run a program
_MAX_PIXELS = 50_000_000
_BACKGROUND_LEVEL = 10  # C-NMC backgrounds are exactly 0; the rest is room for JPEG noise


def read_image(source: Path | bytes, name: str | None = None) -> UInt8Array:
    """Decode one image.

    Args:
        source: a path, or the bytes of an image file in any format that Pillow reads.
        name: what to call the image in an error; the path where left out.

    Returns:
        uint8 (height, width, 3), RGB. Transparent pixels are black.

    Raises:
        DataError: missing, empty, truncated, not an image, over 50 megapixels, or not 8-bit colour.
    """
    name = name or (str(source) if isinstance(source, Path) else "image")
    try:
        data = source.read_bytes() if isinstance(source, Path) else source
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror}).") from error
    if not data:
        raise DataError(f"{name}: the file is empty (0 bytes). Copy it again from its source.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes and damaged headers: pixels come or an error
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                return _to_rgb(image, name)
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{name}: not an image that can be read. Expected BMP, PNG, JPEG, TIFF or WebP."
        ) from error
    except DataError:
        raise
    except Exception as error:  # spoilt files raise whatever a decoder trips over, TypeError too
        raise DataError(
            f"{name}: truncated or damaged ({error}). Copy it again from its source."
        ) from error


def _to_rgb(image: Image.Image, name: str) -> UInt8Array:
    width, height = image.size
    if width * height > _MAX_PIXELS:
        raise DataError(
            f"{name}: {width}×{height} pixels. Expected one cell of about 450×450; "
            "cut the cells out of a whole field first."
        )
    if image.mode == "RGB":
        return np.asarray(image)
    if image.mode in ("RGBA", "PA", "P"):
        rgba = image.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return np.asarray(Image.alpha_composite(black, rgba).convert("RGB"))
    kind = {"L": "greyscale", "LA": "greyscale", "1": "black and white", "CMYK": "CMYK"}.get(
        image.mode, "16-bit or floating point" if image.mode[0] in "IF" else image.mode
    )
    raise DataError(f"{name}: {kind} pixels. Expected 8-bit colour; save it again as RGB.")


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


def compute_foreground(crop: UInt8Array) -> npt.NDArray[np.bool_]:
    """Where the cell is: bool, the shape of the crop without its channels."""
    brightest = cv2.max(cv2.max(crop[..., 0], crop[..., 1]), crop[..., 2])
    return np.asarray(brightest > _BACKGROUND_LEVEL)


def compute_pixel_hash(rgb: UInt8Array) -> str:
    """Hash of the decoded pixels and their shape, 32 hex digits: the file's header has no part."""
    digest = hashlib.sha256(str(rgb.shape).encode())
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()[:32]
