"""A data set → one table of cells, with subjects joined into groups where they share a cell."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from leukoscope.arrays import UInt8Array
from leukoscope.catalogue.groups import (
    Overrides,
    assign_groups,
    compare_with_links,
    find_duplicates,
    read_groups,
)
from leukoscope.catalogue.same_cell import link_same_cells
from leukoscope.catalogue.store import CellStore, Progress
from leukoscope.catalogue.table import COLUMNS, read_table
from leukoscope.datasets.reader import LabelMatch, ReadOptions, check_whole
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError
from leukoscope.io.digests import keep_whole
from leukoscope.io.tables import write_table
from leukoscope.labels import LABELS

__all__ = [
    "COLUMNS",
    "MAX_TURNS",
    "Catalogue",
    "compute_fingerprint",
    "describe_missing",
    "find_usable",
    "read_catalogue",
    "select_usable",
]

MAX_TURNS = 360
"""Most rotations at which cells are compared: one a degree."""

_SHOWN = 8  # folders in an error
_DETECTOR = 2  # counts changes of same_cell that change its links


@dataclass(frozen=True)
class Catalogue:
    """A data set: its cells, its subjects and how they are linked.

    Attributes:
        root: the folder or zip.
        table: one row per image, columns `COLUMNS` and `group` (subjects that share an image or a
            cell, joined, or as a file of groups says; "" where the subject is unknown).
        duplicates: first, second (row numbers) of images with equal decoded pixels.
        same_cells: first, second, correlation, evidence, angle of cells processed twice.
        crops: uint8 (n, 225, 225, 3), memory-mapped, in the order of the table.
        folder: of the store, where what was computed of all the crops is kept.
        spec: facts of the data set.
        groups_csv: the file that the groups come from; None where they come from the links.
        compared: whether cells were compared; those that are not cut out on black cannot be, and
            then `same_cells` is empty.
        matches: how each CSV of labels fits the images.
        options: how the data were read, with the reader and the CSV that were found.
        turns: rotations at which cells were compared.
    """

    root: Path
    table: pd.DataFrame
    duplicates: pd.DataFrame
    same_cells: pd.DataFrame
    crops: UInt8Array
    folder: Path
    spec: DatasetSpec
    groups_csv: Path | None = None
    compared: bool = True
    matches: tuple[LabelMatch, ...] = ()
    options: ReadOptions = field(default_factory=ReadOptions)
    turns: int = 1

    def find_overrides(self) -> Overrides | None:
        """Where the file of groups overrides the links; None without such a file."""
        if self.groups_csv is None:
            return None
        return compare_with_links(self.table, self.duplicates, self.same_cells)


def read_catalogue(
    data: str | Path,
    options: ReadOptions | None = None,
    *,
    groups_csv: Path | None = None,
    turns: int = 1,
    on_decode: Progress | None = None,
    on_link: Progress | None = None,
) -> Catalogue:
    """Read a data set, find its duplicates and same-cell pairs, and join its subjects to groups.

    Args:
        data: a folder, a zip, a CSV, or the word "kaggle".
        options: how to read it: reader, labels, subjects, classes, frame.
        groups_csv: which subjects are one person, as `read_groups` documents; overrides the links.
        turns: rotations at which cells are compared, as in `link_same_cells`.
        on_decode: called while new images are decoded.
        on_link: called while cells are compared.

    Raises:
        DataError: there is no such data, it cannot be read, the groups do not fit it, or turns out
            of range.
        SettingsError: no such reader.
    """
    _check_turns(turns)
    found = read_table(data, options, progress=on_decode)
    table, store = found.table, found.store
    subjects = table["subject"].tolist()
    decided = read_groups(groups_csv, subjects) if groups_csv else None
    duplicates = find_duplicates(table)
    cut_out = found.spec.quality is None or found.spec.quality.black_background
    same_cells = _read_links(store, turns, on_link) if cut_out else link_same_cells(store.crops[:0])
    if decided is None:
        links = [*_list_pairs(duplicates), *_list_pairs(same_cells)]
        table["group"] = assign_groups(subjects, links)
    else:
        table["group"] = [decided.get(subject, "") for subject in subjects]
    return Catalogue(
        root=found.root,
        spec=found.spec,
        table=table,
        duplicates=duplicates,
        same_cells=same_cells,
        crops=store.crops,
        folder=store.folder,
        groups_csv=groups_csv,
        compared=cut_out,
        matches=found.matches,
        options=found.options,
        turns=turns,
    )


def _check_turns(turns: int) -> None:
    if not 1 <= check_whole("turns", turns, "rotations") <= MAX_TURNS:
        raise DataError(f"turns = {turns}. Expected 1 to {MAX_TURNS} rotations.")


def _list_pairs(links: pd.DataFrame) -> list[tuple[int, int]]:
    return list(zip(links["first"].tolist(), links["second"].tolist(), strict=True))


def _read_links(store: CellStore, turns: int, progress: Progress | None) -> pd.DataFrame:
    """Same-cell links of a store, computed once and kept beside its crops."""
    path = store.folder / f"links-{_DETECTOR}-{turns}.csv"

    def make() -> None:
        write_table(path, link_same_cells(store.crops, turns=turns, progress=progress))

    keep_whole(path, make)
    return pd.read_csv(path)


def select_usable(catalogue: Catalogue) -> pd.DataFrame:
    """Rows that can be trained on: labelled, of a known subject, without a problem.

    Raises:
        DataError: none is left, or one class only.
    """
    table = catalogue.table
    usable = table[find_usable(table)]
    if usable.empty:
        raise DataError(f"{catalogue.root}: {describe_missing(table, catalogue.spec)}")
    if usable["label"].nunique() < 2:
        raise DataError(
            f"{catalogue.root}: every usable cell is {usable['label'].iloc[0]}. "
            "Expected both classes, leukaemic and normal."
        )
    return usable


def find_usable(table: pd.DataFrame) -> pd.Series:
    """Whether a row can be trained on: labelled, of a known subject, without a problem."""
    return (table["label"] != "") & (table["subject"] != "") & (table["problem"] == "")


def _list_folders(table: pd.DataFrame) -> str:
    """The folders that the images lie in, by name: what may be words for the classes."""
    names = {part for image in table["image"] for part in PurePosixPath(image).parts[:-1]}
    found = ", ".join(sorted(names)[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
    return f"Found the folders {found}." if names else "Found no folder in the data."


def describe_missing(table: pd.DataFrame, spec: DatasetSpec) -> str:
    """What keeps every cell of a data set from being trained on, and the fix; "" if nothing."""
    if (table["label"] == "").all():
        words = ", ".join([*LABELS, *spec.class_words])
        return (
            f"no cell with a label. Expected folders named after the classes ({words}), other "
            "words for them in `classes`, or a CSV with image, label and subject in `labels_csv`. "
            f"{_list_folders(table)}"
        )
    if (table["subject"] == "").all():
        named = f"names like {spec.naming}, " if spec.naming else ""
        return (
            f"no cell with a subject, but people must not be on both sides of a split. Expected "
            f"{named}a level of the folders (`subject_from` folder:1), a part of the names "
            '(`subject_from` "(patient[0-9]+)_"), or a CSV with image, label and subject in '
            "`labels_csv`."
        )
    if not find_usable(table).any():
        return "no readable cell with a label and a subject (see `leukoscope data audit`)."
    return ""


def compute_fingerprint(table: pd.DataFrame) -> str:
    """Hash of the pixels, labels and subjects of a table, whatever its order: 16 hex digits."""
    lines = sorted(
        "\0".join(row) for row in table[["pixel_hash", "label", "subject"]].itertuples(index=False)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
