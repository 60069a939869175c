"""Image bytes → pixels. The only decoder: store, audit, predict and serve all use it."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from leukoscope.arrays import UInt8Array
from leukoscope.errors import DataError

__all__ = [
    "IMAGE_SUFFIXES",
    "Readable",
    "compute_pixel_hash",
    "read_image",
    "read_size",
    "try_read_image",
]

IMAGE_SUFFIXES = frozenset({".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".gif"})

_FORMATS = ("BMP", "DIB", "PNG", "JPEG", "TIFF", "WEBP", "GIF")  # no EPS: it would run a program
_MAX_PIXELS = 50_000_000


def read_image(source: Path | bytes, name: str | None = None) -> UInt8Array:
    """Decode one image.

    Args:
        source: a path, or the bytes of an image file in any format that Pillow reads.
        name: of the image in errors; by default the path.

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
    except Exception as error:  # damaged files make decoders raise any error, TypeError too
        raise DataError(
            f"{name}: truncated or damaged ({error}). Copy it again from its source."
        ) from error


def _to_rgb(image: Image.Image, name: str) -> UInt8Array:
    width, height = image.size
    if width * height > _MAX_PIXELS:
        raise DataError(
            f"{name}: {width}×{height} pixels. Expected one cell, of at most "
            f"{_MAX_PIXELS:,} pixels; cut the cells out of a whole field first."
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


def read_size(data: bytes) -> tuple[int, int] | None:
    """Width and height by an image's header; None where it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                return image.size
    except Exception:  # as in read_image: decoders raise any error
        return None


class Readable(Protocol):
    """An image file that can be read: a `sources.Source`, or an upload."""

    @property
    def name(self) -> str:
        """Its name, for tables and errors."""

    def read(self) -> bytes:
        """Its bytes."""


def try_read_image(source: Readable) -> UInt8Array | str:
    """As `read_image`, or in words what is wrong with the file: a bad one never stops the rest."""
    try:
        return read_image(source.read(), source.name)
    except DataError as error:
        return str(error).removeprefix(f"{source.name}: ")
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def compute_pixel_hash(rgb: UInt8Array) -> str:
    """Hash of the decoded pixels and their shape, 32 hex digits: not the file's header."""
    digest = hashlib.sha256(str(rgb.shape).encode())
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()[:32]
