"""The reader interface, and what the readers share.

A reader turns a data set as it lies on a disk into its `DatasetSpec` and one row an image. It opens
no image but to learn how large the images are. A new data set is one module here with a `READER`;
tests/test_readers.py holds all of them to one contract.
"""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from leukoscope.datasets.spec import CropSpec, DatasetSpec, parse_subject_rule
from leukoscope.errors import DataError
from leukoscope.io.images import read_size
from leukoscope.io.sources import Source
from leukoscope.labels import LABELS, parse_label

__all__ = [
    "ROW_COLUMNS",
    "Images",
    "LabelMatch",
    "ReadOptions",
    "Reader",
    "Reading",
    "check_classes",
    "check_whole",
    "find_fold",
    "find_label",
    "find_labels",
    "list_folders",
    "measure_crop",
    "parse_classes",
    "settle_subject_rule",
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
        subject_from: where subjects are in the images' paths, as `spec.parse_subject_rule`; ""
            where the reader knows, or nobody does.
        classes: folder names or words → "leukaemic" or "normal", beside those known anyway.
        frame_px: side of the central square of an image that becomes the crop; measured where
            left out.

    Raises:
        DataError: a value of another kind, an unknown class, or a rule that names no subject.
    """

    reader: str = "auto"
    labels_csv: Path | None = None
    subject_from: str = ""
    classes: Mapping[str, str] = field(default_factory=dict)
    frame_px: int | None = None

    def __post_init__(self) -> None:
        for name in ("reader", "subject_from"):
            if not isinstance(getattr(self, name), str):
                raise DataError(f"{name} = {getattr(self, name)!r}. Expected text.")
        try:
            parse_subject_rule(self.subject_from)
        except ValueError as error:
            raise DataError(str(error)) from error
        object.__setattr__(self, "classes", check_classes(self.classes))
        if self.frame_px is not None:
            object.__setattr__(self, "frame_px", check_whole("frame_px", self.frame_px, "pixels"))


def check_whole(name: str, value: Any, unit: str) -> int:
    """A whole number as int, of NumPy too.

    Raises:
        DataError: another value, naming it.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise DataError(f"{name} = {value!r}. Expected a whole number of {unit}.") from None


@dataclass(frozen=True)
class LabelMatch:
    """How a CSV of labels and the images of the data fit.

    Attributes:
        file: the CSV.
        rows: of the CSV.
        absent: rows that name no image of the data; some of them in `absent_names`.
        images: beside or below the CSV.
        unlisted: of these, images that the CSV does not name; some of them in `unlisted_names`.
        unlabelled: of these, images whose label nothing else gives.
    """

    file: str
    rows: int
    absent: int
    absent_names: tuple[str, ...]
    images: int
    unlisted: int
    unlisted_names: tuple[str, ...]
    unlabelled: int


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
        matches: how each CSV of labels fits the images.
        options: how the data were read, with the reader and the CSV that were found;
            `registry.read_dataset` fills it in.
    """

    spec: DatasetSpec
    rows: pd.DataFrame
    matches: tuple[LabelMatch, ...] = ()
    options: ReadOptions = field(default_factory=ReadOptions)


@dataclass(frozen=True)
class Reader:
    """Reads one layout of data sets.

    Attributes:
        summary: one line for people.
        recognises: whether images have this layout, by their names and the options.
        read: returns what is found; raises DataError where it is not what was expected.
        spec: facts known beforehand. Its names and words for the classes are known in tables that
            come without a model, too.
    """

    summary: str
    recognises: Callable[[Images, ReadOptions], bool]
    read: Callable[[Images, ReadOptions], Reading]
    spec: DatasetSpec | None = None


def list_folders(images: Images, source: Source) -> list[str]:
    """Folders that an image lies in, from the data's own on: what may name its class or fold."""
    own = images.root.resolve()
    return [own.name if own.is_dir() else own.stem, *PurePosixPath(source.name).parts[:-1]]


def find_label(folders: Sequence[str], spec: DatasetSpec) -> str:
    """The class that the innermost folder names, or "".

    "1" may be anything, so no number names a class but one that the data set has as its own word.
    """
    return next(filter(None, (_parse_folder(folder, spec) for folder in reversed(folders))), "")


def find_labels(
    nested: Sequence[Sequence[str]], spec: DatasetSpec, meant: Collection[str]
) -> list[str]:
    """The classes that folders name, of each image of a data set whose layout is not known.

    A folder far above an image may bear such a word by chance: "Leukemia" above "Benign" and
    "Early". So it counts where folders of its level name both classes, where it holds the image,
    or where a user says that its word is a class.

    Args:
        nested: of each image, the folders that it lies in, from the top.
        spec: with the words for the classes.
        meant: words that a user named, in lower case.
    """
    levels: dict[int, set[str]] = {}
    for level, folder in {pair for folders in nested for pair in enumerate(folders)}:
        levels.setdefault(level, set()).add(_parse_folder(folder, spec))

    def counts(level: int, folder: str, deepest: int) -> bool:
        both = level > 0 and set(LABELS) <= levels[level]
        return both or level == deepest or folder.strip().lower() in meant

    return [
        find_label(
            [name for level, name in enumerate(folders) if counts(level, name, len(folders) - 1)],
            spec,
        )
        for folders in nested
    ]


def _parse_folder(folder: str, spec: DatasetSpec) -> str:
    word = folder.strip()
    if word.isdigit() and word not in spec.class_words:
        return ""
    return spec.parse_label(word) or ""


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
    if not isinstance(classes, Mapping):
        raise DataError(
            f"classes = {classes!r}. Expected words of the data and the class of each, such as "
            f'{{"Early": "{LABELS[1]}", "Benign": "{LABELS[0]}"}}.'
        )
    found = {}
    for given, named in classes.items():
        word, name = str(given), str(named)
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


def settle_subject_rule(spec: DatasetSpec, sources: Sequence[Source]) -> DatasetSpec:
    """A spec whose user's rule holds for such images wherever they lie, with it in words.

    So it reads no more of a path than these images need. A folder counted from the top becomes one
    counted from the image; where images lie at different depths it is none, and the rule ends here.
    """
    rule = parse_subject_rule(spec.subject_from)
    if rule is None:
        return spec
    if not isinstance(rule, int):
        depth = _measure_depth(spec, [source.name for source in sources])
        return dataclasses.replace(spec, depth=depth, naming=f"…{spec.subject_from}…")
    if rule > 0:
        depths = {len(PurePosixPath(source.name).parts) - 1 for source in sources}
        rule -= min(depths) + 1
        if len(depths) > 1 or rule >= 0:
            return dataclasses.replace(spec, subject_from="", naming="")
    naming = "/".join(["<subject>", *["<folder>"] * (-rule - 1), "<image>"])
    return dataclasses.replace(spec, subject_from=f"folder:{rule}", depth=-rule, naming=naming)


def _measure_depth(spec: DatasetSpec, images: Sequence[str]) -> int:
    """The fewest folders above an image with which every path gives the subject that it gives."""
    paths = [(PurePosixPath(image).parts, spec.find_subject(image)) for image in images]
    most = max(len(parts) for parts, _ in paths) - 1
    return next(
        depth
        for depth in range(most + 1)
        if depth == most
        or all(spec.find_subject("/".join(parts[-(depth + 1) :])) == own for parts, own in paths)
    )
