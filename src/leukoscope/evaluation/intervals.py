"""Scores with an interval over people, and the number of cells and subjects behind them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from leukoscope.evaluation.cohort import BoolArray, Cohort, FloatArray
from leukoscope.evaluation.scores import (
    SCORES,
    ScoreKind,
    compute_point_scores,
    compute_resampled_scores,
)

__all__ = [
    "FEW_PEOPLE",
    "NOT_DEFINED",
    "Score",
    "View",
    "compute_differences",
    "compute_limits",
    "compute_view",
    "find_score",
]

NOT_DEFINED = "not defined (n = 0)"
FEW_PEOPLE = "interval not defined (fewer than 2 people in a class)"

_COMPARED = ("roc_auc", "weighted_f1", "balanced_accuracy")


@dataclass(frozen=True)
class Score:
    """One number, never without its interval and its n.

    Attributes:
        name: key in files, such as "roc_auc".
        title: shown to users.
        value: the score; None where not defined.
        low: 2.5th percentile over resamples of people; None where not defined.
        high: 97.5th percentile, likewise.
        n_cells: cells of the class or classes that the score depends on.
        n_subjects: their subjects.
        direction: which way is better, "higher" or "lower".
        reason: why a value or an interval is missing; empty where both are there.
    """

    name: str
    title: str
    value: float | None
    low: float | None
    high: float | None
    n_cells: int
    n_subjects: int
    direction: str
    reason: str = ""


def find_score(scores: Iterable[Score], name: str) -> Score:
    """The score of that name.

    Raises:
        KeyError: there is none.
    """
    for score in scores:
        if score.name == name:
            return score
    raise KeyError(name)


@dataclass(frozen=True)
class View:
    """The scores of one system on one cohort, with the resamples kept for paired differences."""

    scores: tuple[Score, ...]
    samples: dict[str, FloatArray]

    def get(self, name: str) -> Score:
        """The score of that name."""
        return find_score(self.scores, name)


def compute_view(cohort: Cohort, counts: FloatArray, kinds: Sequence[ScoreKind] = SCORES) -> View:
    """Compute every score with its interval.

    Args:
        cohort: the cells, with the weights that make the view.
        counts: float64 (n_bootstrap, groups), from `draw_group_counts`.
        kinds: the scores, from `find_scores`.
    """
    points = compute_point_scores(cohort, kinds)
    samples = compute_resampled_scores(cohort, counts, kinds)
    scores = tuple(
        _build_score(kind, points[kind.name], samples[kind.name], cohort) for kind in kinds
    )
    return View(scores, samples)


def compute_differences(model: View, baseline: View) -> tuple[Score, ...]:
    """Model minus baseline over the same resamples; above 0 the model is better."""
    differences = []
    for name in _COMPARED:
        ours, theirs = model.get(name), baseline.get(name)
        value = _subtract(ours.value, theirs.value)
        known = None not in (ours.low, theirs.low)
        low, high = (
            compute_limits(model.samples[name] - baseline.samples[name]) if known else (None, None)
        )
        differences.append(
            Score(
                name=name,
                title=ours.title,
                value=value,
                low=low,
                high=high,
                n_cells=ours.n_cells,
                n_subjects=ours.n_subjects,
                direction="higher",
                reason=ours.reason or theirs.reason,
            )
        )
    return tuple(differences)


def _subtract(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or theirs is None else ours - theirs


def _build_score(kind: ScoreKind, point: float, samples: FloatArray, cohort: Cohort) -> Score:
    cells = _select(kind, cohort)
    low, high, reason = None, None, ""
    if math.isnan(point):
        reason = NOT_DEFINED
    elif _has_few_people(kind, cohort):
        reason = FEW_PEOPLE
    else:
        low, high = compute_limits(samples)
    return Score(
        name=kind.name,
        title=kind.title,
        value=None if math.isnan(point) else point,
        low=low,
        high=high,
        n_cells=int(cells.sum()),
        n_subjects=len(np.unique(cohort.subject[cells])),
        direction=kind.direction,
        reason=reason,
    )


def _select(kind: ScoreKind, cohort: Cohort) -> BoolArray:
    if kind.classes in ("both", "any"):
        return np.ones_like(cohort.leukaemic)
    return np.asarray(cohort.leukaemic == (kind.classes == "leukaemic"))


def _has_few_people(kind: ScoreKind, cohort: Cohort) -> bool:
    """Whether a class that the score depends on has a single person: nothing to resample."""
    classes = np.unique(cohort.leukaemic[_select(kind, cohort)])
    return any(cohort.count_groups(bool(leukaemic)) < 2 for leukaemic in classes)


def compute_limits(samples: FloatArray) -> tuple[float | None, float | None]:
    """95% percentile interval over the resamples in which the score is defined."""
    defined = samples[np.isfinite(samples)]
    if not len(defined):
        return None, None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)
