"""The predictions table → arrays, and the resamples of people behind all intervals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from leukoscope.labels import LEUKAEMIC

__all__ = ["BoolArray", "Cohort", "FloatArray", "IntArray", "build_cohort", "draw_group_counts"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cohort:
    """The evaluated cells (or, for subject-level scores, subjects), n of them.

    Attributes:
        leukaemic: bool (n,), the true label.
        probability: float64 (n,), of leukaemic, 0 to 1.
        called: bool (n,), whether the cell is called leukaemic.
        subject: int (n,), code of the subject.
        group: int (n,), code of the group, 0 to `groups` - 1: the unit that is resampled.
        weight: float64 (n,), weight of a cell; 1 where cells are equally weighted.
        groups: number of groups.
    """

    leukaemic: BoolArray
    probability: FloatArray
    called: BoolArray
    subject: IntArray
    group: IntArray
    weight: FloatArray
    groups: int

    def weigh_by_subject(self) -> Cohort:
        """The same cells subject-weighted: the weights of each subject sum to 1."""
        sizes = np.bincount(self.subject)
        return replace(self, weight=1 / sizes[self.subject])

    def replace_probability(
        self, probability: FloatArray, threshold: FloatArray | float = 0.5
    ) -> Cohort:
        """The same cells with another system's probabilities, float64 (n,), and threshold."""
        return replace(self, probability=probability, called=probability >= threshold)

    def count_groups(self, leukaemic: bool) -> int:
        """Number of groups with a cell of the class."""
        return len(np.unique(self.group[self.leukaemic == leukaemic]))


def build_cohort(table: pd.DataFrame) -> Cohort:
    """Turn a checked predictions table into arrays.

    Without column `group` a subject is a group, without `threshold` it is 0.5.
    """
    subject, _ = pd.factorize(table["subject"])
    group, names = pd.factorize(table["group"] if "group" in table else table["subject"])
    probability = table["probability"].to_numpy(dtype=np.float64)
    return Cohort(
        leukaemic=(table["label"] == LEUKAEMIC).to_numpy(dtype=bool),
        probability=probability,
        called=probability >= (table["threshold"].to_numpy() if "threshold" in table else 0.5),
        subject=np.asarray(subject, dtype=np.intp),
        group=np.asarray(group, dtype=np.intp),
        weight=np.ones(len(table)),
        groups=len(names),
    )


def draw_group_counts(cohort: Cohort, n_bootstrap: int, seed: int) -> FloatArray:
    """Draw people with replacement: a cluster bootstrap, stratified by class.

    Leukaemic people are drawn among the leukaemic, normal among the normal (and those with both
    classes among themselves), so that no resample lacks a class (Davison and Hinkley 1997, 3.8).

    Returns:
        float64 (n_bootstrap, groups): how often each group was drawn.
    """
    generator = np.random.default_rng(seed)
    counts = np.zeros((n_bootstrap, cohort.groups))
    classes = np.zeros((2, cohort.groups), dtype=np.intp)
    classes[0, cohort.group[~cohort.leukaemic]] = 1
    classes[1, cohort.group[cohort.leukaemic]] = 2
    strata = classes.sum(axis=0)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        chances = np.full(len(members), 1 / len(members))
        counts[:, members] = generator.multinomial(len(members), chances, size=n_bootstrap)
    return counts
