"""A path → which reader reads it, and what it finds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cache
from pathlib import Path

from leukoscope.datasets.kaggle import fetch_data
from leukoscope.datasets.labels_csv import find_image_root, select_images
from leukoscope.datasets.reader import Images, Reader, Reading, ReadOptions
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError, call_users_code
from leukoscope.io.sources import list_sources
from leukoscope.labels import parse_label
from leukoscope.notices import find_banner
from leukoscope.registry import Registry

__all__ = [
    "READERS",
    "describe_first_data",
    "describe_names",
    "find_claim",
    "find_data",
    "find_subject",
    "list_class_words",
    "list_known_specs",
    "parse_known_label",
    "read_dataset",
]

READERS: Registry[Reader] = Registry("reader", "leukoscope.datasets", "READER", of=Reader)
"""Readers by name: each module here with a READER, or a user's own by import path."""

_LAST = ("table_csv", "folders")  # what reads nearly anything is asked last


def find_data(data: str | Path) -> Path:
    """A path as it is; "kaggle" as the folder that it was fetched into.

    Raises:
        DataError: no such path, or Kaggle cannot be reached.
        MissingExtraError: kagglehub is not installed.
    """
    if str(data) == "kaggle" and not Path("kaggle").exists():
        return fetch_data()
    root = Path(data)
    if not root.exists():
        raise DataError(f"{data}: no such file or folder. Check the path.")
    return root


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
    csv = root if root.suffix.lower() == ".csv" and root.is_file() else None
    if csv is not None:
        options = dataclasses.replace(options, labels_csv=csv)
        root, name = find_image_root(csv), "table_csv" if name == "auto" else name
    sources = list_sources(root)
    if csv is not None:
        sources = select_images(csv, root, sources)
    images = Images(root, sources)
    if name == "auto":
        name = _recognise(images, options)
    with call_users_code() if ":" in name else nullcontext():
        reading = READERS.find(name).read(images, options)
    _check_rows(reading, images, name)
    if find_banner(root):
        spec = dataclasses.replace(
            reading.spec, name="simulated cells", published=(), citation="drawn by leukoscope"
        )
        reading = dataclasses.replace(reading, spec=spec)
    options = dataclasses.replace(options, reader=name)
    return images, dataclasses.replace(reading, options=options)


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


@cache
def list_known_specs() -> tuple[DatasetSpec, ...]:
    """Of every built-in reader whose data set has facts known beforehand."""
    specs = (READERS.find(name).spec for name in READERS.names())
    return tuple(spec for spec in specs if spec)


def find_subject(image: str, spec: DatasetSpec | None = None) -> str:
    """The subject that an image's path gives, or "".

    Args:
        image: its path.
        spec: of its data set, which alone says how to read it. Where it is not known, as of a table
            without a model, the first of the known data sets whose names look so.
    """
    specs = (spec,) if spec else list_known_specs()
    return next(filter(None, (known.find_subject(image) for known in specs)), "")


def find_claim(image: str, spec: DatasetSpec | None = None) -> str:
    """The class that an image's name states, by the rule of its data set or, where that is not
    known, of any; "" where it states none."""
    names = (known.parse_name(image) for known in ([spec] if spec else list_known_specs()))
    return next((name.label for name in names if name and name.label), "")


def describe_names(spec: DatasetSpec | None = None) -> str:
    """The names that `find_subject` reads, in words; "" where there are none."""
    specs = (spec,) if spec else list_known_specs()
    return " or ".join(dict.fromkeys(known.naming for known in specs if known.naming))


def parse_known_label(word: object, spec: DatasetSpec | None = None) -> str | None:
    """The class that a word names in a data set or, where it is not known, in any; else None."""
    if spec:
        return spec.parse_label(word)
    return list_class_words().get(str(word).strip().lower()) or parse_label(word)


def list_class_words() -> Mapping[str, str]:
    """Words for the classes in the known data sets, beside those that every data set knows."""
    return {word: label for spec in list_known_specs() for word, label in spec.class_words.items()}


def describe_first_data() -> DatasetSpec:
    """The data set that models and runs of version 0.1 knew, and do not name."""
    (spec,) = (spec for spec in list_known_specs() if spec.reader == "cnmc")
    return spec
