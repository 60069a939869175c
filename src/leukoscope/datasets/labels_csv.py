"""A CSV of labels → labels and subjects of the images beside or below it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from leukoscope.datasets.reader import Images, LabelMatch
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError
from leukoscope.io.files import read_bytes
from leukoscope.io.sources import Source, list_sources, tidy_name
from leukoscope.io.tables import parse_table
from leukoscope.labels import LABELS

__all__ = [
    "apply_labels",
    "find_image_root",
    "find_label_files",
    "read_label_file",
    "select_images",
]

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
    """A CSV.

    Attributes:
        origin: what to call it.
        folder: within the data, that it lies in: it applies to the images below; "" for all.
        data: its bytes.
        home: the folder on disk that it lies in; None within a zip.
        root: the data on disk.
    """

    origin: str
    folder: str
    data: bytes
    home: Path | None = None
    root: Path | None = None

    def relate(self, entry: str) -> str:
        """An image's path within the data, where it is written from the root of the disk or from
        the CSV's own folder; else ""."""
        if self.home is None or self.root is None:
            return ""
        path = Path(os.path.normpath(self.home / entry))
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else ""


def read_label_file(path: Path, root: Path) -> LabelFile:
    """Read the CSV that a user names; it applies to all images of the data, or to those below it.

    Raises:
        DataError: it cannot be read.
    """
    data = read_bytes(path, "a CSV with the columns image, label and, where known, subject")
    top, where = root.resolve(), path.resolve().parent
    inside = where.relative_to(top).as_posix() if where.is_relative_to(top) else ""
    return LabelFile(str(path), inside, data, where, top)


def find_image_root(path: Path) -> Path:
    """The folder of a CSV's images: the CSV's own, or where its paths lead away from it, theirs.

    Raises:
        DataError: it cannot be read, or its images are in places that share no folder.
    """
    home = path.resolve().parent
    images = _parse_csv(LabelFile(str(path), "", read_bytes(path, "a CSV")))["image"]
    away = [name for name in images if Path(name).is_absolute() or name.startswith("..")]
    if not away:
        return home
    folders = {str(Path(os.path.normpath(home / name)).parent) for name in away}
    root = Path(os.path.commonpath(folders))
    if root == Path(root.anchor):
        raise DataError(
            f"{path}: its images lie in {len(folders)} folders that share none but {root}. "
            "Expected one folder above all of them."
        )
    return root


def select_images(path: Path, root: Path, sources: Sequence[Source]) -> list[Source]:
    """Of the images below a folder, those that a CSV names.

    Raises:
        DataError: as `apply_labels`.
    """
    labels = read_label_file(path, root)
    places = _find_rows(
        labels, _parse_csv(labels)["image"], pd.Series([source.name for source in sources])
    )
    return [sources[place] for place in sorted({place for place in places if place is not None})]


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
        places = _find_rows(labels, given["image"], rows["image"])
        for line, (row, entry) in enumerate(
            zip(places, given.to_dict("records"), strict=True), start=2
        ):
            where = f"{labels.origin}, line {line}"
            said = _read_entry(entry, where, spec)
            if row is None:
                continue
            for column, word in said.items():
                if word:
                    before = told.setdefault((row, column), (where, word))
                    _check_same(entry["image"], column, (where, word), before)
                if word or column == "claim":
                    values[column][row] = word
        found.append((labels, given["image"], places))
    for column, words in values.items():
        rows[column] = words
    return tuple(_compare(labels, names, places, rows) for labels, names, places in found)


def _find_rows(labels: LabelFile, names: pd.Series, images: pd.Series) -> list[int | None]:
    """The image that each row of a CSV names; None where it names none of the data."""
    by_image = _index_images(images, labels.folder)
    whole = {tidy_name(image): [row] for row, image in enumerate(images)}
    found: list[int | None] = []
    for line, name in enumerate(names, start=2):
        places = by_image.get(tidy_name(name)) or whole.get(tidy_name(labels.relate(name)), [])
        if len(places) > 1:
            raise DataError(
                f"{labels.origin}, line {line}: {name} is the name of {len(places)} images. "
                "Expected the path within the data."
            )
        found.append(places[0] if places else None)
    if all(place is None for place in found):
        raise DataError(
            f"{labels.origin}: none of its {len(names)} names, such as {names.iloc[0]!r}, is an "
            f"image of the data, such as {images.iloc[0]!r}. Expected file names, or paths within "
            "the data."
        )
    return found


def _compare(
    labels: LabelFile, names: pd.Series, places: Sequence[int | None], rows: pd.DataFrame
) -> LabelMatch:
    """How a CSV fits the images, once all are labelled."""
    absent = [name for name, place in zip(names, places, strict=True) if place is None]
    below = np.flatnonzero(rows["image"].str.startswith(_find_prefix(labels.folder)))
    unlisted = sorted(set(below.tolist()) - set(places))
    return LabelMatch(
        file=labels.origin,
        rows=len(names),
        absent=len(absent),
        absent_names=tuple(absent[:_SHOWN]),
        images=len(below),
        unlisted=len(unlisted),
        unlisted_names=tuple(rows["image"].iloc[unlisted[:_SHOWN]]),
        unlabelled=int((rows["label"].iloc[unlisted] == "").sum()),
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
