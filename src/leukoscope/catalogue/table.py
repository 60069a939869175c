"""A data set → one table of cells: subject, label, fold, and what is wrong with the file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from leukoscope.catalogue.store import CellStore, Progress, open_store
from leukoscope.cells.quality import CellQuality, measure_limits
from leukoscope.datasets.reader import ReadOptions
from leukoscope.datasets.registry import read_dataset
from leukoscope.datasets.spec import DatasetSpec

__all__ = ["COLUMNS", "CellTable", "read_table"]

_QUALITY = tuple(field.name for field in dataclasses.fields(CellQuality))

COLUMNS = (
    *("image", "label", "subject", "smear", "cell", "fold"),
    *("pixel_hash", "width", "height", *_QUALITY, "problem"),
)
"""Columns of the table before grouping; rows are in the order of the store's crops."""


@dataclasses.dataclass(frozen=True)
class CellTable:
    """A data set as read.

    Attributes:
        root: the folder or zip.
        spec: its facts, with the limits of the image-quality checks measured from its usable cells.
        table: one row an image, columns `COLUMNS`.
        store: its crops in the same order.
    """

    root: Path
    spec: DatasetSpec
    table: pd.DataFrame
    store: CellStore


def read_table(
    data: str | Path,
    options: ReadOptions | None = None,
    *,
    progress: Progress | None = None,
) -> CellTable:
    """Read a data set: names by its reader, pixels by the cell store.

    Args:
        data: a folder, a zip, a CSV, or the word "kaggle".
        options: how to read it.
        progress: called while new images are decoded.

    Raises:
        DataError: no data there, or not what its reader expects.
        SettingsError: no such reader.
    """
    images, reading = read_dataset(data, options)
    store = open_store(images.root, images.sources, reading.spec.crop, progress=progress)
    table = reading.rows.join(store.facts.drop(columns="image"))
    for row in table.index[table["problem"] == ""]:
        table.loc[row, "problem"] = _find_problem(table.loc[row], reading.spec)
    usable = table[(table["problem"] == "") & (table["label"] != "")]
    limits = measure_limits(usable) or reading.spec.quality
    spec = dataclasses.replace(reading.spec, quality=limits)
    return CellTable(images.root, spec, table[list(COLUMNS)], store)


def _find_problem(row: pd.Series, spec: DatasetSpec) -> str:
    if not spec.crop.knows(row["width"], row["height"]):
        known = " or ".join(f"{side}×{side}" for side in spec.crop.known_frames)
        return f"{row['width']}×{row['height']} pixels, expected {known}"
    if row["claim"] and row["label"] and row["claim"] != row["label"]:
        return f"its name says {row['claim']}, its folder or CSV {row['label']}"
    return ""
