"""A CSV of labels → labels and subjects of the images beside or below it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from leukoscope.datasets.reader import Images, LabelMatch
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError
from leukoscope.io.files import read_bytes
from leukoscope.io.sources import list_sources, tidy_name
from leukoscope.io.tables import parse_table
from leukoscope.labels import LABELS

__all__ = ["apply_labels", "find_label_files", "read_label_file"]

_CSV_NAMES = {
    "image": ("image", "new_names", "file", "filename"),
    "name": ("patient_id",),
    "label": ("label", "labels", "class"),
    "subject": ("subject", "subject_id", "patient"),
    "smear": ("smear",),
    "fold": ("fold", "part"),
}

_OVERRIDDEN = ("label", "claim", "subject", "smear", "cell", "fold")
_SHOWN = 20  # names of a CSV or of images that are told


@dataclass(frozen=True)
class LabelFile:
    """A CSV: what to call it, the folder within the data that it lies in, its bytes."""

    origin: str
    folder: str
    data: bytes


def read_label_file(path: Path, root: Path) -> LabelFile:
    """Read the CSV that a user names; it applies to all images of the data, or to those below it.

    Raises:
        DataError: it cannot be read.
    """
    data = read_bytes(path, "a CSV with the columns image, label and, where known, subject")
    top, where = root.resolve(), path.resolve().parent
    inside = where.relative_to(top).as_posix() if where.is_relative_to(top) else ""
    return LabelFile(str(path), inside, data)


def find_label_files(images: Images) -> Iterable[LabelFile]:
    """The CSVs within a data set whose names end in `labels.csv`."""
    root = images.root
    if root.is_file() and not zipfile.is_zipfile(root):
        return
    try:
        found = list_sources(root, frozenset({".csv"}))
    except DataError:
        return
    for source in found:
        if source.name.lower().endswith("labels.csv"):
            folder = PurePosixPath(source.name).parent.as_posix()
            yield LabelFile(source.name, folder, source.read())


def apply_labels(
    rows: pd.DataFrame, files: Iterable[LabelFile], spec: DatasetSpec
) -> tuple[LabelMatch, ...]:
    """Override `rows` with the entries of CSVs, and say how each of them fits the images.

    Columns: image (or new_names, file, filename), label (or labels, class), and where known subject
    (or subject_id, patient), smear, fold (or part), or in Patient_ID a name as the data set's own
    images have.

    Args:
        rows: columns `reader.ROW_COLUMNS`; changed in place.
        files: the CSVs.
        spec: how the data set's names are read, and its words for the classes.

    Raises:
        DataError: not such a CSV, an unknown class, names that fit no image, or two, or an image
            of which two rows say different things.
    """
    values = {column: rows[column].tolist() for column in _OVERRIDDEN}
    told: dict[tuple[int, str], tuple[str, str]] = {}
    found = []
    for labels in files:
        given = _parse_csv(labels)
        by_image = _index_images(rows["image"], labels.folder)
        named, absent = set[int](), []
        for line, entry in enumerate(given.to_dict("records"), start=2):
            where = f"{labels.origin}, line {line}"
            said = _read_entry(entry, where, spec)
            places = by_image.get(tidy_name(entry["image"]), [])
            if len(places) > 1:
                raise DataError(
                    f"{where}: {entry['image']} is the name of {len(places)} images. Expected the "
                    "path within the data."
                )
            if not places:
                absent.append(entry["image"])
                continue
            named.add(row := places[0])
            for column, word in said.items():
                if word:
                    before = told.setdefault((row, column), (where, word))
                    _check_same(entry["image"], column, (where, word), before)
                if word or column == "claim":
                    values[column][row] = word
        if not named:
            raise DataError(
                f"{labels.origin}: none of its {len(given)} names is an image of the data. "
                "Expected file names, or paths within the data."
            )
        below = rows["image"].str.startswith(_find_prefix(labels.folder))
        beside = set(np.flatnonzero(below).tolist())
        unlisted = sorted(beside - named)
        found.append((labels.origin, len(given), absent, len(beside), unlisted))
    for column, words in values.items():
        rows[column] = words
    return tuple(
        LabelMatch(
            file=origin,
            rows=entries,
            absent=len(absent),
            absent_names=tuple(absent[:_SHOWN]),
            images=images,
            unlisted=len(unlisted),
            unlisted_names=tuple(rows["image"].iloc[unlisted[:_SHOWN]]),
            unlabelled=int((rows["label"].iloc[unlisted] == "").sum()),
        )
        for origin, entries, absent, images, unlisted in found
    )


def _read_entry(entry: Mapping[Any, str], where: str, spec: DatasetSpec) -> dict[str, str]:
    """What one row says: column → word."""
    label = spec.parse_label(entry["label"])
    if label is None:
        words = ", ".join([*LABELS, "1", "0", *spec.class_words])
        raise DataError(
            f"{where}: unknown class {entry['label']!r}. Expected {words}, or a word in `classes`."
        )
    name = spec.parse_name(entry.get("name", ""))
    said = {"label": label, "claim": name.label if name else ""}
    said |= {"subject": name.subject if name else entry.get("name", "")}
    said |= {"smear": name.smear, "cell": name.cell} if name else {}
    return said | {key: entry[key] for key in ("subject", "smear", "fold") if entry.get(key)}


def _check_same(image: str, column: str, now: tuple[str, str], before: tuple[str, str]) -> None:
    """Refuse two rows, each (where, word), that contradict each other."""
    if now[1] != before[1]:
        raise DataError(
            f"{now[0]}: the {column} of {image} is {now[1]!r}, but {before[1]!r} in {before[0]}. "
            "Expected one row an image; remove the wrong one."
        )


def _parse_csv(labels: LabelFile) -> pd.DataFrame:
    """The columns we know, by our names for them."""
    aliases = [alias for names in _CSV_NAMES.values() for alias in names]
    given = parse_table(labels.data, labels.origin, "image and label", known=aliases)
    known = {
        wanted: given[alias].str.strip()
        for wanted, names in _CSV_NAMES.items()
        for alias in reversed(names)
        if alias in given
    }
    if not {"image", "label"} <= known.keys():
        raise DataError(
            f"{labels.origin}: expected the columns image and label (and where known subject, "
            f"smear, fold); received {', '.join(map(str, given.columns))}."
        )
    return pd.DataFrame(known)


def _index_images(images: pd.Series, folder: str) -> dict[str, list[int]]:
    """Row numbers by every way in which a CSV may name an image: file name, path below it, path."""
    below = _find_prefix(folder)
    names, paths, whole = (dict[str, list[int]]() for _ in range(3))
    for row, image in enumerate(map(tidy_name, images)):
        whole.setdefault(image, []).append(row)
        if image.startswith(below):
            names.setdefault(PurePosixPath(image).name, []).append(row)
            paths.setdefault(image.removeprefix(below), []).append(row)
    return names | paths | whole


def _find_prefix(folder: str) -> str:
    """How the paths of the images in a folder begin."""
    return "" if folder in ("", ".") else folder + "/"
