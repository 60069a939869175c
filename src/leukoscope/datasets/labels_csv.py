"""A CSV of labels → labels and subjects of the images beside or below it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from leukoscope.datasets.reader import Images
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError
from leukoscope.io.files import read_text as read_file
from leukoscope.io.sources import list_sources, read_text
from leukoscope.labels import parse_label

__all__ = ["apply_labels", "find_label_files", "read_label_file"]

_CSV_NAMES = {
    "image": ("image", "new_names", "file", "filename"),
    "name": ("patient_id",),
    "label": ("label", "labels", "class"),
    "subject": ("subject", "subject_id", "patient"),
    "smear": ("smear",),
    "fold": ("fold", "part"),
}


@dataclass(frozen=True)
class LabelFile:
    """A CSV: what to call it, the folder within the data that it lies in, its text."""

    origin: str
    folder: str
    text: str


def read_label_file(path: Path, root: Path) -> LabelFile:
    """Read the CSV that a user names; it applies to all images of the data, or to those below it.

    Raises:
        DataError: it cannot be read.
    """
    text = read_file(path, "a CSV with the columns image, label and, where known, subject")
    top, where = root.resolve(), path.resolve().parent
    inside = where.relative_to(top).as_posix() if where.is_relative_to(top) else ""
    return LabelFile(str(path), inside, text)


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
            yield LabelFile(source.name, folder, read_text(source))


def apply_labels(
    rows: pd.DataFrame, labels: LabelFile, spec: DatasetSpec, classes: Mapping[str, str]
) -> None:
    """Override `rows` with the entries of a CSV.

    Columns: image (or new_names, file, filename), label (or labels, class), and where known subject
    (or subject_id, patient), smear, fold (or part), or in Patient_ID a name as the data set's own
    images have.

    Args:
        rows: columns `reader.ROW_COLUMNS`; changed in place.
        labels: the CSV.
        spec: how the data set's names are read.
        classes: words for the classes beside those known anyway.

    Raises:
        DataError: not such a CSV, an unknown class, or names that fit no image, or two.
    """
    given = _parse_csv(labels)
    by_image = _index_images(rows["image"], labels.folder)
    changed = ["label", "claim", "subject", "smear", "cell", "fold"]
    values = {column: rows[column].tolist() for column in changed}
    matched = 0
    for line, entry in enumerate(given.to_dict("records"), start=2):
        found = by_image.get(entry["image"], [])
        label = classes.get(entry["label"].lower()) or parse_label(entry["label"])
        if label is None:
            raise DataError(
                f"{labels.origin}, line {line}: unknown class {entry['label']!r}. "
                "Expected all, hem, leukaemic, normal, 1 or 0, or a word of `classes`."
            )
        if len(found) > 1:
            raise DataError(
                f"{labels.origin}, line {line}: {entry['image']} is the name of {len(found)} "
                "images. Expected the path within the data."
            )
        for row in found:
            matched += 1
            name = spec.parse_name(entry.get("name", ""))
            said = {"label": label, "claim": name.label if name else ""}
            said |= {"subject": name.subject if name else entry.get("name", "")}
            said |= {"smear": name.smear, "cell": name.cell} if name else {}
            said |= {key: entry[key] for key in ("subject", "smear", "fold") if entry.get(key)}
            for column, word in said.items():
                if word or column == "claim":
                    values[column][row] = word
    if not matched:
        raise DataError(
            f"{labels.origin}: none of its {len(given)} names is an image of the data. Expected "
            "file names, or paths within the data."
        )
    for column, words in values.items():
        rows[column] = words


def _parse_csv(labels: LabelFile) -> pd.DataFrame:
    """The columns we know, by our names for them."""
    try:
        given = pd.read_csv(
            io.StringIO(labels.text), dtype=str, keep_default_na=False, index_col=False
        )
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise DataError(f"{labels.origin}: not a CSV that can be parsed ({error}).") from error
    lower = {str(column).strip().lower(): column for column in given.columns}
    known = {
        wanted: given[lower[alias]].str.strip()
        for wanted, aliases in _CSV_NAMES.items()
        for alias in reversed(aliases)
        if alias in lower
    }
    if not {"image", "label"} <= known.keys():
        raise DataError(
            f"{labels.origin}: expected the columns image and label (and where known subject, "
            f"smear, fold); received {', '.join(map(str, given.columns))}."
        )
    return pd.DataFrame(known)


def _index_images(images: pd.Series, folder: str) -> dict[str, list[int]]:
    """Row numbers by every way in which a CSV may name an image: file name, path below it, path."""
    below = "" if folder in ("", ".") else folder + "/"
    index: dict[str, list[int]] = {}
    for row, image in enumerate(images):
        if image.startswith(below):
            index.setdefault(PurePosixPath(image).name, []).append(row)
    index |= {
        image.removeprefix(below): [row]
        for row, image in enumerate(images)
        if image.startswith(below)
    }
    return index | {image: [row] for row, image in enumerate(images)}
