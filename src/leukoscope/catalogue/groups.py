"""Links between cells, or a file of groups → groups: the subjects that are one person."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import csgraph

from leukoscope.errors import DataError
from leukoscope.io.tables import read_table

__all__ = [
    "Overrides",
    "assign_groups",
    "compare_with_links",
    "find_duplicates",
    "join_names",
    "read_groups",
    "sort_names",
]

_DEFUSED = r"^'(?=[=+\-@])"  # how the page keeps a name from being run as a formula (table.js)
_FEW = 6  # names listed in a sentence


@dataclass(frozen=True)
class Overrides:
    """Where a file of groups differs from the links between cells.

    Attributes:
        equal_cells: cells whose exact pixels are in another group too.
        similar_pairs: pairs of one cell, processed twice, that are in two groups.
        apart: subject, other_subject, links: names that a link joins and the file separates.
        joined: group, subject, other_subject: joins that the file makes and no chain of accepted
            links does; added to the links within groups, they give the file's groups.
    """

    equal_cells: int
    similar_pairs: int
    apart: pd.DataFrame
    joined: pd.DataFrame

    def describe(self) -> list[str]:
        """In words, most important first."""
        names = [f"{row.subject} and {row.other_subject}" for row in self.apart.itertuples()]
        sentences = []
        if self.equal_cells:
            sentences.append(
                f"{self.equal_cells:,} cells have equal pixels under names that it separates: "
                "training may include the very image that is evaluated, and such cells count as "
                "leaky."
            )
        if self.similar_pairs:
            sentences.append(
                f"{self.similar_pairs:,} pairs that look like one cell, processed twice, are "
                "treated as cells of two people."
            )
        if names:
            sentences.append(f"Separated though linked: {_list_few(names)}.")
        if len(self.joined):
            groups = self.joined["group"].unique().tolist()
            sentences.append(f"Joined without a link: {_list_few(groups)}.")
        return sentences or ["It agrees with the links."]


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
    """Each name → the "+"-joined names of its connected component; pairs are of these names."""
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    if not places:
        return {}
    ends = np.array([(places[a], places[b]) for a, b in pairs], np.intp).reshape(-1, 2)
    shape = (len(places), len(places))
    links = sparse.coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape)
    _, components = csgraph.connected_components(links, directed=False)
    members: dict[int, list[str]] = {}
    for name, component in zip(places, components.tolist(), strict=True):
        members.setdefault(component, []).append(name)
    return {
        name: "+".join(sorted(together, key=_natural_key))
        for together in members.values()
        for name in together
    }


def sort_names(names: Iterable[str]) -> list[str]:
    """Natural order, each name once: 2 before 10, H2 before H10."""
    return sorted(set(names), key=_natural_key)


def read_groups(path: Path, subjects: Iterable[str]) -> dict[str, str]:
    """Read which subject names are one person, as somebody decided.

    Args:
        path: a CSV with the columns subject and group; subjects not in the data are ignored.
        subjects: the subject names of the data, all of which the file must name.

    Returns:
        The group of each subject that the file names.

    Raises:
        DataError: no such file, not such a CSV, an empty name, a subject in two groups, or a
            subject of the data that is not named.
    """
    given = read_table(path, "subject and group", known=("subject", "group"))
    if not {"subject", "group"} <= set(given.columns):
        raise DataError(
            f"{path}: expected the columns subject and group; received {', '.join(given.columns)}."
        )
    groups: dict[str, str] = {}
    names = (given[column].str.strip() for column in ("subject", "group"))
    rows = zip(*(column.str.replace(_DEFUSED, "", regex=True) for column in names), strict=True)
    for line, (subject, group) in enumerate(rows, start=2):
        if not subject or not group:
            raise DataError(
                f"{path}, line {line}: expected a subject and a group; received {subject!r} and "
                f"{group!r}. A person with one name is a group of one: write the name twice."
            )
        if groups.setdefault(subject, group) != group:
            raise DataError(
                f"{path}, line {line}: subject {subject} is in group {group!r} and in "
                f"{groups[subject]!r}. Expected one group; give both the same to join them."
            )
    missing = sort_names(set(subjects) - {""} - groups.keys())
    if missing:
        raise DataError(
            f"{path}: expected a group for every subject of the data; {_list_few(missing)} "
            f"{'has' if len(missing) == 1 else 'have'} none. Add a row for each (a person with one "
            "name is a group of one)."
        )
    return groups


def compare_with_links(
    table: pd.DataFrame, duplicates: pd.DataFrame, same_cells: pd.DataFrame
) -> Overrides:
    """Find where the groups of a table differ from the links.

    Args:
        table: columns subject, group, pixel_hash; rows as the links number them.
        duplicates: first, second (row numbers) of equal images.
        same_cells: first, second of cells processed twice.
    """
    hashes = table["pixel_hash"]
    grouped = table[(hashes != "") & (table["group"] != "")]
    equal = grouped.groupby("pixel_hash")["group"].transform("nunique") > 1
    first, second = (hashes.loc[same_cells[end]].to_numpy() for end in ("first", "second"))
    links = pd.concat([duplicates.assign(equal=True), same_cells.assign(equal=first == second)])
    links = links.drop_duplicates(["first", "second"])
    names = pd.DataFrame(
        {
            "subject": table["subject"].loc[links["first"]].to_numpy(),
            "other_subject": table["subject"].loc[links["second"]].to_numpy(),
            "equal": links["equal"].to_numpy(dtype=bool),
            "apart": table["group"].loc[links["first"]].to_numpy()
            != table["group"].loc[links["second"]].to_numpy(),
        }
    )
    names = names[(names["subject"] != "") & (names["other_subject"] != "")]
    put_apart, kept = names[names["apart"]], names[~names["apart"]]
    return Overrides(
        equal_cells=int(equal.sum()),
        similar_pairs=int((~put_apart["equal"]).sum()),
        apart=_count_by_names(put_apart),
        joined=_list_joined(table, kept),
    )


def _count_by_names(pairs: pd.DataFrame) -> pd.DataFrame:
    ends = zip(pairs["subject"], pairs["other_subject"], strict=True)
    ordered = [tuple(sort_names(names)) for names in ends]
    counted = pd.DataFrame(ordered, columns=["subject", "other_subject"]).value_counts()
    return counted.rename("links").reset_index()


def _list_joined(table: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """Chains of names through each group that the links within it do not connect."""
    named = table.loc[table["subject"] != "", ["subject", "group"]].drop_duplicates()
    pairs = zip(kept["subject"], kept["other_subject"], strict=True)
    pieces = named["subject"].map(join_names(named["subject"], pairs))
    rows = []
    for group, members in named.groupby(named["group"]):
        ends = [min(piece, key=_natural_key) for _, piece in members["subject"].groupby(pieces)]
        ends.sort(key=_natural_key)
        rows += [(group, a, b) for a, b in itertools.pairwise(ends)]
    return pd.DataFrame(rows, columns=["group", "subject", "other_subject"])


def _list_few(words: list[str]) -> str:
    more = f" and {len(words) - _FEW} more" if len(words) > _FEW else ""
    return ", ".join(words[:_FEW]) + more


def _natural_key(name: str) -> tuple[list[tuple[int, int | str]], str]:
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts], name
