"""Whether the scores are valid: was a person on both sides of the split?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

__all__ = ["LeakStatus", "compute_leak_status"]


@dataclass(frozen=True)
class LeakStatus:
    """What is known about leaks, and what was checked here.

    Attributes:
        status: "clean": declared free of leaks; "leaky": people that the network was trained on
            are evaluated, as declared or found; "unknown": nobody said.
        split: name of the split, empty where not known.
        repeated_cells: rows whose image or pixels occurred in the table before.
        leaking_cells: rows of people, or of images, that the network which scored them was
            trained on.
        statement: the same in words.
    """

    status: Literal["clean", "leaky", "unknown"]
    split: str
    repeated_cells: int
    leaking_cells: int
    statement: str


def compute_leak_status(table: pd.DataFrame) -> LeakStatus:
    """Read the column `leaky`; where it is missing, look for people in two folds.

    `leaky` says of each row whether the network that scored it was trained on its person, or on
    the same image under another name. Without such a column, the folds (column `fold`) are taken
    as held out in turn, so a person in two of them was seen in training.
    """
    split = ", ".join(sorted(set(table["split"].astype(str)))) if "split" in table else ""
    cells = _name_cells(table)
    people = table["group"] if "group" in table else table["subject"]
    if "leaky" in table:
        leaking, status = table["leaky"].astype(bool), "clean"
    else:
        leaking, status = _stands_in_two_folds(table, people), "unknown"
        leaking |= _stands_in_two_folds(table, cells)
    count, repeated = int(leaking.sum()), int(cells.duplicated().sum())
    if count:
        status = "leaky"
    words = {
        "clean": "No person evaluated was trained on: people are identified by the cells they "
        "share, or by a file of groups, not by their names alone.",
        "unknown": "The table does not say whether people evaluated were trained on.",
        "leaky": f"{count:,} of {len(table):,} cells are of people, or are images, that the "
        "network that scored them was trained on. These scores do not hold on new people.",
    }[status]
    sentences = [f"Split: {split}." if split else "", words]
    if repeated:
        sentences.append(f"{repeated:,} rows repeat an earlier cell of the table.")
    return LeakStatus(
        status=status,  # type: ignore[arg-type]
        split=split,
        repeated_cells=repeated,
        leaking_cells=count,
        statement=" ".join(sentence for sentence in sentences if sentence),
    )


def _name_cells(table: pd.DataFrame) -> pd.Series:
    """What identifies a cell: the hash of the pixels where known, else the image's name."""
    if "pixel_hash" not in table:
        return table["image"]
    known = table["pixel_hash"].notna() & (table["pixel_hash"].astype(str) != "")
    return table["pixel_hash"].where(known, table["image"])


def _stands_in_two_folds(table: pd.DataFrame, names: pd.Series) -> pd.Series:
    if "fold" not in table:
        return pd.Series(False, index=table.index)
    return table.groupby(names)["fold"].transform("nunique") > 1
