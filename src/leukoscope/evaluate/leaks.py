"""Whether the scores may be believed: did a person stand on both sides of the split?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

__all__ = ["LeakStatus", "compute_leak_status"]


@dataclass(frozen=True)
class LeakStatus:
    """What is known about leaks, and what was checked here.

    Attributes:
        status: "clean": declared free of leaks and nothing found; "leaky": declared leaky, or a
            cell or person found in two held-out parts; "unknown": nobody said.
        split: name of the split, empty where not known.
        repeated_cells: rows whose image or pixels stand in the table before.
        cells_across_parts: cells (one image or the same pixels) in more than one held-out part.
        groups_across_parts: persons with cells in more than one held-out part.
        statement: the same in words.
    """

    status: Literal["clean", "leaky", "unknown"]
    split: str
    repeated_cells: int
    cells_across_parts: int
    groups_across_parts: int
    statement: str


def compute_leak_status(table: pd.DataFrame) -> LeakStatus:
    """Read the columns `split` and `leaky`, and look for cells and persons on two sides.

    Parts are held out in turn and are each other's training part, so whoever stands in two of
    them was seen in training.
    """
    declared = bool(table["leaky"].any()) if "leaky" in table and len(table) else None
    split = ", ".join(sorted(set(table["split"].astype(str)))) if "split" in table else ""
    cells = _name_cells(table)
    repeated = int(cells.duplicated().sum())
    cells_across = _count_across_parts(table, cells)
    people = table["group"] if "group" in table else table["subject"]
    people_across = _count_across_parts(table, people)
    sentences = [
        f"Split: {split}." if split else "The name of the split is not known.",
        {
            None: "The table does not say whether the split puts a person on both sides.",
            True: "The split is declared leaky: a person stands in training and evaluation.",
            False: "The split is declared free of leaks: no person in training and evaluation.",
        }[declared],
        f"{repeated:,} of the {len(table):,} rows repeat a cell."
        if repeated
        else "No cell was found twice in the table.",
    ]
    if cells_across or people_across:
        sentences.append(
            f"Found in more than one held-out part: people {people_across}, cells {cells_across}. "
            "The network that scored one part was trained on the other."
        )
    return LeakStatus(
        status=_judge(declared, cells_across + people_across),
        split=split,
        repeated_cells=repeated,
        cells_across_parts=cells_across,
        groups_across_parts=people_across,
        statement=" ".join(sentences),
    )


def _judge(declared: bool | None, found: int) -> Literal["clean", "leaky", "unknown"]:
    if declared or found:
        return "leaky"
    return "unknown" if declared is None else "clean"


def _name_cells(table: pd.DataFrame) -> pd.Series:
    """What tells cells apart: the hash of the pixels where known, else the image's name."""
    if "pixel_hash" not in table:
        return table["image"]
    known = table["pixel_hash"].notna() & (table["pixel_hash"].astype(str) != "")
    return table["pixel_hash"].where(known, table["image"])


def _count_across_parts(table: pd.DataFrame, names: pd.Series) -> int:
    return int((table.groupby(names)["part"].nunique() > 1).sum()) if "part" in table else 0
