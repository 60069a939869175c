"""Every score, written once: weighted sums over the cells → the score, for many resamples at once.

A resample says how often each group was drawn, so a sum over its cells is one matrix product with
the groups' own sums; the areas under curves sort the cells once and add their weights up along the
probability. The score of the cells themselves is that of the resample that draws every group once.
`tests/test_scores.py` holds all of them equal to scikit-learn's.

A score without the cells that it needs is NaN here, never 0; `intervals` turns that into words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from leukoscope.errors import SettingsError, call_users_code
from leukoscope.evaluation.cohort import Cohort, FloatArray
from leukoscope.registry import import_own, is_import_path

__all__ = [
    "ECE_BINS",
    "SCORES",
    "ScoreKind",
    "Sums",
    "compute_calibration_bins",
    "compute_point_scores",
    "compute_resampled_scores",
    "find_scores",
]

ECE_BINS = 15
"""Bins of the expected calibration error: equal width over 0 to 1 (Guo et al. 2017)."""

_CHUNK_NUMBERS = 2_000_000  # cells × resamples held at once: 16 MB an array
_LOG_FLOOR = float(np.finfo(np.float64).eps)  # as scikit-learn's log_loss


@dataclass(frozen=True)
class Sums:
    """Weighted sums over the cells of each of r resamples; every array float64 (r,).

    Attributes:
        tp: leukaemic, called leukaemic.
        fn: leukaemic, called normal.
        fp: normal, called leukaemic.
        tn: normal, called normal.
        squared: squared errors of the probability.
        log: minus the log of the probability given to the true label.
        gap: over the calibration bins, the distance between the bin's probabilities and labels.
        roc_auc: area under the ROC curve, ready.
        pr_auc: average precision, ready.
    """

    tp: FloatArray
    fn: FloatArray
    fp: FloatArray
    tn: FloatArray
    squared: FloatArray
    log: FloatArray
    gap: FloatArray
    roc_auc: FloatArray
    pr_auc: FloatArray

    @property
    def weight(self) -> FloatArray:
        """All cells."""
        return self.tp + self.fn + self.fp + self.tn


@dataclass(frozen=True)
class ScoreKind:
    """Definition of a score; your own score is another value of this class.

        youden = ScoreKind(
            "youden", "Youden's J", "higher", "both",
            lambda s: s.tp / (s.tp + s.fn) + s.tn / (s.tn + s.fp) - 1,
        )

    Attributes:
        name: key in files.
        title: shown to users.
        direction: which way is better.
        classes: the class or classes whose cells it requires; "any" needs neither.
        compute: sums → float64 (r,), NaN where not defined. Called with r of 1 or more, also where
            a class has no cells; the value is then not used.
    """

    name: str
    title: str
    direction: Literal["higher", "lower"]
    classes: Literal["leukaemic", "normal", "both", "any"]
    compute: Callable[[Sums], FloatArray]


def _divide(above: FloatArray, below: FloatArray) -> FloatArray:
    """The ratio, NaN where there is nothing to divide by."""
    ratio = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=ratio, where=below > 0)
    return ratio


def _compute_precisions(sums: Sums) -> tuple[FloatArray, FloatArray]:
    return _divide(sums.tp, sums.tp + sums.fp), _divide(sums.tn, sums.tn + sums.fn)


def _compute_recalls(sums: Sums) -> tuple[FloatArray, FloatArray]:
    return _divide(sums.tp, sums.tp + sums.fn), _divide(sums.tn, sums.tn + sums.fp)


def _compute_f1s(sums: Sums) -> tuple[FloatArray, FloatArray]:
    wrong = sums.fp + sums.fn
    return _divide(2 * sums.tp, 2 * sums.tp + wrong), _divide(2 * sums.tn, 2 * sums.tn + wrong)


_Pair = Callable[[Sums], tuple[FloatArray, FloatArray]]


def _average(pair: _Pair) -> Callable[[Sums], FloatArray]:
    """Unweighted mean of the two classes."""
    return lambda sums: sum(pair(sums), np.zeros(1)) / 2


def _average_weighted(pair: _Pair) -> Callable[[Sums], FloatArray]:
    """Mean of the two classes, weighted by their cells."""

    def compute(sums: Sums) -> FloatArray:
        leukaemic, normal = pair(sums)
        above = leukaemic * (sums.tp + sums.fn) + normal * (sums.tn + sums.fp)
        return _divide(above, sums.weight)

    return compute


def _compute_mcc(sums: Sums) -> FloatArray:
    product = (sums.tp + sums.fp) * (sums.tp + sums.fn) * (sums.tn + sums.fp) * (sums.tn + sums.fn)
    return _divide(sums.tp * sums.tn - sums.fp * sums.fn, np.sqrt(product))


def _take(pair: _Pair, which: int) -> Callable[[Sums], FloatArray]:
    """One class of a pair: 0 leukaemic, 1 normal."""
    return lambda sums: pair(sums)[which]


def _build_family(name: str, pair: _Pair) -> tuple[ScoreKind, ...]:
    """A score of each class, and its means over both; a class's recall needs that class only."""
    word, recall = name.replace("f1", "F1"), name == "recall"
    return (
        ScoreKind(
            f"{name}_leukaemic",
            f"{word[0].upper()}{word[1:]}, leukaemic",
            "higher",
            "leukaemic" if recall else "both",
            _take(pair, 0),
        ),
        ScoreKind(
            f"{name}_normal",
            f"{word[0].upper()}{word[1:]}, normal",
            "higher",
            "normal" if recall else "both",
            _take(pair, 1),
        ),
        ScoreKind(f"macro_{name}", f"Macro {word}", "higher", "both", _average(pair)),
        ScoreKind(
            f"weighted_{name}", f"Weighted {word}", "higher", "both", _average_weighted(pair)
        ),
    )


SCORES = (
    ScoreKind("roc_auc", "ROC-AUC", "higher", "both", lambda s: s.roc_auc),
    ScoreKind("pr_auc", "PR-AUC (average precision)", "higher", "both", lambda s: s.pr_auc),
    ScoreKind("sensitivity", "Sensitivity", "higher", "leukaemic", _take(_compute_recalls, 0)),
    ScoreKind("specificity", "Specificity", "higher", "normal", _take(_compute_recalls, 1)),
    ScoreKind(
        "balanced_accuracy", "Balanced accuracy", "higher", "both", _average(_compute_recalls)
    ),
    ScoreKind("accuracy", "Accuracy", "higher", "any", lambda s: _divide(s.tp + s.tn, s.weight)),
    ScoreKind("mcc", "Matthews correlation coefficient (MCC)", "higher", "both", _compute_mcc),
    ScoreKind("brier", "Brier score", "lower", "any", lambda s: _divide(s.squared, s.weight)),
    ScoreKind("log_loss", "Log loss", "lower", "any", lambda s: _divide(s.log, s.weight)),
    ScoreKind(
        "ece",
        "Expected calibration error (ECE)",
        "lower",
        "any",
        lambda s: _divide(s.gap, s.weight),
    ),
    *_build_family("precision", _compute_precisions),
    *_build_family("recall", _compute_recalls),
    *_build_family("f1", _compute_f1s),
)
"""The built-in scores. A new score is one line here and one in the test."""


def find_scores(paths: str | Sequence[str] = ()) -> tuple[ScoreKind, ...]:
    """The built-in scores, then a user's own.

    Args:
        paths: import path "package.module:name" of a `ScoreKind`, or several.

    Raises:
        SettingsError: not an import path, not a `ScoreKind`, or a name that is taken.
    """
    kinds = list(SCORES)
    for path in [paths] if isinstance(paths, str) else paths:
        if not is_import_path(path):
            raise SettingsError(
                f"Unknown score {path!r}. The built-in ones are always computed; give your own as "
                "package.module:name."
            )
        kind = import_own("score", path)
        if not isinstance(kind, ScoreKind):
            raise SettingsError(
                f"The score {path} is of type {type(kind).__name__}. Expected a ScoreKind of "
                "leukoscope.evaluation."
            )
        if kind.name in {other.name for other in kinds}:
            raise SettingsError(
                f"The score {path}: the name {kind.name!r} is taken. Choose another."
            )
        kinds.append(kind)
    return tuple(kinds)


def compute_point_scores(cohort: Cohort, kinds: Sequence[ScoreKind] = SCORES) -> dict[str, float]:
    """Compute every score of the cells themselves, not resampled; NaN where not defined."""
    once = compute_resampled_scores(cohort, np.ones((1, cohort.groups)), kinds)
    return {name: float(values[0]) for name, values in once.items()}


def compute_resampled_scores(
    cohort: Cohort, counts: FloatArray, kinds: Sequence[ScoreKind] = SCORES
) -> dict[str, FloatArray]:
    """Compute every score for every resample.

    Args:
        cohort: n cells.
        counts: float64 (r, groups), how often each group was drawn.
        kinds: the scores, from `find_scores`.

    Returns:
        Name of a score → float64 (r,), NaN where it is not defined: the classes that it needs have
        no cells.

    Raises:
        SettingsError: a user's own score that gives something else.
    """
    sums = _compute_sums(cohort, counts)
    leukaemic, normal = sums.tp + sums.fn > 0, sums.tn + sums.fp > 0
    present = {
        "leukaemic": leukaemic,
        "normal": normal,
        "both": leukaemic & normal,
        "any": leukaemic | normal,
    }
    return {
        kind.name: np.where(present[kind.classes], _compute_one(kind, sums), np.nan)
        for kind in kinds
    }


def _compute_one(kind: ScoreKind, sums: Sums) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"), call_users_code():  # it may be a user's
        found = np.asarray(kind.compute(sums), np.float64)
    if found.shape != sums.tp.shape:
        raise SettingsError(
            f"The score {kind.name} gave an array of shape {found.shape}. Expected "
            f"{sums.tp.shape}, one number a resample."
        )
    return found


def _compute_sums(cohort: Cohort, counts: FloatArray) -> Sums:
    truth, called, weight = cohort.leukaemic, cohort.called, cohort.weight
    given = np.clip(np.where(truth, cohort.probability, 1 - cohort.probability), _LOG_FLOOR, None)
    columns = [
        weight * (truth & called),
        weight * (truth & ~called),
        weight * (~truth & called),
        weight * (~truth & ~called),
        weight * (truth - cohort.probability) ** 2,
        weight * -np.log(given),
    ]
    bins = compute_calibration_bins(cohort.probability)
    distance = weight * (cohort.probability - truth)
    columns += [distance * (bins == number) for number in range(ECE_BINS)]
    of_groups = [np.bincount(cohort.group, column, cohort.groups) for column in columns]
    totals = counts @ np.stack(of_groups, axis=1)
    roc_auc, pr_auc = _compute_areas(cohort, counts)
    return Sums(
        tp=totals[:, 0],
        fn=totals[:, 1],
        fp=totals[:, 2],
        tn=totals[:, 3],
        squared=totals[:, 4],
        log=totals[:, 5],
        gap=np.abs(totals[:, 6:]).sum(axis=1),
        roc_auc=roc_auc,
        pr_auc=pr_auc,
    )


def compute_calibration_bins(probability: FloatArray) -> FloatArray:
    """Bin of each probability, 0 to `ECE_BINS` - 1, equal width; 1.0 falls in the last."""
    return np.minimum(np.floor(probability * ECE_BINS), ECE_BINS - 1)


def _compute_areas(cohort: Cohort, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """ROC-AUC and average precision of each resample, float64 (r,) each; cells sorted once."""
    if not len(cohort.probability):
        return np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    order = np.argsort(-cohort.probability, kind="stable")
    group, probability = cohort.group[order], cohort.probability[order]
    leukaemic = cohort.leukaemic[order]
    ends = np.append(np.flatnonzero(np.diff(probability)), len(order) - 1)
    columns = np.stack([cohort.weight[order] * leukaemic, cohort.weight[order] * ~leukaemic])
    rows = max(1, _CHUNK_NUMBERS // max(1, len(order)))
    areas = [np.zeros((2, 0))]
    for start in range(0, len(counts), rows):
        drawn = counts[start : start + rows, group]
        true, false = (np.cumsum(drawn * column, axis=1)[:, ends] for column in columns)
        areas.append(_integrate(true, false))
    roc_auc, pr_auc = np.concatenate(areas, axis=1)
    return roc_auc, pr_auc


def _integrate(true: FloatArray, false: FloatArray) -> FloatArray:
    """Areas from weights found at or above each threshold, both float64 (r, thresholds) → (2, r).

    ROC by trapezoids, precision-recall by steps (average precision), as scikit-learn does.
    """
    gained = np.diff(true, axis=1, prepend=0)
    below = np.diff(false, axis=1, prepend=0)
    area = np.einsum("rt,rt->r", below, true - gained / 2)
    precision = np.divide(true, true + false, out=np.zeros_like(true), where=true > 0)
    average = np.einsum("rt,rt->r", gained, precision)
    positive, negative = true[:, -1], false[:, -1]
    pr_auc = np.where(negative > 0, _divide(average, positive), np.nan)
    return np.stack([_divide(area, positive * negative), pr_auc])
