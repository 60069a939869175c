"""A data set → one table of cells: subject, label, fold, and what is wrong with the file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from leukoscope.catalogue.store import CellStore, Progress, open_store
from leukoscope.cells.quality import CellQuality, measure_limits
from leukoscope.datasets.reader import LabelMatch, ReadOptions
from leukoscope.datasets.registry import read_dataset
from leukoscope.datasets.spec import CropSpec, DatasetSpec

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
        matches: how each CSV of labels fits the images.
        options: how it was read, with the reader and the CSV that were found.
    """

    root: Path
    spec: DatasetSpec
    table: pd.DataFrame
    store: CellStore
    matches: tuple[LabelMatch, ...]
    options: ReadOptions


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
    facts = (table[name] for name in ("problem", "width", "height", "claim", "label"))
    table["problem"] = [
        _find_problem(unreadable, (width, height), claim, label, reading.spec.crop)
        for unreadable, width, height, claim, label in zip(*facts, strict=True)
    ]
    readable = table[table["problem"] == ""]
    labelled = readable[readable["label"] != ""]
    limits = measure_limits(readable if labelled.empty else labelled) or reading.spec.quality
    spec = dataclasses.replace(reading.spec, quality=limits)
    rows = table[list(COLUMNS)]
    return CellTable(images.root, spec, rows, store, reading.matches, reading.options)


def _find_problem(
    unreadable: str, size: tuple[int, int], claim: str, label: str, crop: CropSpec
) -> str:
    if unreadable:
        return unreadable
    if not crop.knows(*size):
        known = " or ".join(f"{side}×{side}" for side in crop.known_frames)
        return f"{size[0]}×{size[1]} pixels, expected {known}"
    if claim and label and claim != label:
        return f"its name says {claim}, its folder or CSV {label}"
    return ""
