"""Metadata of a run and its network: run.json, cells.csv, the model's metadata."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import pandas as pd

from leukoscope import __version__
from leukoscope.catalogue import Catalogue, compute_fingerprint
from leukoscope.io.runs import Run
from leukoscope.notices import find_banner
from leukoscope.predictions import read_answers, read_predictions
from leukoscope.records import (
    DataRecord,
    Expected,
    FoldRecord,
    GroupOverrides,
    Machine,
    NamesApart,
    ReadRecord,
    RunRecord,
    ScoreRecord,
    SplitRecord,
    SubjectRecord,
)
from leukoscope.settings import Recipe
from leukoscope.splits import Split

if TYPE_CHECKING:
    from leukoscope.evaluation import Score

__all__ = [
    "compute_expected",
    "describe_cells",
    "describe_run",
    "describe_subjects",
    "tell_time",
]

_PACKAGES = ("keras", "tensorflow-cpu", "tensorflow", "jax", "torch", "tf2onnx", "onnxruntime")
_EXPECTED = ("weighted_f1", "roc_auc", "sensitivity", "specificity", "balanced_accuracy", "ece")


def compute_expected(run: Run, split: Split) -> Expected:
    """Expected performance of the final network on new people, for its metadata."""
    from leukoscope.evaluation import compute_evaluation

    evaluation = compute_evaluation(read_predictions(run.predictions), n_bootstrap=1000)
    scores = {score.name: score for score in evaluation.by_cell if score.name in _EXPECTED}
    auc = scores["roc_auc"]
    found, spared = scores["sensitivity"].value, scores["specificity"].value
    leaky = split.leaky or evaluation.leak.status == "leaky"
    leak = " (leaky split: will not hold)" if leaky else ""
    if run.read_record().simulated:
        leak += " (simulated)"
    words = "Expected on new people of the same laboratory: not known."
    if auc.value is not None and found is not None and spared is not None:
        interval = "" if auc.low is None else f" (95% interval {auc.low:.2f} to {auc.high:.2f})"
        words = (
            f"Expected on new people of the same laboratory{leak}: ROC-AUC {auc.value:.2f}"
            f"{interval}, of 100 leukaemic cells {100 * found:.0f} found, of 100 normal cells "
            f"{100 - 100 * spared:.0f} called leukaemic too. The {evaluation.counts.cells:,} cells "
            "that it learned from are no test of it."
        )
    return Expected(split.name, leaky, _record_scores(scores.values()), words)


def _record_scores(scores: Iterable[Score]) -> dict[str, ScoreRecord]:
    return {score.name: ScoreRecord(score.value, score.low, score.high) for score in scores}


def describe_subjects(run: Run, calibrated: pd.DataFrame) -> SubjectRecord | None:
    """Subject-level calibration, and its scores on new people."""
    from leukoscope.evaluation.aggregate import aggregate_subjects, fit_subject_line

    line = fit_subject_line(calibrated)
    if line is None:
        return None
    tested = aggregate_subjects(read_answers(run.predictions), n_bootstrap=1000)
    return SubjectRecord(line, tested.scored, _record_scores(tested.scores))


def describe_cells(table: pd.DataFrame, split: Split) -> pd.DataFrame:
    """cells.csv: the cells used, and the fold in which each is held out."""
    columns = ["image", "label", "subject", "group", "fold", "area", "pixel_hash"]
    cells = table[columns].rename(columns={"fold": "official_fold"})
    cells = cells.assign(row=table.index, fold="")
    for fold in split.folds:
        cells.loc[fold.evaluated, "fold"] = fold.name
    return cells


def describe_run(
    recipe: Recipe,
    catalogue: Catalogue,
    table: pd.DataFrame,
    split: Split,
    seed: int,
    threads: int,
) -> RunRecord:
    """run.json: the resolved request, the data and the versions."""
    folds = (
        FoldRecord(fold.name, len(fold.training), len(fold.evaluated), len(fold.removed))
        for fold in split.folds
    )
    return RunRecord(
        recipe=recipe,
        split=SplitRecord(split.name, split.leaky, tuple(folds)),
        seed=seed,
        data=DataRecord(
            fingerprint=compute_fingerprint(table),
            cells=len(table),
            subjects=int(table["subject"].nunique()),
            groups=int(table["group"].nunique()),
            groups_fingerprint=_fingerprint_groups(catalogue),
            read=_describe_reading(catalogue),
        ),
        dataset=catalogue.spec,
        group_overrides=_describe_groups(catalogue),
        simulated=find_banner(catalogue.root) is not None,
        root=str(catalogue.root.resolve()),
        versions=_list_versions(),
        machine=Machine(platform.platform(), platform.machine(), threads),
        started=tell_time(),
    )


def _describe_reading(catalogue: Catalogue) -> ReadRecord:
    options, groups = catalogue.options, catalogue.groups_csv
    return ReadRecord(
        reader=options.reader,
        subject_from=options.subject_from,
        classes=options.classes,
        frame_px=options.frame_px,
        turns=catalogue.turns,
        labels_csv=str(options.labels_csv.resolve()) if options.labels_csv else "",
        groups_csv=str(groups.resolve()) if groups else "",
    )


def _list_versions() -> dict[str, str]:
    versions = {"leukoscope": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _fingerprint_groups(catalogue: Catalogue) -> str:
    """Hash of the file of groups, so that a run is not continued with another; "" without one."""
    if catalogue.groups_csv is None:
        return ""
    named = catalogue.table[["subject", "group"]].drop_duplicates().sort_values("subject")
    lines = "\n".join("\0".join(row) for row in named.itertuples(index=False))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _describe_groups(catalogue: Catalogue) -> GroupOverrides | None:
    """The file of groups, and what it overrides; None where the groups are those of the links."""
    overrides = catalogue.find_overrides()
    if catalogue.groups_csv is None or overrides is None:
        return None
    return GroupOverrides(
        file=str(catalogue.groups_csv.resolve()),
        equal_cells_apart=overrides.equal_cells,
        similar_pairs_apart=overrides.similar_pairs,
        names_apart=tuple(cast(list[NamesApart], overrides.apart.to_dict("records"))),
        joined=tuple(overrides.joined["group"].unique().tolist()),
        overridden=tuple(overrides.describe()),
    )


def tell_time() -> str:
    """Now, with the time zone."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
