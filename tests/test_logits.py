import math

import numpy as np
import pandas as pd
import pytest

from leukoscope.logits import compute_logit, compute_probability


def test_logits_are_finite_and_lead_back() -> None:
    probability = np.array([0.0, 1e-6, 0.2, 0.5, 0.9, 1.0])
    logit = compute_logit(probability)
    assert logit[2] == pytest.approx(math.log(0.25)) and logit[3] == 0
    assert logit[[0, 5]] == pytest.approx([-13.8155, 13.8155], abs=1e-4)
    assert compute_probability(logit) == pytest.approx(probability, abs=2e-6)


def test_columns_and_single_numbers_do_too() -> None:
    assert compute_logit(pd.Series([0.5, 0.5], index=[7, 9])).tolist() == [0, 0]
    assert float(compute_probability(-1000.0)) == 0  # and no warning of an overflow
