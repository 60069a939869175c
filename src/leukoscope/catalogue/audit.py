"""A catalogue → its audit: faults, leaks, gaps, and how well cell size alone predicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd
from sklearn.metrics import roc_auc_score

from leukoscope.catalogue import Catalogue, describe_missing, find_usable
from leukoscope.cells.quality import CellQuality, describe_quality
from leukoscope.datasets.reader import LabelMatch
from leukoscope.datasets.spec import DatasetSpec, FoldCounts
from leukoscope.labels import LEUKAEMIC, NORMAL

__all__ = ["Audit", "Population", "compute_audit"]

_APART = ("subject", "other_subject", "links")
_JOINED = ("group", "subject", "other_subject")


@dataclass(frozen=True)
class Population:
    """How many cells there are, and whose.

    Attributes:
        cells: all of them.
        named: of these, cells whose subject is known.
        subjects: their names.
        groups: different people among the names.
    """

    cells: int
    named: int
    subjects: int
    groups: int


@dataclass(frozen=True)
class Audit:
    """The findings of `leukoscope data audit`.

    Attributes:
        labelled: cells with a label.
        unlabelled: the others.
        counts: fold, label, cells, subjects, groups.
        subjects: subject, label, fold, cells, group.
        problems: image, problem.
        duplicates: pairs of equal pixels, as `same_cells` without correlation and evidence.
        same_cells: pairs of the same cell processed twice: first, second (rows of the catalogue),
            image, other, subject, other_subject, fold, other_fold, correlation, evidence, and
            `across`: whether they are under two subject names.
        groups: group, subjects, cells, folds, links; those of more than one subject name.
        exposure: fold, cells, exposed (of a group that is in another fold too), share.
        missing: what is missing compared with the published set, in words.
        class_crossings: linked pairs that join the two classes, of the `labelled_pairs` whose
            cells both have a label; by chance `chance_crossings` would.
        size_cue: fold ("" for all), auc_by_cell, auc_by_subject of the cell's area alone.
        groups_csv: the file that the groups come from; "" where they come from the links.
        overridden: where that file overrides the links, in words.
        put_apart: subject, other_subject, links: names that a link joins and that file separates.
        joined: group, subject, other_subject: names that the file joins and no link does.
        compared: whether cells were compared; those not cut out on black cannot be.
        unread: images that could not be decoded, among the cells and people above no more.
        warned: of the cells to train on, those that `predict` would warn of, whose limits are
            measured from all of them.
        usable: cells to train on.
        obstacle: why no network can be trained on the data, and the fix; "" where one can.
        matches: how each CSV of labels fits the images.
    """

    labelled: Population
    unlabelled: Population
    counts: pd.DataFrame
    subjects: pd.DataFrame
    problems: pd.DataFrame
    duplicates: pd.DataFrame
    same_cells: pd.DataFrame
    groups: pd.DataFrame
    exposure: pd.DataFrame
    missing: list[str]
    class_crossings: int
    labelled_pairs: int
    chance_crossings: float
    size_cue: pd.DataFrame
    groups_csv: str
    overridden: list[str]
    put_apart: pd.DataFrame
    joined: pd.DataFrame
    compared: bool
    unread: int
    warned: int
    usable: int
    obstacle: str
    matches: tuple[LabelMatch, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values; undefined numbers are null."""
        found: dict[str, Any] = {}
        for name, value in asdict(self).items():
            if isinstance(value, pd.DataFrame):
                plain = value.astype(object).where(value.notna(), None)
                found[name] = plain.to_dict("records")
            else:
                found[name] = value
        return found


def compute_audit(catalogue: Catalogue, obstacle: str = "") -> Audit:
    """Audit a catalogue; nothing is read or decoded again.

    Args:
        catalogue: to audit.
        obstacle: what keeps a network from being trained on it, where somebody has tried.
    """
    table = catalogue.table
    read = table[table["pixel_hash"] != ""]
    labelled = read[read["label"] != ""]
    usable = table[find_usable(table)]
    duplicates = _name_pairs(table, catalogue.duplicates)
    hashes = table["pixel_hash"]
    links = catalogue.same_cells
    equal = hashes.loc[links["first"]].to_numpy() == hashes.loc[links["second"]].to_numpy()
    same_cells = _name_pairs(table, links[~equal])
    pairs = pd.concat([duplicates, same_cells])
    ends = [pairs[end].map(table["label"]) for end in ("first", "second")]
    labelled_pairs = (ends[0] != "") & (ends[1] != "")
    crossings = labelled_pairs & (ends[0] != ends[1])
    share = labelled["label"].eq(LEUKAEMIC).mean() if len(labelled) else 0.0
    overrides = catalogue.find_overrides()
    return Audit(
        labelled=_count_people(labelled),
        unlabelled=_count_people(read[read["label"] == ""]),
        counts=_count(table),
        subjects=_list_subjects(labelled),
        problems=table.loc[table["problem"] != "", ["image", "problem"]],
        duplicates=duplicates,
        same_cells=same_cells,
        groups=_list_groups(table, pairs),
        exposure=_compute_exposure(table),
        missing=_find_missing(table, catalogue.spec.published),
        class_crossings=int(crossings.sum()),
        labelled_pairs=int(labelled_pairs.sum()),
        chance_crossings=float(2 * share * (1 - share) * labelled_pairs.sum()),
        size_cue=_compute_size_cue(labelled[labelled["problem"] == ""]),
        groups_csv=catalogue.groups_csv.name if catalogue.groups_csv else "",
        overridden=overrides.describe() if overrides else [],
        put_apart=overrides.apart if overrides else pd.DataFrame(columns=list(_APART)),
        joined=overrides.joined if overrides else pd.DataFrame(columns=list(_JOINED)),
        compared=catalogue.compared,
        unread=len(table) - len(read),
        warned=sum(_warns(row, catalogue.spec) for row in usable.to_dict("records")),
        usable=len(usable),
        obstacle=obstacle or describe_missing(table, catalogue.spec),
        matches=catalogue.matches,
    )


def _warns(row: Mapping[Any, Any], spec: DatasetSpec) -> bool:
    found = CellQuality(**{field.name: row[field.name] for field in fields(CellQuality)})
    return any(True for _ in describe_quality(found, row["width"], row["height"], spec))


def _count_people(table: pd.DataFrame) -> Population:
    named = table[table["subject"] != ""]
    return Population(len(table), len(named), named["subject"].nunique(), named["group"].nunique())


def _count(table: pd.DataFrame) -> pd.DataFrame:
    named = table.assign(label=table["label"].replace("", "unlabelled"))
    counts = named.groupby(["fold", "label"]).agg(
        cells=("image", "size"),
        subjects=("subject", lambda names: names[names != ""].nunique()),
        groups=("group", lambda names: names[names != ""].nunique()),
    )
    return counts.reset_index()


def _list_subjects(labelled: pd.DataFrame) -> pd.DataFrame:
    known = labelled[labelled["subject"] != ""]
    keys = ["subject", "label", "fold"]
    found = known.groupby(keys).agg(cells=("image", "size"), group=("group", "first"))
    return found.reset_index().sort_values("cells", ascending=False, ignore_index=True)


def _name_pairs(table: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    pairs = links.drop(columns="angle", errors="ignore").reset_index(drop=True)
    for column in ("image", "subject", "fold"):
        other = "other" if column == "image" else f"other_{column}"
        pairs[column] = table[column].loc[pairs["first"]].to_numpy()
        pairs[other] = table[column].loc[pairs["second"]].to_numpy()
    named = (pairs["subject"] != "") & (pairs["other_subject"] != "")
    return pairs.assign(across=named & (pairs["subject"] != pairs["other_subject"]))


def _list_groups(table: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    names = table[table["group"] != ""].groupby("group")["subject"].transform("nunique")
    joined = table.loc[names.index[names > 1]]
    ends = [pairs[end].map(table["group"]) for end in ("first", "second")]
    links = ends[0].where(pairs["across"] & (ends[0] == ends[1]))
    found = joined.groupby("group").agg(
        subjects=("subject", "nunique"),
        cells=("image", "size"),
        folds=("fold", lambda names: ", ".join(sorted(set(names)))),
    )
    found["links"] = links.value_counts().reindex(found.index, fill_value=0)
    return found.reset_index().sort_values("links", ascending=False, ignore_index=True)


def _compute_exposure(table: pd.DataFrame) -> pd.DataFrame:
    known = table[(table["fold"] != "") & (table["group"] != "")]
    folds = known.groupby("group")["fold"].transform("nunique")
    found = known.assign(exposed=folds > 1).groupby("fold")["exposed"].agg(["size", "sum"])
    found = found.reset_index().rename(columns={"size": "cells", "sum": "exposed"})
    return found.assign(share=found["exposed"] / found["cells"])


def _find_missing(table: pd.DataFrame, published: Sequence[FoldCounts]) -> list[str]:
    """In words, against the published counts; empty where none of the published folds is there."""
    if not set(table["fold"]) & {counts.fold for counts in published}:
        return []
    return [line for counts in published for line in _find_missing_of(table, counts)]


def _find_missing_of(table: pd.DataFrame, counts: FoldCounts) -> Iterator[str]:
    part = table[table["fold"] == counts.fold]
    if counts.unlabelled_cells and len(part) < counts.unlabelled_cells:
        yield f"{counts.fold} (unlabelled): {len(part):,} of {counts.unlabelled_cells:,} cells"
        return
    if part.empty:
        yield f"{counts.fold}: complete"
        return
    for label, cells, subjects in (
        (LEUKAEMIC, counts.leukaemic_cells, counts.leukaemic_subjects),
        (NORMAL, counts.normal_cells, counts.normal_subjects),
    ):
        found = part[part["label"] == label]
        names = found.loc[found["subject"] != "", "subject"].nunique()
        if len(found) < cells or names < subjects:
            yield (
                f"{counts.fold}, {label}: {len(found):,} of {cells:,} cells, "
                f"{names} of {subjects} subjects"
            )


def _compute_size_cue(labelled: pd.DataFrame) -> pd.DataFrame:
    folds = [("", labelled), *labelled[labelled["fold"] != ""].groupby("fold")]
    rows = []
    for fold, part in folds:
        people = part[part["subject"] != ""].groupby(["subject", "label"])["area"].mean()
        rows.append(
            {
                "fold": fold,
                "auc_by_cell": _auc(part["label"], part["area"]),
                "auc_by_subject": _auc(people.index.get_level_values("label"), people),
            }
        )
    return pd.DataFrame(rows)


def _auc(labels: Any, values: Any) -> float | None:
    truth = [label == LEUKAEMIC for label in labels]
    return float(roc_auc_score(truth, values)) if len(set(truth)) == 2 else None
