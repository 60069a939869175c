"""Image bytes → pixels. The only decoder: store, audit, predict and serve all use it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
import warnings
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from leukoscope.arrays import UInt8Array
from leukoscope.errors import DataError

__all__ = [
    "IMAGE_SUFFIXES",
    "Readable",
    "compute_pixel_hash",
    "describe_surprise",
    "read_image",
    "read_size",
    "try_read_image",
]

IMAGE_SUFFIXES = frozenset({".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".gif"})

_FORMATS = ("BMP", "DIB", "PNG", "JPEG", "TIFF", "WEBP", "GIF")  # no EPS: it would run a program
_MAX_PIXELS = 50_000_000
_MAX_SIDE = 30_000
_LARGE_PIXELS = 4_000_000  # images of more are decoded one at a time
_ROWS = 512  # composed on black at a time
_DARK = 64  # of 256: brightest pixel of 16-bit files that hold 14 bits or fewer
_TIFF_KIND, _TIFF_BITS = 254, 258  # tags
_KINDS = {"L": "greyscale", "LA": "greyscale", "1": "black and white", "CMYK": "CMYK"}

_large = threading.Lock()


def read_image(source: Path | bytes, name: str | None = None) -> UInt8Array:
    """Decode one image, upright as its EXIF data says.

    Args:
        source: a path, or the bytes of an image file in any format that Pillow reads.
        name: of the image in errors; by default the path.

    Returns:
        uint8 (height, width, 3), RGB. Transparent pixels are black. 16-bit colour is cut to its
        upper 8 bits.

    Raises:
        DataError: missing, empty, truncated, not an image, over 50 megapixels or 30,000 pixels a
            side, several pages, transparent everywhere, or not 8-bit or full 16-bit colour.
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
                return _decode(image, name)
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name}: not an image that can be read. Expected BMP, PNG, JPEG, TIFF or WebP."
        ) from error
    except Image.DecompressionBombError as error:
        raise DataError(_describe_size(name, "over 170 million")) from error
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{name}: the memory is too small for it. Close other programs.") from error
    except Exception as error:  # damaged files make decoders raise any error, TypeError too
        raise DataError(
            f"{name}: truncated or damaged ({error}). Copy it again from its source."
        ) from error


def _decode(image: Image.Image, name: str) -> UInt8Array:
    width, height = image.size
    if width * height > _MAX_PIXELS or max(width, height) > _MAX_SIDE:
        raise DataError(_describe_size(name, f"{width}×{height}"))
    pages = _count_pages(image)
    if pages > 1:
        raise DataError(f"{name}: {pages} pages. Expected one image a file; save each as its own.")
    one_at_a_time = _large if width * height > _LARGE_PIXELS else contextlib.nullcontext()
    with one_at_a_time:
        bits = _find_bits(image)
        ImageOps.exif_transpose(image, in_place=True)
        rgb = _to_rgb(image, name)
        image.close()  # its pixels too, before the next large one is decoded
    if bits > 8 and rgb.max() < _DARK:
        raise DataError(
            f"{name}: {bits}-bit pixels of which only the lower bits are used, so their brightness "
            "is not known. Expected 8-bit colour; save it again as 8-bit RGB."
        )
    return rgb


def _describe_size(name: str, size: str) -> str:
    return (
        f"{name}: {size} pixels. Expected one cell, of at most {_MAX_PIXELS:,} pixels and "
        f"{_MAX_SIDE:,} a side; cut the cells out of a whole field first."
    )


def _count_pages(image: Image.Image) -> int:
    """Images in the file at full resolution; smaller copies of a page are none of their own."""
    pages = getattr(image, "n_frames", 1)
    if image.format != "TIFF" or pages == 1:
        return int(pages)
    reduced = 0
    for page in range(pages):
        image.seek(page)
        reduced += int(image.tag_v2.get(_TIFF_KIND, 0)) & 1  # type: ignore[attr-defined]
    image.seek(0)
    return int(pages) - reduced


def _find_bits(image: Image.Image) -> int:
    """Bits a sample in the file, before Pillow makes 8 of 16."""
    if image.format == "TIFF":
        bits = image.tag_v2.get(_TIFF_BITS, 8)  # type: ignore[attr-defined]
        return int(max(bits) if isinstance(bits, tuple) else bits)
    tiles = getattr(image, "tile", [])
    return 16 if image.format == "PNG" and any(";16" in str(tile.args) for tile in tiles) else 8


def _to_rgb(image: Image.Image, name: str) -> UInt8Array:
    if image.mode in ("RGBA", "PA", "P") or "transparency" in image.info:
        return _compose_on_black(image if image.mode == "RGBA" else image.convert("RGBA"), name)
    if image.mode == "RGB":
        return np.asarray(image)
    kind = _KINDS.get(
        image.mode, "16-bit or floating point" if image.mode[0] in "IF" else image.mode
    )
    raise DataError(f"{name}: {kind} pixels. Expected 8-bit colour; save it again as RGB.")


def _compose_on_black(image: Image.Image, name: str) -> UInt8Array:
    """Lay an RGBA image on black, some rows at a time, as whole copies may fill the memory."""
    black = Image.new("RGBA", (image.width, _ROWS), (0, 0, 0, 255))
    rgb, visible = np.empty((image.height, image.width, 3), np.uint8), False
    for top in range(0, image.height, _ROWS):
        rows = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        visible = visible or rows.getchannel("A").getbbox() is not None
        under = black.crop((0, 0, *rows.size))
        rgb[top : top + _ROWS] = np.asarray(Image.alpha_composite(under, rows))[..., :3]
    if not visible:
        raise DataError(
            f"{name}: transparent everywhere. Expected a picture; save it again without "
            "transparency."
        )
    return rgb


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
    except Exception as error:  # of an archive's library, or an upload's
        return describe_surprise(error)


def describe_surprise(error: Exception) -> str:
    """In words what an image has raised that nobody expected, for its own row."""
    if isinstance(error, MemoryError):
        return "the memory is too small for it. Close other programs."
    return f"it could not be processed ({type(error).__name__}: {error}). Please report it."


def compute_pixel_hash(rgb: UInt8Array) -> str:
    """Hash of the decoded pixels and their shape, 32 hex digits: not the file's header."""
    digest = hashlib.sha256(str(rgb.shape).encode())
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()[:32]
