"""Intervals against known values, and what is not defined."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from leukoscope import evaluation
from leukoscope.errors import DataError, SettingsError
from leukoscope.evaluation import (
    FEW_PEOPLE,
    NOT_DEFINED,
    compute_curves,
    compute_evaluation,
    compute_reliability,
    compute_size_probability,
    find_score,
    list_confident_errors,
    write_metrics,
)
from leukoscope.evaluation.cohort import Cohort, build_cohort, draw_group_counts
from leukoscope.evaluation.intervals import View, compute_view
from leukoscope.evaluation.leaks import compute_leak_status


def build_table(
    people: int = 24, cells: int = 15, seed: int = 0, spread: float = 0.8
) -> pd.DataFrame:
    """Cells whose logits share their person's offset; some probabilities tie."""
    random = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        leukaemic = person % 2 == 0
        offset = (0.7 if leukaemic else -0.7) + random.normal(0, spread)
        logits = offset + random.normal(0, 1, cells)
        for cell, probability in enumerate((1 / (1 + np.exp(-logits))).round(2)):
            rows.append(
                {
                    "image": f"{person}_{cell}.bmp",
                    "subject": str(person),
                    "label": "leukaemic" if leukaemic else "normal",
                    "probability": probability,
                    "area": float(random.lognormal(9 + 0.2 * leukaemic, 0.2)),
                }
            )
    return pd.DataFrame(rows)


def test_abstention_is_resampled_by_person() -> None:
    table = build_table().assign(novelty=0.5)
    table.loc[table["subject"] == "3", "novelty"] = 1.5
    sure = np.where(table["probability"] < 0.3, "normal", "uncertain")
    table["conformal_call"] = np.where(table["probability"] > 0.7, "leukaemic", sure)
    found = compute_evaluation(table, n_bootstrap=200).abstention
    is_sure = table["conformal_call"] != "uncertain"
    share, accuracy = found.sure
    assert share.value == pytest.approx(is_sure.mean())
    assert accuracy.value == pytest.approx(
        (table["conformal_call"] == table["label"])[is_sure].mean()
    )
    assert accuracy.low < accuracy.value < accuracy.high
    kept = (table["conformal_call"] == table["label"]) | ~is_sure
    leukaemic = table["label"] == "leukaemic"
    assert find_score(found.coverage, "coverage_leukaemic").value == pytest.approx(
        kept[leukaemic].mean()
    )
    assert find_score(found.coverage, "coverage_normal").value == pytest.approx(
        kept[~leukaemic].mean()
    )
    assert find_score(found.unusual, "unusual").value == pytest.approx(1 / 24)
    own = table[table["subject"] == "3"]
    right = (own["probability"] >= 0.5) == (own["label"] == "leukaemic")
    assert find_score(found.unusual, "unusual_accuracy").value == pytest.approx(right.mean())


def test_predictions_in_context_are_scored_separately() -> None:
    table = build_table()
    without = compute_evaluation(table, n_bootstrap=50)
    truth = (table["label"] == "leukaemic").astype(float)
    told = table.assign(context_probability=truth * 0.4 + 0.2, context_threshold=0.6)
    found = compute_evaluation(told, n_bootstrap=50)
    assert without.context_by_cell == () and found.by_cell == without.by_cell
    assert find_score(found.context_by_cell, "roc_auc").value == 1
    assert find_score(found.context_by_subject, "sensitivity").value == 1
    half = compute_evaluation(told.assign(context_threshold=0.61), n_bootstrap=50)
    assert find_score(half.context_by_cell, "sensitivity").value == 0


def test_the_cells_nearest_their_threshold_are_excluded_first() -> None:
    table = build_table().assign(threshold=0.4)
    found = compute_evaluation(table, n_bootstrap=50).abstention
    assert found.sure == found.coverage == found.unusual == ()
    assert [row.share for row in found.left_out] == [0, 0.1, 0.2, 0.3]
    logit = np.log(table["probability"] / (1 - table["probability"]))
    doubt = (logit - np.log(0.4 / 0.6)).abs()
    kept = doubt.sort_values(kind="stable").index[round(0.3 * len(table)) :]
    right = (table["probability"] >= 0.4) == (table["label"] == "leukaemic")
    assert found.left_out[3].accuracy.value == pytest.approx(right[kept].mean())
    assert found.left_out[3].accuracy.value > found.left_out[0].accuracy.value


def test_resamples_keep_both_classes_and_draw_whole_groups() -> None:
    table = build_table().assign(group=lambda t: t["subject"].replace({"2": "0", "4": "0"}))
    cohort = build_cohort(table)
    counts = draw_group_counts(cohort, 300, seed=1)
    leukaemic = np.unique(cohort.group[cohort.leukaemic])
    assert counts.shape == (300, 22)
    assert (counts[:, leukaemic].sum(axis=1) == 10).all()
    assert (counts.sum(axis=1) == 22).all()
    assert counts[:, 0].std() > 0
    assert (draw_group_counts(cohort, 300, seed=1) == counts).all()


def simulate_view(seed: int, by_cell: bool = False) -> View:
    """Sensitivity of 40 people whose own rates are Beta(4, 2): the true value is 2/3."""
    random = np.random.default_rng(seed)
    people, cells = 40, 12
    right = random.random((people, cells)) < random.beta(4, 2, (people, 1))
    rows = np.arange(people * cells)
    cohort = Cohort(
        leukaemic=np.ones(people * cells, dtype=bool),
        probability=np.where(right, 0.9, 0.1).ravel(),
        called=right.ravel(),
        subject=rows // cells,
        group=rows if by_cell else rows // cells,
        weight=np.ones(people * cells),
        groups=people * cells if by_cell else people,
    )
    return compute_view(cohort, draw_group_counts(cohort, 200, seed))


def get_limits(view: View) -> tuple[float, float]:
    score = view.get("sensitivity")
    assert score.low is not None and score.high is not None
    return score.low, score.high


def test_intervals_have_their_nominal_coverage() -> None:
    limits = np.array([get_limits(simulate_view(seed)) for seed in range(100)])
    covered = np.count_nonzero((limits[:, 0] <= 2 / 3) & (limits[:, 1] >= 2 / 3))
    assert 88 <= covered <= 99
    known_error = np.sqrt((8 / 252 + (8 / 42) / 12) / 40)  # between people, within people
    assert np.diff(limits).mean() / known_error == pytest.approx(2 * 1.96, rel=0.1)


def test_cells_of_one_person_are_not_treated_as_independent() -> None:
    by_person, by_cell = simulate_view(3), simulate_view(3, by_cell=True)
    assert by_person.get("sensitivity").value == by_cell.get("sensitivity").value
    assert np.diff(get_limits(by_person)) > 1.3 * np.diff(get_limits(by_cell))


def test_joined_names_widen_the_interval() -> None:
    table = build_table(people=24, spread=1.5)
    joined = table.assign(group=(table["subject"].astype(int) % 6).astype(str))
    apart = find_score(compute_evaluation(table, n_bootstrap=400).by_cell, "roc_auc")
    together = find_score(compute_evaluation(joined, n_bootstrap=400).by_cell, "roc_auc")
    assert apart.value == together.value
    assert (apart.low, apart.high) != (together.low, together.high)
    assert compute_evaluation(joined, n_bootstrap=10).counts.people == 6


def test_weighing_by_subject_undoes_one_huge_subject() -> None:
    """Four subjects of 10 cells are right, one of 960 wrong: 40 of 1000 cells, 4 of 5 subjects."""
    sizes = [("1", 10, 0.9), ("2", 10, 0.9), ("3", 960, 0.2), ("H1", 10, 0.1), ("H2", 10, 0.1)]
    table = pd.DataFrame(
        [
            (f"{subject}_{i}", subject, "hem" if subject[0] == "H" else "all", probability)
            for subject, cells, probability in sizes
            for i in range(cells)
        ],
        columns=["image", "subject", "label", "probability"],
    )
    found = compute_evaluation(table, n_bootstrap=50)
    assert find_score(found.by_cell, "accuracy").value == pytest.approx(0.04)
    assert find_score(found.by_subject, "accuracy").value == pytest.approx(0.8)
    assert find_score(found.by_subject, "sensitivity").value == pytest.approx(2 / 3)
    assert found.counts.largest_subject == "3"
    assert found.counts.largest_subject_share == pytest.approx(0.96)
    assert found.subject_auc.value == 1.0


def test_a_class_without_cells_is_not_a_quiet_0() -> None:
    table = build_table()
    found = compute_evaluation(table[table["label"] == "leukaemic"], n_bootstrap=50)
    for score in (*found.by_cell, found.subject_auc):
        if score.name in (
            "sensitivity",
            "recall_leukaemic",
            "accuracy",
            "brier",
            "log_loss",
            "ece",
        ):
            assert score.value is not None and score.low is not None, score.name
        else:
            assert (score.value, score.low, score.reason) == (None, None, NOT_DEFINED), score.name
    assert find_score(found.by_cell, "specificity").n_cells == 0
    assert compute_curves(table[table["label"] == "leukaemic"]) == ()


def test_an_empty_table_defines_nothing() -> None:
    found = compute_evaluation(build_table().iloc[:0], n_bootstrap=10)
    assert {score.reason for score in found.by_cell} == {NOT_DEFINED}
    assert found.counts.cells == 0 and found.subjects == ()


def test_one_person_in_a_class_has_no_interval() -> None:
    table = build_table()
    few = table[(table["label"] == "normal") | (table["subject"] == "2")]
    found = compute_evaluation(few, n_bootstrap=50)
    auc = find_score(found.by_cell, "roc_auc")
    assert auc.value is not None and auc.low is None and auc.reason == FEW_PEOPLE
    assert find_score(found.by_cell, "specificity").low is not None
    assert found.baselines[1].differences_by_cell[0].low is None


def test_calls_of_one_class_have_no_precision_for_the_other() -> None:
    found = compute_evaluation(build_table(), n_bootstrap=50).baselines[0]
    assert find_score(found.by_cell, "specificity").value == 0
    assert find_score(found.by_cell, "roc_auc").value == 0.5
    assert find_score(found.by_cell, "precision_normal").reason == NOT_DEFINED
    assert find_score(found.by_cell, "mcc").value is None


def test_the_size_baseline_depends_on_what_is_known() -> None:
    table = build_table()
    ranked = compute_evaluation(table, n_bootstrap=50).baselines[1]
    assert ranked.status == "not fitted"
    assert {score.name for score in ranked.by_cell} == {"roc_auc", "pr_auc"}
    truth = table["label"] == "leukaemic"
    expected = metrics.roc_auc_score(truth, table["area"])
    assert find_score(ranked.by_cell, "roc_auc").value == pytest.approx(expected)

    fitted = table.assign(
        area_probability=compute_size_probability(table["area"], table["label"], table["area"])
    )
    size = compute_evaluation(fitted, n_bootstrap=50).baselines[1]
    assert size.status == "available"
    assert find_score(size.by_cell, "roc_auc").value == pytest.approx(expected)
    assert find_score(size.by_cell, "weighted_f1").low is not None

    unknown = compute_evaluation(table.drop(columns="area"), n_bootstrap=50).baselines[1]
    assert unknown.status == "not available" and unknown.by_cell == ()


def test_differences_are_paired() -> None:
    """A baseline with the network's own probabilities differs by exactly 0, interval and all."""
    table = build_table().assign(area_probability=lambda t: t["probability"])
    size = compute_evaluation(table, n_bootstrap=200).baselines[1]
    assert [(d.value, d.low, d.high) for d in size.differences_by_cell] == [(0, 0, 0)] * 3
    assert [d.name for d in size.differences_by_subject] == [
        "roc_auc",
        "weighted_f1",
        "balanced_accuracy",
    ]


def test_size_probability_follows_the_log_of_the_area() -> None:
    areas = np.array([100.0, 110, 120, 200, 210, 220])
    labels = ["hem"] * 3 + ["all"] * 3
    small, middle, large = compute_size_probability(areas, labels, [50.0, 150.0, 450.0])
    assert small < 0.05 < middle < 0.95 < large
    with pytest.raises(DataError, match="one class"):
        compute_size_probability([1.0, 2.0], ["all", "all"], [1.0])
    with pytest.raises(DataError, match="above 0"):
        compute_size_probability([0.0, 2.0], ["all", "hem"], [1.0])


def test_folds_are_scored_separately() -> None:
    table = build_table().assign(fold=lambda t: (t["subject"].astype(int) // 12).astype(str))
    found = compute_evaluation(table, n_bootstrap=50)
    assert [(fold.fold, fold.cells, fold.subjects) for fold in found.folds] == [
        ("0", 180, 12),
        ("1", 180, 12),
    ]
    own = table[table["fold"] == "1"]
    expected = metrics.roc_auc_score(own["label"] == "leukaemic", own["probability"])
    assert find_score(found.folds[1].scores, "roc_auc").value == pytest.approx(expected)


def test_leaks_are_declared_or_found() -> None:
    table = build_table()
    assert compute_leak_status(table).status == "unknown"
    clean = table.assign(leaky=False, split="people")
    assert compute_leak_status(clean).status == "clean"
    leaky = compute_leak_status(table.assign(leaky=table.index < 3))
    assert (leaky.status, leaky.leaking_cells) == ("leaky", 3)
    assert f"3 of {len(table)} cells" in leaky.statement

    folds = np.where(table.index % 15 < 14, "0", "1")
    assert compute_leak_status(table.assign(fold=folds)).leaking_cells == len(table)
    assert compute_leak_status(clean.assign(fold=folds)).status == "clean"

    hashes = [f"{i:032x}" for i in range(len(table))]
    hashes[-1] = hashes[0]
    repeated = compute_leak_status(clean.assign(pixel_hash=hashes))
    assert (repeated.status, repeated.repeated_cells) == ("clean", 1)
    halves = (table["subject"].astype(int) // 12).astype(str)
    twice = compute_leak_status(table.assign(pixel_hash=hashes, fold=halves))
    assert (twice.status, twice.leaking_cells) == ("leaky", 2)


def test_confident_errors_are_the_incorrectly_classified_cells_most_confident_first() -> None:
    table = pd.DataFrame(
        {
            "image": ["a", "b", "c", "d"],
            "subject": ["1", "1", "2", "2"],
            "label": ["leukaemic", "leukaemic", "normal", "normal"],
            "probability": [0.4, 0.9, 0.95, 0.2],
        }
    )
    errors = list_confident_errors(table)
    assert list(errors["image"]) == ["c", "a"]
    assert list(errors["call"]) == ["leukaemic", "normal"]
    assert list(errors["confidence"]) == pytest.approx([0.95, 0.6])
    assert list(list_confident_errors(table, n=1)["image"]) == ["c"]
    strict = list_confident_errors(table.assign(threshold=[0.3, 0.5, 0.96, 0.5]))
    assert list(strict["image"]) == []


def test_reliability_bins_hold_every_cell() -> None:
    table = build_table().assign(probability=lambda t: t["probability"].where(t.index > 0, 1.0))
    bins = compute_reliability(table)
    assert sum(b.cells for b in bins) == len(table)
    assert all(b.low - 1e-9 <= b.mean_probability <= b.high + 1e-9 for b in bins)


def test_curves_end_where_they_should() -> None:
    cell, subject, size = compute_curves(build_table())
    for curve in (cell, subject, size):
        assert (curve.false_positive[0], curve.true_positive[-1]) == (0, 1)
    assert metrics.auc(cell.false_positive, cell.true_positive) == pytest.approx(
        find_score(compute_evaluation(build_table(), n_bootstrap=5).by_cell, "roc_auc").value
    )


def test_metrics_are_json_without_nan(tmp_path: Path) -> None:
    table = build_table()
    found = compute_evaluation(table[table["label"] == "normal"], n_bootstrap=20)
    write_metrics(found, tmp_path / "metrics.json")
    text = (tmp_path / "metrics.json").read_text()
    assert "NaN" not in text
    read = json.loads(text)
    assert read == found.to_json()
    auc = next(score for score in read["by_cell"] if score["name"] == "roc_auc")
    assert auc["value"] is None and auc["reason"] == NOT_DEFINED


def test_the_same_seed_gives_the_same_numbers() -> None:
    table = build_table()
    assert compute_evaluation(table, n_bootstrap=30) == compute_evaluation(table, n_bootstrap=30)
    other = compute_evaluation(table, n_bootstrap=30, seed=1)
    assert other.by_cell != compute_evaluation(table, n_bootstrap=30).by_cell


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"threshold from 0 to 1; received 1\.5"):
        compute_evaluation(build_table(), threshold=1.5)
    with pytest.raises(SettingsError, match="1 resample"):
        compute_evaluation(build_table(), n_bootstrap=0)


def test_thresholds_are_the_received_one_else_the_rows_own_else_a_half() -> None:
    table = build_table()
    own = table.assign(threshold=np.where(table["subject"].astype(int) < 11, 0.3, 0.7))
    assert compute_evaluation(table, n_bootstrap=5).thresholds == (0.5, 0.5)
    assert compute_evaluation(own, n_bootstrap=5).thresholds == (0.3, 0.7)
    found = compute_evaluation(own, n_bootstrap=5)
    called = own["probability"] >= own["threshold"]
    assert found.confusion["leukaemic"]["leukaemic"] == int(
        (called & (own["label"] == "leukaemic")).sum()
    )
    given = compute_evaluation(own, threshold=0.4, n_bootstrap=5)
    assert given.thresholds == (0.4, 0.4)
    assert given.confusion == compute_evaluation(table, threshold=0.4, n_bootstrap=5).confusion


def test_the_sensitive_point_is_scored_beside_the_first() -> None:
    table = build_table().assign(sensitive_threshold=0.2)
    assert compute_evaluation(build_table(), n_bootstrap=5).sensitive == ()
    found, spared = compute_evaluation(table, n_bootstrap=50).sensitive
    leukaemic = table["label"] == "leukaemic"
    called = table["probability"] >= 0.2
    assert (found.name, spared.name) == ("sensitivity", "specificity")
    assert found.value == pytest.approx(called[leukaemic].mean())
    assert spared.value == pytest.approx((~called)[~leukaemic].mean())
    assert found.low is not None and found.low < found.value


def test_size_alone_has_its_own_threshold() -> None:
    table = build_table().assign(area_probability=0.6)
    size = compute_evaluation(table, n_bootstrap=5).baselines[-1]
    strict = compute_evaluation(table.assign(area_threshold=0.7), n_bootstrap=5).baselines[-1]
    assert find_score(size.by_cell, "specificity").value == 0
    assert find_score(strict.by_cell, "specificity").value == 1


def test_importing_evaluate_stays_light() -> None:
    code = (
        "import sys, leukoscope.evaluation;"
        "print(sorted({'tensorflow', 'keras', 'matplotlib', 'seaborn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_exports_change_only_by_decision() -> None:
    found = {name for name, value in vars(evaluation).items() if not isinstance(value, ModuleType)}
    assert {name for name in found if not name.startswith("_")} == set(evaluation.__all__)


def test_a_score_below_chance_asks_whether_the_classes_are_exchanged() -> None:
    table = build_table()
    assert not [note for note in compute_evaluation(table).notes if "below chance" in note]
    turned = table.assign(probability=1 - table["probability"])
    assert "is below chance" in compute_evaluation(turned).notes[0]
