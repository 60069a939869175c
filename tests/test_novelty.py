"""Distances from the training cells."""

from __future__ import annotations

import numpy as np
import pytest

from leukoscope.inference.novelty import fit_novelty

RANDOM = np.random.default_rng(0)


def test_distances_are_mahalanobis() -> None:
    mixing = RANDOM.normal(size=(5, 5))
    learned = RANDOM.normal(size=(4000, 5)) @ mixing + 100
    asked = RANDOM.normal(size=(50, 5)) @ mixing * 2 + 100
    offset = asked - learned.mean(axis=0)
    inverse = np.linalg.inv(np.cov(learned.T, bias=True))
    expected = np.sqrt(np.einsum("ni,ij,nj->n", offset, inverse, offset))
    found = fit_novelty(learned)
    assert found.compute(asked) == pytest.approx(expected)
    assert found.divide(4).compute(asked) == pytest.approx(expected / 4)


def test_the_first_components_are_kept_and_constant_features_ignored() -> None:
    learned = RANDOM.normal(size=(500, 100))
    learned[:, 7] = 3.0
    found = fit_novelty(learned)
    assert found.kernel.shape == (100, 64)
    changed = learned[:1].copy()
    changed[0, 7] = 3.5
    assert found.compute(changed) == pytest.approx(found.compute(learned[:1]))


def test_few_cells_span_few_directions() -> None:
    found = fit_novelty(RANDOM.normal(size=(3, 20)))
    assert found.kernel.shape == (20, 2)
    assert np.isfinite(found.compute(RANDOM.normal(size=(2, 20)))).all()


def test_the_directions_kept_are_those_in_which_cells_differ_together() -> None:
    shared = RANDOM.normal(size=(2000, 1))
    learned = shared + 0.3 * RANDOM.normal(size=(2000, 200))
    found = fit_novelty(learned)
    together = np.full((1, 200), 5.0)
    assert found.compute(together)[0] > 4.5


def test_features_that_are_the_same_for_all_cells_leave_a_novelty_of_zero() -> None:
    found = fit_novelty(np.full((10, 5), 0.3))
    assert found.kernel.shape == (5, 1)
    assert found.compute(RANDOM.normal(size=(3, 5))).tolist() == [0, 0, 0]
