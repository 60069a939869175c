"""Baselines beside every score: all cells leukaemic, and the cell's size alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from leukoscope.errors import DataError
from leukoscope.evaluation.cohort import Cohort, FloatArray
from leukoscope.evaluation.intervals import Score, View, compute_differences, compute_view
from leukoscope.evaluation.scores import SCORES, ScoreKind
from leukoscope.labels import LEUKAEMIC
from leukoscope.predictions import normalise_labels

__all__ = ["Baseline", "Views", "compute_baselines", "compute_size_probability", "compute_views"]


@dataclass(frozen=True)
class Views:
    """The scores of one system, cell-weighted and subject-weighted."""

    by_cell: View
    by_subject: View


@dataclass(frozen=True)
class Baseline:
    """A system without a network, scored on the same cells and the same resamples.

    Attributes:
        name: "all_leukaemic" or "size_only".
        title: shown to users.
        status: "available"; "not fitted": only the order of the cells by area is scored;
            "not available": the table has no areas.
        note: where it comes from, or why it is missing.
        by_cell: its scores, cells equally weighted.
        by_subject: its scores, subject-weighted.
        differences_by_cell: network minus baseline with a paired interval.
        differences_by_subject: likewise, subject-weighted.
    """

    name: str
    title: str
    status: Literal["available", "not fitted", "not available"]
    note: str
    by_cell: tuple[Score, ...] = field(default=())
    by_subject: tuple[Score, ...] = field(default=())
    differences_by_cell: tuple[Score, ...] = field(default=())
    differences_by_subject: tuple[Score, ...] = field(default=())


def compute_size_probability(
    train_area: npt.ArrayLike, train_label: npt.ArrayLike, area: npt.ArrayLike
) -> FloatArray:
    """Fit the size-only baseline on training subjects and apply it to other cells.

    Logistic regression on the log of the area, the two classes equally weighted.

    Args:
        train_area: (n,) px of the crop, of cells of training subjects only.
        train_label: (n,) their labels, as in a predictions table.
        area: (m,) px of the crop, of the cells to be scored.

    Returns:
        float64 (m,), probability of leukaemic.

    Raises:
        DataError: an area that is not above 0, or one class only to train on.
    """
    from sklearn.linear_model import LogisticRegression  # half a second; evaluation never needs it

    train, new = (np.asarray(a, dtype=np.float64).reshape(-1, 1) for a in (train_area, area))
    leukaemic = (normalise_labels(pd.Series(np.asarray(train_label))) == LEUKAEMIC).to_numpy()
    if not ((train > 0).all() and (new > 0).all()):
        raise DataError("Expected areas above 0 px; received a cell without pixels.")
    if leukaemic.all() or not leukaemic.any():
        raise DataError("Expected training cells of both classes; received one class.")
    model = LogisticRegression(class_weight="balanced", C=1e6).fit(np.log(train), leukaemic)
    return np.asarray(model.predict_proba(np.log(new))[:, 1], dtype=np.float64)


def compute_views(cohort: Cohort, counts: FloatArray, kinds: Sequence[ScoreKind] = SCORES) -> Views:
    """Score one system by cell and by subject over the same resamples."""
    by_subject = cohort.weigh_by_subject()
    return Views(compute_view(cohort, counts, kinds), compute_view(by_subject, counts, kinds))


def compute_baselines(
    table: pd.DataFrame,
    cohort: Cohort,
    model: Views,
    counts: FloatArray,
    kinds: Sequence[ScoreKind] = SCORES,
) -> tuple[Baseline, ...]:
    """Score the baselines: all-leukaemic, then size-only.

    Args:
        table: the predictions table, for `area_probability`, `area_threshold` and `area`.
        cohort: its cells, with the network's probabilities.
        model: the network's scores.
        counts: float64 (n_bootstrap, groups), the resamples of `model`.
        kinds: the scores of `model`.
    """
    constant = cohort.replace_probability(np.ones_like(cohort.probability))
    return (
        Baseline(
            name="all_leukaemic",
            title="all leukaemic",
            status="available",
            note="Every cell is called leukaemic with probability 1.",
            **_compare(model, compute_views(constant, counts, kinds)),
        ),
        _compute_size_only(table, cohort, model, counts, kinds),
    )


def _compute_size_only(
    table: pd.DataFrame,
    cohort: Cohort,
    model: Views,
    counts: FloatArray,
    kinds: Sequence[ScoreKind],
) -> Baseline:
    if _is_complete(table, "area_probability"):
        sized = cohort.replace_probability(
            table["area_probability"].to_numpy(dtype=np.float64),
            table["area_threshold"].to_numpy() if _is_complete(table, "area_threshold") else 0.5,
        )
        return Baseline(
            name="size_only",
            title="size only",
            status="available",
            note="Logistic regression on the log of the cell's area, fitted on training subjects.",
            **_compare(model, compute_views(sized, counts, kinds)),
        )
    if _is_complete(table, "area"):
        area = table["area"].to_numpy(dtype=np.float64)
        ranked = cohort.replace_probability(area / area.max(initial=1))
        compared = _compare(model, compute_views(ranked, counts, kinds))
        return Baseline(
            name="size_only",
            title="size only",
            status="not fitted",
            note="Larger cells first, nothing fitted: only the areas under curves are meaningful.",
            **{key: _keep_areas(scores) for key, scores in compared.items()},
        )
    return Baseline(
        name="size_only",
        title="size only",
        status="not available",
        note="The table has no complete column area_probability or area, so it is not known "
        "whether the network does better than cell size alone.",
    )


def _is_complete(table: pd.DataFrame, column: str) -> bool:
    return column in table and len(table) > 0 and bool(table[column].notna().all())


def _compare(model: Views, baseline: Views) -> dict[str, Any]:
    return {
        "by_cell": baseline.by_cell.scores,
        "by_subject": baseline.by_subject.scores,
        "differences_by_cell": compute_differences(model.by_cell, baseline.by_cell),
        "differences_by_subject": compute_differences(model.by_subject, baseline.by_subject),
    }


def _keep_areas(scores: tuple[Score, ...]) -> tuple[Score, ...]:
    return tuple(score for score in scores if score.name in ("roc_auc", "pr_auc"))
