"""What a run and its network say of themselves: run.json, cells.csv, the model's metadata."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import platform
import time
from typing import Any

import pandas as pd

from leukoscope import __version__
from leukoscope.catalogue import Catalogue, compute_fingerprint
from leukoscope.io.runs import Run
from leukoscope.notices import find_banner
from leukoscope.predictions import read_answers, read_predictions
from leukoscope.settings import Recipe
from leukoscope.splits import Split

__all__ = [
    "compute_expected",
    "describe_cells",
    "describe_run",
    "describe_subjects",
    "tell_time",
]

_PACKAGES = ("keras", "tensorflow-cpu", "tensorflow", "jax", "torch", "tf2onnx", "onnxruntime")
_EXPECTED = ("weighted_f1", "roc_auc", "sensitivity", "specificity", "balanced_accuracy", "ece")


def compute_expected(run: Run, split: Split) -> dict[str, Any]:
    """What to expect of the final network on new people, for its metadata."""
    from leukoscope.evaluation import compute_evaluation

    evaluation = compute_evaluation(read_predictions(run.predictions), n_bootstrap=1000)
    scores = {score.name: score for score in evaluation.by_cell if score.name in _EXPECTED}
    auc = scores["roc_auc"]
    found, spared = scores["sensitivity"].value, scores["specificity"].value
    leaky = split.leaky or evaluation.leak.status == "leaky"
    leak = " (leaky split: will not hold)" if leaky else ""
    if run.read_settings()["simulated"]:
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
    numbers = {
        name: {"value": score.value, "low": score.low, "high": score.high}
        for name, score in scores.items()
    }
    return {"split": split.name, "leaky": leaky, "scores": numbers, "words": words}


def describe_subjects(run: Run, calibrated: pd.DataFrame) -> dict[str, Any] | None:
    """How a person's cells together become a probability, and what it was worth on new people."""
    from leukoscope.evaluation.aggregate import fit_subject_line, summarise_subjects

    line = fit_subject_line(calibrated)
    if line is None:
        return None
    tested = summarise_subjects(read_answers(run.predictions), n_bootstrap=1000)
    scores = {s.name: {"value": s.value, "low": s.low, "high": s.high} for s in tested.scores}
    return dataclasses.asdict(line) | {"tested": tested.scored, "scores": scores}


def describe_cells(table: pd.DataFrame, split: Split) -> pd.DataFrame:
    """cells.csv: the cells used, and the part in which each is held out."""
    columns = ["image", "label", "subject", "group", "fold", "area", "pixel_hash"]
    cells = table[columns].assign(row=table.index, part="")
    for fold in split.folds:
        cells.loc[fold.evaluated, "part"] = fold.name
    return cells


def describe_run(
    recipe: Recipe, catalogue: Catalogue, table: pd.DataFrame, split: Split, seed: int
) -> dict[str, Any]:
    """run.json: what was asked, resolved; on what data, by which programs."""
    versions = {"leukoscope": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "recipe": dataclasses.asdict(recipe),
        "split": {
            "name": split.name,
            "leaky": split.leaky,
            "folds": [
                {
                    "name": fold.name,
                    "training": len(fold.training),
                    "evaluated": len(fold.evaluated),
                    "removed": len(fold.removed),
                }
                for fold in split.folds
            ],
        },
        "seed": seed,
        "data": {
            "fingerprint": compute_fingerprint(table),
            "cells": len(table),
            "subjects": int(table["subject"].nunique()),
            "groups": int(table["group"].nunique()),
            **_fingerprint_groups(catalogue),
        },
        "groups": _describe_groups(catalogue),
        "simulated": find_banner(catalogue.root) is not None,
        "root": str(catalogue.root.resolve()),
        "versions": versions,
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        "started": tell_time(),
    }


def _fingerprint_groups(catalogue: Catalogue) -> dict[str, str]:
    """So that a run is not resumed with a file of other groups; nothing where there is no file."""
    if catalogue.groups_csv is None:
        return {}
    named = catalogue.table[["subject", "group"]].drop_duplicates().sort_values("subject")
    lines = "\n".join("\0".join(row) for row in named.itertuples(index=False))
    return {"groups_fingerprint": hashlib.sha256(lines.encode()).hexdigest()[:16]}


def _describe_groups(catalogue: Catalogue) -> dict[str, Any] | None:
    """The file of groups, and what it overrules; None where the groups are those of the links."""
    overruling = catalogue.find_overruling()
    if catalogue.groups_csv is None or overruling is None:
        return None
    return {
        "file": str(catalogue.groups_csv.resolve()),
        "equal_cells_apart": overruling.equal_cells,
        "similar_pairs_apart": overruling.similar_pairs,
        "names_apart": overruling.apart.to_dict("records"),
        "joined": overruling.joined["group"].unique().tolist(),
        "overruled": overruling.describe(),
    }


def tell_time() -> str:
    """Now, with the time zone."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
