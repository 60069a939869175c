"""Folders, zip or CSV → one table of cells: who, what, where, and what is wrong with the file."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from leukoscope.catalogue.store import CellStore, Progress, open_store
from leukoscope.cells.crop import FRAMES_PX
from leukoscope.datasets.cnmc import parse_cell_name
from leukoscope.errors import DataError
from leukoscope.io.sources import Source, list_sources, read_text
from leukoscope.labels import parse_label

__all__ = ["COLUMNS", "read_table"]

COLUMNS = (
    "image",
    "label",
    "subject",
    "smear",
    "cell",
    "fold",
    "pixel_hash",
    "width",
    "height",
    "area",
    "cut",
    "problem",
)
"""Columns of the table before grouping; rows are in the order of the store's crops."""

_FOLDS = (("prelim", "preliminary"), ("final", "final"))
_CSV_NAMES = {
    "image": ("image", "new_names", "file", "filename"),
    "name": ("patient_id",),
    "label": ("label", "labels", "class"),
    "subject": ("subject", "subject_id", "patient"),
    "smear": ("smear",),
    "fold": ("fold", "part"),
}


def read_table(
    root: Path, labels_csv: Path | None = None, *, progress: Progress | None = None
) -> tuple[pd.DataFrame, CellStore]:
    """Read a data set.

    Label, subject, smear and cell come from the file name where it is a C-NMC name, the label else
    from a folder called `all` or `hem` (or normal, leukaemic, …), the fold from a folder called
    `fold_N`. A CSV overrules both. It is either `labels_csv` or a file in the data whose name ends
    in `labels.csv`; columns: image (or `new_names`), label (or `labels`), and where known subject,
    smear, fold, or the C-NMC name in `Patient_ID`.

    Args:
        root: a folder, a zip, or one fold.
        labels_csv: labels and subjects of the images in `root`.
        progress: called while new images are decoded.

    Returns:
        The table, columns `COLUMNS`, and the store whose crops are in the same order.

    Raises:
        DataError: no data there, or a CSV without the columns it needs.
    """
    sources = list_sources(root)
    rows = pd.DataFrame([_describe(source, root) for source in sources])
    for labels in _find_label_files(root, labels_csv):
        _apply_csv(rows, labels)
    store = open_store(root, sources, progress=progress)
    table = rows.drop(columns="claim").join(store.facts.drop(columns="image"))
    unlike = (rows["claim"] != "") & (rows["label"] != "") & (rows["claim"] != rows["label"])
    wrong_size = [
        width != height or width not in FRAMES_PX
        for width, height in zip(table["width"], table["height"], strict=True)
    ]
    readable = table["problem"] == ""
    table.loc[readable & pd.Series(wrong_size), "problem"] = "size"
    table.loc[readable & unlike, "problem"] = "mislabelled"
    _put_into_words(table, rows)
    return table[list(COLUMNS)], store


def _describe(source: Source, root: Path) -> dict[str, str]:
    folders = [root.resolve().name, *PurePosixPath(source.name).parts[:-1]]
    name = parse_cell_name(source.name)
    words = (part for part in reversed(folders) if not part.isdigit())  # "1" may be anything
    in_folder = next((label for part in words if (label := parse_label(part))), "")
    return {
        "image": source.name,
        "label": in_folder or (name.label if name else ""),
        "claim": name.label if name else "",
        "subject": name.subject if name else "",
        "smear": name.smear if name else "",
        "cell": name.cell if name else "",
        "fold": _find_fold(folders),
    }


def _find_fold(folders: list[str]) -> str:
    for part in reversed(folders):
        if re.fullmatch(r"fold_?\d+", part, re.IGNORECASE):
            return part.lower()
        for word, fold in _FOLDS:
            if word in part.lower():
                return fold
    return ""


@dataclass(frozen=True)
class _LabelFile:
    """A CSV of labels: what to call it, the folder within the data that it lies in, its text."""

    origin: str
    folder: str
    text: str


def _find_label_files(root: Path, labels_csv: Path | None) -> Iterable[_LabelFile]:
    if labels_csv is not None:
        try:
            text = labels_csv.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{labels_csv}: cannot be read ({error}).") from error
        top, where = root.resolve(), labels_csv.resolve().parent
        inside = where.relative_to(top).as_posix() if where.is_relative_to(top) else ""
        yield _LabelFile(str(labels_csv), inside, text)
        return
    if root.is_file() and not zipfile.is_zipfile(root):
        return
    try:
        found = list_sources(root, frozenset({".csv"}))
    except DataError:
        return
    for source in found:
        if source.name.lower().endswith("labels.csv"):
            folder = PurePosixPath(source.name).parent.as_posix()
            yield _LabelFile(source.name, folder, read_text(source))


def _apply_csv(rows: pd.DataFrame, labels: _LabelFile) -> None:
    """Overrule `rows` with what a CSV says of the images beside or below it."""
    given = _parse_csv(labels)
    by_image = _index_images(rows["image"], labels.folder)
    changed = ["label", "claim", "subject", "smear", "cell", "fold"]
    values = {column: rows[column].tolist() for column in changed}
    matched = 0
    for line, entry in enumerate(given.to_dict("records"), start=2):
        found = by_image.get(entry["image"], [])
        label = parse_label(entry["label"])
        if label is None:
            raise DataError(
                f"{labels.origin}, line {line}: unknown class {entry['label']!r}. "
                "Expected all, hem, leukaemic, normal, 1 or 0."
            )
        if len(found) > 1:
            raise DataError(
                f"{labels.origin}, line {line}: {entry['image']} is the name of {len(found)} "
                "images. Expected the path within the data."
            )
        for row in found:
            matched += 1
            name = parse_cell_name(entry.get("name", ""))
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


def _parse_csv(labels: _LabelFile) -> pd.DataFrame:
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


def _put_into_words(table: pd.DataFrame, rows: pd.DataFrame) -> None:
    for row in table.index[table["problem"] == "size"]:
        size = "×".join(str(table.at[row, side]) for side in ("width", "height"))
        table.loc[row, "problem"] = f"{size} pixels, expected 450×450 or 600×600"
    for row in table.index[table["problem"] == "mislabelled"]:
        claim, label = str(rows.at[row, "claim"]), str(rows.at[row, "label"])
        table.loc[row, "problem"] = f"its name says {claim}, its folder or CSV {label}"
