"""The reader interface, and what the readers share.

A reader turns a data set as it lies on a disk into its `DatasetSpec` and one row an image. It opens
no image but to learn how large the images are. A new data set is one module here with a `READER`;
tests/test_readers.py holds all of them to one contract.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from leukoscope.datasets.spec import CropSpec, DatasetSpec
from leukoscope.errors import DataError
from leukoscope.io.images import read_size
from leukoscope.io.sources import Source
from leukoscope.labels import LABELS, parse_label

__all__ = [
    "ROW_COLUMNS",
    "Images",
    "ReadOptions",
    "Reader",
    "Reading",
    "check_classes",
    "find_fold",
    "find_label",
    "list_folders",
    "measure_crop",
    "parse_classes",
]

ROW_COLUMNS = ("image", "label", "claim", "subject", "smear", "cell", "fold")
"""Columns of a reading's rows, all text, "" where not known. `claim` is the label in the image's
own name: where folder or CSV differ from it, the image counts as mislabelled."""

_MEASURED = 400  # images whose size is read, evenly spread, to learn a data set's frame


@dataclass(frozen=True)
class ReadOptions:
    """How to read a data set.

    Attributes:
        reader: a name of `registry.READERS`, an import path "package.module:name", or "auto": the
            first that recognises the data.
        labels_csv: labels and subjects of the images, as `labels_csv.apply_labels` documents.
        subject_from: where subjects are: "folder:N", the N-th folder from the top of the data
            (1 is the first, -1 the one that holds the image), or a regular expression with one
            group that is searched in the image's path; "" where the reader knows, or nobody does.
        classes: folder names or words → "leukaemic" or "normal", beside those known anyway.
        frame_px: side of the central square of an image that becomes the crop; measured where
            left out.
    """

    reader: str = "auto"
    labels_csv: Path | None = None
    subject_from: str = ""
    classes: Mapping[str, str] = field(default_factory=dict)
    frame_px: int | None = None


@dataclass(frozen=True)
class Images:
    """The image files of a data set.

    Attributes:
        root: the folder, zip or file that was named.
        sources: the files in it, sorted by name.
    """

    root: Path
    sources: Sequence[Source]


@dataclass(frozen=True)
class Reading:
    """What a reader found.

    Attributes:
        spec: facts of the data set.
        rows: one row an image in the order of the sources, columns `ROW_COLUMNS`.
    """

    spec: DatasetSpec
    rows: pd.DataFrame


@dataclass(frozen=True)
class Reader:
    """Reads one layout of data sets.

    Attributes:
        summary: one line for people.
        recognises: whether images have this layout, by their names and the options.
        read: returns what is found; raises DataError where it is not what was expected.
    """

    summary: str
    recognises: Callable[[Images, ReadOptions], bool]
    read: Callable[[Images, ReadOptions], Reading]


def list_folders(images: Images, source: Source) -> list[str]:
    """Folders that an image lies in, from the data's own on: what may name its class or fold."""
    own = images.root.resolve()
    return [own.name if own.is_dir() else own.stem, *PurePosixPath(source.name).parts[:-1]]


def find_label(folders: Sequence[str], classes: Mapping[str, str]) -> str:
    """The class that the innermost folder names, or ""; "1" may be anything, so no number does."""
    for folder in reversed(folders):
        if label := classes.get(folder.strip().lower()):
            return label
        if not folder.isdigit() and (label := parse_label(folder) or ""):
            return label
    return ""


def find_fold(folders: Sequence[str]) -> str:
    """The innermost folder that is called fold_N, train, validation or test, or ""."""
    for folder in reversed(folders):
        if re.fullmatch(r"fold_?\d+|train(ing)?|val(id(ation)?)?|test(ing)?", folder.lower()):
            return folder.lower()
    return ""


def parse_classes(words: str) -> dict[str, str]:
    """ "Early=leukaemic,Benign=normal" → which class each word names, as `check_classes`."""
    pairs = [pair.partition("=") for pair in words.split(",") if pair.strip()]
    return check_classes({word: name for word, _, name in pairs})


def check_classes(classes: Mapping[str, str]) -> dict[str, str]:
    """Words for the classes, in lower case, and the classes that they name.

    Raises:
        DataError: an empty word, or another class.
    """
    found = {}
    for word, name in classes.items():
        label = parse_label(name)
        if not word.strip() or label is None:
            raise DataError(
                f"Classes: {word.strip()!r} = {name.strip()!r}. Expected a word of the data and "
                f"{LABELS[1]} or {LABELS[0]}, such as Early={LABELS[1]},Benign={LABELS[0]}."
            )
        found[word.strip().lower()] = label
    return found


def measure_crop(sources: Sequence[Source], frame_px: int | None) -> CropSpec:
    """How a data set's images are cropped: whole, at one scale.

    The frame is the largest side of an image, so that all are cut or padded alike; where sizes
    differ much, the one that 99 in 100 images fit into.

    Args:
        sources: the images.
        frame_px: what a user says.

    Raises:
        DataError: a frame out of range.
    """
    if frame_px is None:
        places = np.linspace(0, len(sources) - 1, min(_MEASURED, len(sources))).astype(int)
        sizes = [max(size) for place in places if (size := _read_size(sources[place]))]
        frame_px = round(float(np.quantile(sizes, 0.99))) if sizes else CropSpec().frame_px
    try:
        return CropSpec(frame_px=frame_px)
    except ValueError as error:
        raise DataError(
            f"{error}. A crop holds one cell: cut the cells out of larger images first, or give "
            "the side of the central square that holds one (`frame_px`)."
        ) from error


def _read_size(source: Source) -> tuple[int, int] | None:
    try:
        return read_size(source.read())
    except (DataError, OSError):
        return None
