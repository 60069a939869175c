"""Links between cells → groups: subjects that share an image or a cell, joined transitively."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

__all__ = ["assign_groups", "find_duplicates", "join_names"]


def find_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """Pairs of images whose decoded pixels are equal: columns first, second (row numbers).

    Each image is paired with the first of its kind, so three equal images make two pairs.
    """
    readable = table["pixel_hash"] != ""
    first: dict[str, Any] = {}
    pairs = []
    for row, pixel_hash in table.loc[readable, "pixel_hash"].items():
        if pixel_hash in first:
            pairs.append((first[pixel_hash], row))
        else:
            first[pixel_hash] = row
    return pd.DataFrame(pairs, columns=["first", "second"], dtype=int)


def assign_groups(subjects: Sequence[str], links: Iterable[tuple[int, int]]) -> list[str]:
    """Join subjects that share a cell.

    Args:
        subjects: the subject of each row, "" where unknown.
        links: pairs of row numbers that show the same cell.

    Returns:
        The group of each row: the names of its subjects in natural order, joined by "+". A row
        without a subject has the group "".
    """
    pairs = [(subjects[a], subjects[b]) for a, b in links if subjects[a] and subjects[b]]
    names = join_names(sorted({subject for subject in subjects if subject}), pairs)
    return [names.get(subject, "") for subject in subjects]


def join_names(names: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Union-find over names: each name → the "+"-joined names of its connected component."""
    parent = {name: name for name in names}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for a, b in pairs:
        parent[find(a)] = find(b)
    members: dict[str, list[str]] = {}
    for name in parent:
        members.setdefault(find(name), []).append(name)
    return {
        name: "+".join(sorted(together, key=_natural_key))
        for together in members.values()
        for name in together
    }


def _natural_key(name: str) -> tuple[list[tuple[int, int | str]], str]:
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts], name
