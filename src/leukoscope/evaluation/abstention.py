"""Abstention: coverage, selective accuracy and novelty.

Conformal calls: whether the prediction set covers the true label as often as it should, and the
accuracy where it holds one class. Selective accuracy: how it rises as the cells nearest to their
threshold (on the logit) are excluded. Novel cells: those beyond the novelty limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from leukoscope.evaluation.cohort import BoolArray, Cohort, FloatArray
from leukoscope.evaluation.intervals import NOT_DEFINED, Score, compute_limits
from leukoscope.labels import LABELS, LEUKAEMIC, NORMAL
from leukoscope.logits import compute_logit

__all__ = ["Abstention", "LeftOut", "compute_abstention"]

_LEFT_OUT = (0.0, 0.1, 0.2, 0.3)


@dataclass(frozen=True)
class LeftOut:
    """Accuracy without the cells nearest to their threshold.

    Attributes:
        share: of the cells that are excluded, 0 to 1.
        accuracy: of the others.
    """

    share: float
    accuracy: Score


@dataclass(frozen=True)
class Abstention:
    """Abstention of a predictions table; by cell, with intervals over people.

    Attributes:
        coverage: share whose prediction set has the true label, leukaemic, then normal; by cell,
            then subject-weighted. Empty where the table has no conformal calls.
        sure: share of cells with a conformal call of one class, and the accuracy of these calls.
        left_out: accuracy as more of the cells nearest to their threshold are excluded.
        unusual: share of cells beyond the novelty limit, and accuracy of calls there; empty where
            the table has no novelty.
    """

    coverage: tuple[Score, ...]
    sure: tuple[Score, ...]
    left_out: tuple[LeftOut, ...]
    unusual: tuple[Score, ...]


def compute_abstention(table: pd.DataFrame, cohort: Cohort, counts: FloatArray) -> Abstention:
    """Compute the abstention scores.

    Args:
        table: as `leukoscope.predictions` describes, with column threshold.
        cohort: of the table, cells equally weighted.
        counts: float64 (n_bootstrap, groups), from `draw_group_counts`.
    """
    right = cohort.called == cohort.leukaemic
    coverage: list[Score] = []
    sure: list[Score] = []
    unusual: list[Score] = []
    if "conformal_call" in table:
        calls = table["conformal_call"].to_numpy(dtype=str)
        is_sure = np.isin(calls, LABELS)
        covered = ~is_sure | (calls == np.where(cohort.leukaemic, LEUKAEMIC, NORMAL))
        for view, words in ((cohort, ""), (cohort.weigh_by_subject(), ", subject-weighted")):
            for name, own in ((LEUKAEMIC, cohort.leukaemic), (NORMAL, ~cohort.leukaemic)):
                title = f"Conformal coverage, {name}{words}"
                key = f"coverage_{name}" + ("_by_subject" if words else "")
                coverage.append(_compute_share(key, title, covered, own, view, counts))
        everyone = np.ones_like(is_sure)
        sure = [
            _compute_share(
                "sure", "Conformal calls (one class)", is_sure, everyone, cohort, counts
            ),
            _compute_share(
                "sure_accuracy", "Accuracy of conformal calls", covered, is_sure, cohort, counts
            ),
        ]
    if "novelty" in table and not table["novelty"].isna().any():
        far, everyone = (table["novelty"] > 1).to_numpy(), np.ones(len(table), dtype=bool)
        unusual = [
            _compute_share(
                "unusual",
                "Share of novel cells (beyond the novelty limit)",
                far,
                everyone,
                cohort,
                counts,
            ),
            _compute_share(
                "unusual_accuracy", "Accuracy on novel cells", right, far, cohort, counts
            ),
        ]
    return Abstention(
        tuple(coverage), tuple(sure), _leave_out(table, right, cohort, counts), tuple(unusual)
    )


def _leave_out(
    table: pd.DataFrame, right: BoolArray, cohort: Cohort, counts: FloatArray
) -> tuple[LeftOut, ...]:
    doubt = np.abs(compute_logit(table["probability"]) - compute_logit(table["threshold"]))
    order = np.argsort(doubt, kind="stable")
    found = []
    for share in _LEFT_OUT:
        kept = np.ones(len(order), dtype=bool)
        kept[order[: round(share * len(order))]] = False
        title = f"Accuracy without the {share:.0%} nearest the threshold" if share else "Accuracy"
        score = _compute_share("accuracy", title, right, kept, cohort, counts)
        found.append(LeftOut(share, score))
    return tuple(found)


def _compute_share(
    name: str,
    title: str,
    hits: BoolArray,
    among: BoolArray,
    cohort: Cohort,
    counts: FloatArray,
) -> Score:
    """Weighted share of hits among some cells, with its interval over resampled people."""
    weight = cohort.weight * among
    above = np.bincount(cohort.group, weight * hits, cohort.groups)
    below = np.bincount(cohort.group, weight, cohort.groups)
    known = bool(below.sum() > 0)
    people = int((below > 0).sum())
    low, high = None, None
    if known and people > 1:
        total = counts @ below
        samples = np.full(len(total), np.nan)
        np.divide(counts @ above, total, out=samples, where=total > 0)
        low, high = compute_limits(samples)
    return Score(
        name=name,
        title=title,
        value=float(above.sum() / below.sum()) if known else None,
        low=low,
        high=high,
        n_cells=int(among.sum()),
        n_subjects=len(np.unique(cohort.subject[among])),
        direction="higher",
        reason="" if known else NOT_DEFINED,
    )
