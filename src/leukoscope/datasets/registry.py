"""A path → which reader reads it, and what it finds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from leukoscope.datasets.cnmc import CNMC
from leukoscope.datasets.kaggle import find_data
from leukoscope.datasets.reader import Images, Reader, Reading, ReadOptions
from leukoscope.datasets.spec import CellName, DatasetSpec
from leukoscope.errors import DataError
from leukoscope.io.sources import list_sources
from leukoscope.notices import find_banner
from leukoscope.registry import Registry

__all__ = ["READERS", "parse_known_name", "read_dataset"]

READERS: Registry[Reader] = Registry("reader", "leukoscope.datasets", "READER", of=Reader)
"""Readers by name: each module here with a READER, or a user's own by import path."""

_LAST = ("table_csv", "folders")  # what reads nearly anything is asked last


def read_dataset(data: str | Path, options: ReadOptions | None = None) -> tuple[Images, Reading]:
    """Read a data set's names, labels and subjects.

    Args:
        data: a folder, a zip, a CSV with the column image, or the word "kaggle".
        options: how to read it, its reader among that.

    Returns:
        The images, and what was found. The spec of cells that our simulator drew says so.

    Raises:
        DataError: no data there, or not what its reader expects.
        SettingsError: no such reader.
    """
    root, options = find_data(data), options or ReadOptions()
    name = options.reader
    if root.suffix.lower() == ".csv" and root.is_file():
        options = dataclasses.replace(options, labels_csv=root)
        root, name = root.resolve().parent, "table_csv" if name == "auto" else name
    images = Images(root, list_sources(root))
    if name == "auto":
        name = _recognise(images, options)
    reading = READERS.find(name).read(images, options)
    _check_rows(reading, images, name)
    if find_banner(root):
        spec = dataclasses.replace(
            reading.spec, name="simulated cells", published=(), citation="drawn by leukoscope"
        )
        reading = dataclasses.replace(reading, spec=spec)
    return images, reading


def _recognise(images: Images, options: ReadOptions) -> str:
    names = READERS.names()
    first = [name for name in names if name not in _LAST]
    return next(name for name in (*first, *_LAST) if READERS.find(name).recognises(images, options))


def _check_rows(reading: Reading, images: Images, name: str) -> None:
    """A user's own reader may be wrong: say so here, not three stages on."""
    told = list(reading.rows["image"]) if "image" in reading.rows else []
    if told != [source.name for source in images.sources]:
        raise DataError(
            f"{images.root}: the reader {name} gave {len(told)} rows. Expected one for each of the "
            f"{len(images.sources)} images, in their order, with the image's name."
        )


def parse_known_name(image: str, spec: DatasetSpec | None = None) -> CellName | None:
    """What an image's name says of its cell.

    Args:
        image: its name.
        spec: of its data set; where left out, or where the name is not of its kind, C-NMC's rule
            is tried, whose names many tables bear.
    """
    found = spec.parse_name(image) if spec else None
    return found or CNMC.parse_name(image)
