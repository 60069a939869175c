"""Catalogue + seed → folds whose evaluated people are never trained on.

Every split but two keeps each group (a person: subjects joined by the audit) on one side. `random`
and `subject-name-kfold` exist only to show how much a leak inflates a score; they are marked leaky.
"""

from __future__ import annotations

import html
import operator
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import SplitError, warn_renamed
from leukoscope.notices import RESEARCH_ONLY
from leukoscope.records import LEAVE_OUT
from leukoscope.upgrades import rename_old_split

__all__ = [
    "SPLITS",
    "Fold",
    "Split",
    "check_split",
    "check_split_name",
    "choose_stopping",
    "find_seen",
    "make_split",
]


_DEALT = ("group-kfold", "subject-name-kfold", "random")  # splits that take a number of folds


@dataclass(frozen=True)
class Fold:
    """One division of the cells. Values are index labels of the table that was split.

    Attributes:
        name: of the fold: kfold_1, kfold_2, … where the split deals the folds itself, else what
            the data call it, such as C-NMC's fold_0.
        training: cells to train on.
        evaluated: cells of people that must not be trained on.
        removed: cells excluded from training because their group is evaluated too.
    """

    name: str
    training: pd.Index
    evaluated: pd.Index
    removed: pd.Index


@dataclass(frozen=True)
class Split:
    """A named list of folds; `leaky` where people are on both sides on purpose."""

    name: str
    folds: tuple[Fold, ...]
    leaky: bool

    @property
    def counts(self) -> pd.DataFrame:
        """One row a fold: cells trained on, evaluated, and removed from training."""
        parts = ("training", "evaluated", "removed")
        rows = {fold.name: [len(getattr(fold, part)) for part in parts] for fold in self.folds}
        return pd.DataFrame.from_dict(rows, "index", columns=list(parts))

    def __repr__(self) -> str:
        return f"{self._describe()}\n{self.counts}"

    def _repr_html_(self) -> str:
        words = (self._describe(), RESEARCH_ONLY)
        first, last = (f"<p>{html.escape(sentence)}</p>" for sentence in words)
        return f"{first}{self.counts.to_html(max_rows=20)}{last}"

    def _describe(self) -> str:
        both = "people on both sides" if self.leaky else "no person on both sides"
        return f"Split {self.name}, {both}; cells of each fold:"


@dataclass(frozen=True)
class _Request:
    """Arguments of a split; each uses what it needs."""

    table: pd.DataFrame
    folds: int
    seed: int
    spec: DatasetSpec


def _describe_plain(table: pd.DataFrame) -> DatasetSpec:
    folds = sorted(fold for fold in set(table["fold"]) if fold.startswith("fold"))
    return DatasetSpec(name="this data set", reader="", folds=tuple(folds))


def make_split(
    table: pd.DataFrame,
    name: str,
    *,
    folds: int = 5,
    seed: int = 0,
    spec: DatasetSpec | None = None,
) -> Split:
    """Split a table of usable cells.

    Args:
        table: columns image, label, subject, group, fold; for `leave-one-group-out:COLUMN` also
            that column.
        name: one of `SPLITS`, or "leave-one-group-out:COLUMN" to evaluate each value of that
            column in turn.
        folds: number of folds, 2 or more, for splits that take one.
        seed: of the shuffling, 0 to 2³² - 1.
        spec: of the data set, for official folds and test set; by default, the folds are those
            whose names begin with "fold".

    Returns:
        The split, checked.

    Raises:
        SplitError: an unknown name, a number of folds or a seed that cannot be, a cell without a
            subject, fewer groups than folds, no such official folds in the data, or a group on
            both sides of a split that must not leak.
    """
    name = check_split_name(name)
    if name in _DEALT:
        folds = _check_folds(folds, max(2, len(table)))
    _check_subjects(table)
    if name.startswith(LEAVE_OUT):
        split = _split_by_column(table, name)
    else:
        split = SPLITS[name](_Request(table, folds, seed, spec or _describe_plain(table)))
    check_split(table, split)
    return split


def _name_dealt(number: int) -> str:
    """Of a fold that a split dealt, number from 0; never that of an official one (fold_0)."""
    return f"kfold_{number + 1}"


def _check_folds(folds: object, highest: int) -> int:
    try:
        number = operator.index(folds)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if not 2 <= number <= highest:
        raise SplitError(
            f"folds = {folds!r}. Expected a whole number, 2 to {highest:,} (the number of cells)."
        )
    return number


def check_split_name(name: str) -> str:
    """The name of a split; one of version 0.1 is told, and works.

    Raises:
        SplitError: there is no such split.
    """
    now = rename_old_split(name)
    if now != name:
        words = f"The split {name} is now called {now}."
        warn_renamed(words)
    if now not in SPLITS and not now.startswith(LEAVE_OUT):
        known = ", ".join(SPLITS)
        raise SplitError(
            f"Unknown split {name!r}. Expected one of {known}, or leave-one-group-out:COLUMN."
        )
    return now


def check_split(table: pd.DataFrame, split: Split) -> None:
    """Refuse a split that puts a group, or a cell, on both sides.

    Raises:
        SplitError: naming the fold and a group, unless the split is marked leaky.
    """
    for fold in split.folds:
        for side, cells in (("trained on", fold.training), ("evaluated", fold.evaluated)):
            if not len(cells):
                raise SplitError(
                    f"Split {split.name}, fold {fold.name}: no cell is {side}. Expected cells on "
                    "both sides; use fewer folds or more subjects."
                )
            if table.loc[cells, "label"].nunique() < 2 and side == "trained on":
                raise SplitError(
                    f"Split {split.name}, fold {fold.name}: the cells {side} are of one class. "
                    "Expected both; use fewer folds or more subjects."
                )
        if split.leaky:
            continue
        both = set(table.loc[fold.training, "group"]) & set(table.loc[fold.evaluated, "group"])
        if both:
            raise SplitError(
                f"Split {split.name}, fold {fold.name}: group {min(both)} would be trained on and "
                "evaluated. Expected each person on one side; use group-kfold or fold-cv."
            )


def find_seen(training: pd.DataFrame, evaluated: pd.DataFrame) -> pd.Series:
    """Which evaluated cells a network has seen: of a person, or an image, that it was trained on.

    In a split by groups no person is; the image, pixel for pixel, may be, where a file of groups
    treats the names that share it as two people.

    Args:
        training: columns group and pixel_hash of the cells trained on.
        evaluated: the same of those evaluated.

    Returns:
        bool, one for each evaluated cell.
    """
    return evaluated["group"].isin(set(training["group"])) | evaluated["pixel_hash"].isin(
        set(training["pixel_hash"]) - {""}
    )


def _check_subjects(table: pd.DataFrame) -> None:
    unknown = table.index[(table["subject"] == "") | (table["group"] == "")]
    if len(unknown):
        raise SplitError(
            f"{table.loc[unknown[0], 'image']}: no subject. Expected one for every cell, in the "
            "file name or in a CSV, since people must not be on both sides."
        )


def _make_fold(table: pd.DataFrame, name: str, evaluated: pd.Series) -> Fold:
    """Train on all other cells but those whose group is evaluated too."""
    groups = set(table.loc[evaluated, "group"])
    leaking = ~evaluated & table["group"].isin(groups)
    index = table.index
    return Fold(name, index[~evaluated & ~leaking], index[evaluated], index[leaking])


def _split_by_group(asked: _Request) -> Split:
    table, folds, seed = asked.table, asked.folds, asked.seed
    dealt = _deal(table, "group", folds, seed)
    made = [_make_fold(table, _name_dealt(number), dealt == number) for number in range(folds)]
    return Split("group-kfold", tuple(made), leaky=False)


def _split_by_name(asked: _Request) -> Split:
    table, folds, seed = asked.table, asked.folds, asked.seed
    dealt = _deal(table, "subject", folds, seed)
    index, none = table.index, table.index[:0]
    made = [
        Fold(_name_dealt(number), index[dealt != number], index[dealt == number], none)
        for number in range(folds)
    ]
    return Split("subject-name-kfold", tuple(made), leaky=True)


def _split_at_random(asked: _Request) -> Split:
    table, folds, seed = asked.table, asked.folds, asked.seed
    dealer = StratifiedKFold(folds, shuffle=True, random_state=seed)
    none = table.index[:0]
    try:
        divided = list(dealer.split(table, table["label"]))
    except ValueError as error:
        raise SplitError(f"Split random: {error} Use fewer folds.") from error
    made = [
        Fold(_name_dealt(number), table.index[training], table.index[evaluated], none)
        for number, (training, evaluated) in enumerate(divided)
    ]
    return Split("random", tuple(made), leaky=True)


def _split_by_fold(asked: _Request) -> Split:
    table = asked.table
    official = [fold for fold in asked.spec.folds if (table["fold"] == fold).any()]
    if len(official) < 2:
        expected = ", ".join(asked.spec.folds) or "folders fold_0, fold_1, …"
        raise SplitError(
            f"Split fold-cv: expected {expected}; received {', '.join(official) or 'none'}. "
            "Use group-kfold."
        )
    training = table[table["fold"].isin(official)]
    made = [_make_fold(training, fold, training["fold"] == fold) for fold in official]
    return Split("fold-cv", tuple(made), leaky=False)


def _split_officially(asked: _Request) -> Split:
    table, test = asked.table, asked.spec.test_fold
    if not test:
        raise SplitError(
            f"Split official: {asked.spec.name} has no official labelled test set. Use group-kfold."
        )
    known = table[table["fold"].isin((*asked.spec.folds, test))]
    evaluated = known["fold"] == test
    if not evaluated.any() or evaluated.all():
        raise SplitError(
            f"Split official: expected the training folds and {test} with its labels; "
            f"received {sorted(set(table['fold']) - {''}) or 'no folds'}. Use group-kfold."
        )
    return Split("official", (_make_fold(known, test, evaluated),), leaky=False)


def _name_fold(column: str, value: str) -> str:
    """A name that can be a folder's; the column is in it once."""
    name = quote(value, safe="")
    return name if value.startswith(column) else f"{column}_{name}"


def _split_by_column(table: pd.DataFrame, name: str) -> Split:
    column = name.removeprefix(LEAVE_OUT)
    if column not in table.columns:
        raise SplitError(
            f"Split {name}: no such column. Expected one of {', '.join(map(str, table))}."
        )
    values = table[column].astype(str)
    index, none = table.index, table.index[:0]
    made = [
        Fold(
            _name_fold(column, value),
            index[values != value],
            index[values == value],
            none,
        )
        for value in sorted(values.unique())
    ]
    return Split(name, tuple(made), leaky=False)


SPLITS: dict[str, Callable[[_Request], Split]] = {
    "group-kfold": _split_by_group,
    "fold-cv": _split_by_fold,
    "official": _split_officially,
    "subject-name-kfold": _split_by_name,
    "random": _split_at_random,
}
"""Splits by name; see docs/splits.md."""


def choose_stopping(table: pd.DataFrame, seed: int, share: float = 0.15) -> pd.Index:
    """Cells of whole groups, about `share` of both classes, on which training decides when to stop.

    Args:
        table: the training cells of one fold.
        seed: of the choice.
        share: of the cells.

    Returns:
        Index labels; never all groups of a class.

    Raises:
        SplitError: a class has one group only.
    """
    people = _find_main_class(table, "group")["label"].value_counts()
    pieces = min(max(2, round(1 / share)), people.min() if len(people) > 1 else 0)
    if pieces < 2:
        raise SplitError(
            "Early stopping needs two groups of each class among the training cells; "
            "received one. Use fewer folds or more subjects."
        )
    dealt = _deal(table, "group", int(pieces), seed)
    # the fold of many small groups: few large ones would be a poor sample of people
    return table.index[dealt == table.groupby(dealt)["group"].nunique().idxmax()]


def _deal(table: pd.DataFrame, key: str, folds: int, seed: int) -> pd.Series:
    """Deal whole people to folds, balanced in cells and in people of either class.

    People are dealt from the largest to the smallest, each to the fold that has the fewest of
    its class by then (share of its cells plus share of its people).

    Returns:
        The fold of each row, 0 to folds - 1.
    """
    shuffled = _find_main_class(table, key).sample(frac=1, random_state=seed)
    shuffled = shuffled.sort_values("cells", ascending=False, kind="stable")
    dealt: dict[str, int] = {}
    for label, people in shuffled.groupby("label"):
        if len(people) < folds:
            raise SplitError(
                f"{len(people)} {label} {key}s cannot be dealt to {folds} folds. "
                f"Use at most {len(people)} folds, or more subjects."
            )
        load = np.zeros(folds)
        for person, cells in zip(people[key], people["cells"], strict=True):
            fold = int(load.argmin())
            dealt[str(person)] = fold
            load[fold] += cells / people["cells"].sum() + 1 / len(people)
    return table[key].map(dealt).astype(int)


def _find_main_class(table: pd.DataFrame, key: str) -> pd.DataFrame:
    """Each person's majority class and its number of cells: key, label, cells."""
    sizes = table.groupby([key, "label"]).size().rename("cells").reset_index()
    return sizes.sort_values("cells", ascending=False, kind="stable").drop_duplicates(key)
