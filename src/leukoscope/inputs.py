"""Paths, arrays and Pillow images → sources.

An array goes through the same decoder as a file does, as a BMP in memory, so that all get the same
checks and the same prediction.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from leukoscope.arguments import is_path
from leukoscope.errors import DataError
from leukoscope.inference.stream import list_images
from leukoscope.io.sources import Source

__all__ = ["Images", "build_array", "has_own_name", "list_inputs", "list_paths", "split_images"]

OneImage = str | PathLike[str] | npt.NDArray[np.uint8] | Image.Image
Images = OneImage | Iterable[OneImage]
"""Path of a file, folder or zip; uint8 (h, w, 3) or (n, h, w, 3), RGB; Pillow image; several."""

_NUMBERED = "image_"
_MODES = ("RGB", "RGBA", "P", "L", "LA", "1", "I", "I;16")  # as a PNG, for the decoder to judge


def list_inputs(images: Images) -> list[Source]:
    """All images, in the order given.

    Files are named as `inference.stream.list_images` does, arrays and Pillow images `image_0`, … by
    their place, or by the file that Pillow opened.

    Raises:
        DataError: nothing to read, a path that is not there, or an array of another kind.
    """
    given = split_images(images)
    if not given:
        raise DataError("No image. Expected a path, an array, a Pillow image, or several of them.")
    paths = list_paths(given)
    if len(paths) == len(given):
        return list_images(paths)
    found: list[Source] = []
    for item in given:
        if isinstance(item, str | PathLike):
            found += list_images([Path(item)])
        else:
            found.append(_from_pixels(item, f"{_NUMBERED}{len(found)}"))
    return found


def has_own_name(source: Source) -> bool:
    """Whether an image's name is its own: `image_0`, which we give, says nothing of a subject."""
    return not (isinstance(source.root, bytes) and source.name.startswith(_NUMBERED))


def list_paths(images: Images) -> list[Path]:
    """The paths among them."""
    return [Path(item) for item in split_images(images) if isinstance(item, str | PathLike)]


def split_images(images: Images) -> list[OneImage]:
    """One or several images as a list. Raises `DataError` for what cannot be one."""
    given = _split(images)
    for item in given:
        if isinstance(item, str | PathLike) and not is_path(item):
            raise DataError(f"{item!r}: not a path. Expected the name of a file, folder or zip.")
    return given


def _split(images: Images) -> list[OneImage]:
    if isinstance(images, str | PathLike | Image.Image):
        return [images]
    if isinstance(images, np.ndarray):
        return list(images) if images.ndim == 4 else [images]
    if not isinstance(images, Iterable) or isinstance(images, bytes | Mapping | pd.DataFrame):
        raise DataError(
            f"{type(images).__name__}: not an image. Expected a path, a uint8 array (h, w, 3) or "
            "(n, h, w, 3), a Pillow image, or several of them."
        )
    return list(images)


def build_array(pixels: Any, name: str) -> npt.NDArray[Any]:
    """What has pixels as an array. Raises `DataError` where its rows are of unequal length."""
    try:
        return np.asarray(pixels)
    except (ValueError, TypeError) as error:
        raise DataError(f"{name}: no array can be made of it ({error}).") from error


def _from_pixels(image: Any, name: str) -> Source:
    """An array or a Pillow image as a source."""
    if isinstance(image, Image.Image):
        opened = getattr(image, "filename", "")
        name = Path(opened).name if opened else name
        if image.mode not in _MODES:
            raise DataError(f"{name}: {image.mode} pixels. Expected RGB; use image.convert('RGB').")
    else:
        array = build_array(image, name)
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
            raise DataError(
                f"{name}: an array {array.dtype} {array.shape}. Expected RGB as uint8 (h, w, 3), "
                "or (n, h, w, 3)."
            )
        image = Image.fromarray(np.ascontiguousarray(array))
    stream = io.BytesIO()
    image.save(stream, "BMP" if image.mode == "RGB" else "PNG")
    data = stream.getvalue()
    return Source(name, len(data), "", data)
