"""Calibration and thresholds, chosen on people other than those they are used on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from leukoscope.inference.decision import (
    average_by_subject,
    calibrate,
    decide_by_fold,
    fit_decision,
)
from leukoscope.records import UNCERTAIN, Decision


def build_outputs(people: int = 40, cells: int = 60, seed: int = 0) -> pd.DataFrame:
    """Outputs whose true logit is 0.5 × theirs + 0.4, so that they are overconfident."""
    random = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        logits = random.normal(0, 3, cells)
        truth = random.random(cells) < 1 / (1 + np.exp(-(0.5 * logits + 0.4)))
        for logit, leukaemic in zip(logits, truth, strict=True):
            rows.append(
                {
                    "group": str(person),
                    "fold": str(person % 4),
                    "label": "leukaemic" if leukaemic else "normal",
                    "probability": 1 / (1 + np.exp(-logit)),
                }
            )
    return pd.DataFrame(rows)


def compute_rates(table: pd.DataFrame, threshold: float, decision: Decision) -> tuple[float, float]:
    called = calibrate(table["probability"], decision) >= threshold
    leukaemic = table["label"] == "leukaemic"
    return called[leukaemic].mean(), (~called)[~leukaemic].mean()


def test_the_true_line_is_found() -> None:
    decision = fit_decision(build_outputs())
    assert decision.slope == pytest.approx(0.5, abs=0.05)
    assert decision.intercept == pytest.approx(0.4, abs=0.12)


def test_thresholds_do_what_they_are_for() -> None:
    table = build_outputs()
    decision = fit_decision(table)
    found, spared = compute_rates(table, decision.threshold, decision)
    for other in np.linspace(0.05, 0.95, 37):
        assert sum(compute_rates(table, other, decision)) <= found + spared + 0.01
    sensitive, _ = compute_rates(table, decision.sensitive_threshold, decision)
    assert 0.945 <= sensitive <= 0.96
    assert decision.sensitive_threshold < decision.threshold


def test_a_person_with_most_of_the_cells_does_not_dominate() -> None:
    table = build_outputs()
    loud = table.sample(3000, replace=True, random_state=0).assign(group="loud", label="normal")
    alike = fit_decision(pd.concat([table, loud], ignore_index=True))
    by_cell = fit_decision(
        pd.concat([table, loud], ignore_index=True).assign(group=lambda t: t.index.astype(str))
    )
    truth = fit_decision(table)
    assert abs(alike.slope - truth.slope) < abs(by_cell.slope - truth.slope) - 0.03


def test_a_fold_does_not_influence_its_own_decision() -> None:
    table = build_outputs()
    before = decide_by_fold(table)
    own = table["fold"] == "2"
    other = table["label"].map({"leukaemic": "normal", "normal": "leukaemic"})
    turned = table.assign(label=table["label"].where(~own, other))
    after = decide_by_fold(turned)
    pd.testing.assert_frame_equal(before[own], after[own])
    assert (before.loc[~own, "threshold"] != after.loc[~own, "threshold"]).any()
    assert before.loc[own, "threshold"].nunique() == 1


def test_probabilities_are_calibrated() -> None:
    table = build_outputs(seed=3)
    decided = decide_by_fold(table)
    leukaemic = table["label"] == "leukaemic"
    sure = table["probability"] > 0.95
    assert abs(table["probability"][sure].mean() - leukaemic[sure].mean()) > 0.05
    assert abs(decided["probability"][sure].mean() - leukaemic[sure].mean()) < 0.03


@pytest.mark.parametrize("case", ["one class", "one fold", "backwards"])
def test_where_nothing_can_be_chosen_nothing_changes(case: str) -> None:
    table = build_outputs(people=8)
    if case == "one class":
        table = table.assign(label="normal")
    elif case == "one fold":
        table = table.assign(fold="all")
    else:
        table = table.assign(probability=1 - table["probability"])
    decided = decide_by_fold(table)
    assert (decided["probability"] == table["probability"]).all()
    assert (decided["threshold"] == 0.5).all() and (decided["sensitive_threshold"] == 0.5).all()
    assert (decided["conformal_call"] == UNCERTAIN).all()


def build_people(people: int, seed: int) -> pd.DataFrame:
    """People of one class each, who differ; every fold has people of both."""
    random = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        leukaemic = person % 2 == 0
        cells = int(random.integers(5, 120))
        logits = (1.2 if leukaemic else -1.2) + random.normal(0, 1) + random.normal(0, 1, cells)
        rows += [
            {
                "group": str(person),
                "fold": str(person // 2 % 4),
                "label": "leukaemic" if leukaemic else "normal",
                "probability": 1 / (1 + np.exp(-logit)),
                "novelty": abs(random.normal(10, 2)),
            }
            for logit in logits
        ]
    return pd.DataFrame(rows)


def compute_coverage(table: pd.DataFrame, sure: pd.Series) -> dict[str, float]:
    """Share of cells whose set has the true label, people equally weighted, by class."""
    held = (sure == table["label"]) | (sure == UNCERTAIN)
    by_person = held.groupby([table["label"], table["group"]]).mean()
    return dict(by_person.groupby(level=0).mean())


def test_the_sets_have_their_coverage_on_new_people_of_either_class() -> None:
    found = []
    for seed in range(30):
        decision = fit_decision(build_people(40, seed))
        new = build_people(40, seed + 100)
        sure = calibrate(new["probability"], decision)
        found.append(
            compute_coverage(
                new, pd.Series([decision.find_conformal_call(value) for value in sure])
            )
        )
    covered = pd.DataFrame(found).mean()
    assert (covered > 0.9).all() and (covered < 0.96).all()


def test_fewer_people_give_wider_sets() -> None:
    wide, narrow = fit_decision(build_people(16, 0)), fit_decision(build_people(400, 0))
    assert wide.conformal_lower < narrow.conformal_lower
    assert wide.conformal_upper > narrow.conformal_upper
    few = fit_decision(build_people(8, 0))
    assert (few.conformal_lower, few.conformal_upper) == (0, 1)  # of 4 people, none is 1 in 10


def test_a_conformal_call_is_the_one_class_of_the_set() -> None:
    usual, torn = Decision(conformal_lower=0.3, conformal_upper=0.6), Decision(0, 0, 0, 0, 0.6, 0.3)
    assert [usual.find_conformal_call(p) for p in (0.29, 0.3, 0.6, 0.61)] == [
        *("normal", UNCERTAIN, UNCERTAIN, "leukaemic")
    ]
    assert [torn.find_conformal_call(p) for p in (0.3, 0.4, 0.6)] == [
        *("normal", UNCERTAIN, "leukaemic")
    ]


def test_the_novelty_limit_comes_from_other_folds() -> None:
    table = build_people(60, 0)
    found = decide_by_fold(table)["novelty"]
    assert (found > 1).mean() == pytest.approx(0.05, abs=0.01)
    strange = table["fold"] == "1"
    changed = table.assign(novelty=table["novelty"].where(~strange, 100.0))
    assert (decide_by_fold(changed)["novelty"][strange] > 4).all()


def test_certain_outputs_stay_finite_and_in_order() -> None:
    raw = [0.0, 1e-9, 0.2, 0.9, 1.0]
    found = calibrate(raw, Decision(slope=0.5, intercept=1.0))
    assert np.isfinite(found).all() and (np.diff(found) >= 0).all()
    assert found[2] == pytest.approx(1 / (1 + np.exp(-(0.5 * np.log(0.25) + 1))))


def test_in_context_a_cell_takes_the_mean_of_its_subjects_cells() -> None:
    table = build_people(10, 0).rename(columns={"group": "subject"})
    found = pd.Series(average_by_subject(table))
    logit = np.log(table["probability"] / (1 - table["probability"]))
    own = table["subject"] == "4"
    assert found[own].nunique() == 1
    assert found[own].iloc[0] == pytest.approx(1 / (1 + np.exp(-logit[own].mean())))


def test_in_the_sets_too_a_person_with_most_of_the_cells_counts_once() -> None:
    table = build_people(60, 0)
    before = fit_decision(table)
    own = table[table["group"] == "1"]
    loud = own.sample(3000, replace=True, random_state=0).assign(probability=0.97, group="loud")
    after = fit_decision(pd.concat([table, loud], ignore_index=True))
    kept = [calibrate(table["probability"], decision) for decision in (before, after)]
    sure = [
        np.mean(kept[0] > before.conformal_upper),
        np.mean(kept[1] > after.conformal_upper),
    ]
    assert sure[1] > 0.3 * sure[0] > 0.05  # by cells, nothing could be sure of being leukaemic


@pytest.mark.parametrize(
    ("lower", "upper", "words"),
    [
        (0.3, 0.6, "conformal call leukaemic above 0.600, normal below 0.300"),
        (0.3, 1.0, "conformal call normal below 0.300"),
        (0.0, 0.6, "conformal call leukaemic above 0.600"),
        (0.0, 1.0, "no cell gets a conformal call"),
    ],
)
def test_a_conformal_call_that_is_impossible_is_not_promised(
    lower: float, upper: float, words: str
) -> None:
    assert Decision(conformal_lower=lower, conformal_upper=upper).describe_conformal() == words
