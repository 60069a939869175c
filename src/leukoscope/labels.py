"""Class names and C-NMC file names: the two vocabularies that every table shares."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = [
    "CLASS_COLOURS",
    "LABELS",
    "LEUKAEMIC",
    "NORMAL",
    "CellName",
    "parse_cell_name",
    "parse_label",
]

NORMAL, LEUKAEMIC = "normal", "leukaemic"

LABELS = (NORMAL, LEUKAEMIC)
"""The classes, in the order of their codes 0 and 1."""

CLASS_COLOURS = {LEUKAEMIC: "#D55E00", NORMAL: "#0072B2"}
"""In every picture; told apart by colour-blind eyes too (Okabe and Ito)."""

_SYNONYMS = {
    **dict.fromkeys(
        ("leukaemic", "leukemic", "leukaemia", "leukemia", "all", "1", "1.0"), LEUKAEMIC
    ),
    **dict.fromkeys(("normal", "healthy", "hem", "0", "0.0"), NORMAL),
}
_NAME = re.compile(
    r"UID_(?P<subject>[A-Za-z0-9-]+)_(?P<smear>\d+)_(?P<cell>\d+)_(?P<label>all|hem)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class CellName:
    """What a C-NMC file name says: `UID_<subject>_<smear image>_<cell>_<all|hem>`."""

    subject: str
    smear: str
    cell: str
    label: str


def parse_label(word: object) -> str | None:
    """One of `LABELS` for any usual spelling of it (ALL, hem, 1, healthy, …), else None."""
    return _SYNONYMS.get(str(word).strip().lower())


def parse_cell_name(image: str) -> CellName | None:
    """Read a C-NMC file name (with or without folders and suffix), else None.

    Subjects keep their case: `h3` is a person of the data set, and `H?[0-9]+` would drop it.
    """
    stem = PurePosixPath(image.replace("\\", "/")).name.split(".")[0]
    found = _NAME.fullmatch(stem)
    if not found:
        return None
    label = parse_label(found["label"])
    assert label is not None
    return CellName(found["subject"], found["smear"], found["cell"], label)
