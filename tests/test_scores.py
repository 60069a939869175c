"""One contract for every score; the built-in ones are scikit-learn's."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from leukoscope.errors import SettingsError
from leukoscope.evaluation import compute_evaluation, find_score
from leukoscope.evaluation.cohort import Cohort, build_cohort, draw_group_counts
from leukoscope.evaluation.scores import (
    SCORES,
    compute_point_scores,
    compute_resampled_scores,
    find_scores,
)

OWN = """
import numpy as np
from leukoscope.evaluation import ScoreKind

youden = ScoreKind(
    "youden", "Youden's J", "higher", "both",
    lambda s: s.tp / (s.tp + s.fn) + s.tn / (s.tn + s.fp) - 1,
)
taken = ScoreKind("roc_auc", "Mine", "higher", "both", lambda s: s.tp)
short = ScoreKind("short", "Short", "higher", "both", lambda s: np.array(s.tp.sum()))

def plain(truth, probability):
    return 1.0
"""


@pytest.fixture
def own_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_scores_of_test.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)


def build_table(people: int = 24, cells: int = 15) -> pd.DataFrame:
    """Cells whose logits share their person's offset; some probabilities tie, two are 0 and 1."""
    random = np.random.default_rng(0)
    person = np.repeat(np.arange(people), cells)
    leukaemic = person % 2 == 0
    offset = np.where(leukaemic, 0.7, -0.7) + random.normal(0, 0.8, people)[person]
    probability = (1 / (1 + np.exp(-offset - random.normal(0, 1, len(person))))).round(2)
    probability[[0, 20]] = [1.0, 0.0]
    return pd.DataFrame(
        {
            "image": [f"{row}.bmp" for row in range(len(person))],
            "subject": person.astype(str),
            "label": np.where(leukaemic, "leukaemic", "normal"),
            "probability": probability,
        }
    )


def build_cohorts() -> dict[str, Cohort]:
    table = build_table()
    uneven = table[(table["subject"] != "3") | (table.index % 5 == 0)].reset_index(drop=True)
    uneven["threshold"] = np.where(uneven.index % 2, 0.45, 0.6)  # two networks, two thresholds
    cohort = build_cohort(uneven)
    assert (cohort.called == (uneven["probability"] >= uneven["threshold"])).all()
    one, none = np.ones(len(table)), np.zeros(len(table))
    return {
        "by cell": cohort,
        "by subject": cohort.weigh_by_subject(),
        "all called leukaemic": build_cohort(table.assign(probability=one)),
        "all called normal": build_cohort(table.assign(probability=none)),
        "all right": build_cohort(table.assign(probability=(table["label"] == "leukaemic") * 1.0)),
        "leukaemic alone": build_cohort(table[table["label"] == "leukaemic"]),
        "normal alone": build_cohort(table[table["label"] == "normal"]).weigh_by_subject(),
    }


COHORTS = build_cohorts()


def compute_with_sklearn(cohort: Cohort, weight: np.ndarray) -> dict[str, float]:
    truth, probability, called = cohort.leukaemic, cohort.probability, cohort.called
    common = {"sample_weight": weight}
    expected = {
        "roc_auc": metrics.roc_auc_score(truth, probability, **common),
        "pr_auc": metrics.average_precision_score(truth, probability, **common),
        "accuracy": metrics.accuracy_score(truth, called, **common),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, called, **common),
        "mcc": metrics.matthews_corrcoef(truth, called, **common),
        "brier": metrics.brier_score_loss(truth, probability, labels=[False, True], **common),
        "log_loss": metrics.log_loss(truth, probability, labels=[False, True], **common),
        "sensitivity": metrics.recall_score(truth, called, **common),
        "specificity": metrics.recall_score(truth, called, pos_label=0, **common),
    }
    for name in ("precision", "recall", "f1"):
        compute = getattr(metrics, f"{name}_score")
        expected[f"{name}_leukaemic"] = compute(truth, called, **common)
        expected[f"{name}_normal"] = compute(truth, called, pos_label=0, **common)
        expected[f"macro_{name}"] = compute(truth, called, average="macro", **common)
        expected[f"weighted_{name}"] = compute(truth, called, average="weighted", **common)
    gaps = [
        np.sum((weight * (probability - truth))[(low <= probability) & (probability < high)])
        for low, high in zip(np.arange(15) / 15, [*np.arange(1, 15) / 15, 1.1], strict=True)
    ]
    expected["ece"] = float(np.abs(gaps).sum() / weight.sum())
    return expected


def compute_defined(cohort: Cohort, weight: np.ndarray) -> dict[str, float]:
    """scikit-learn's scores; NaN where a score needs a class, or a call, that has no cells.

    scikit-learn gives 0, or warns, there.
    """
    truth, called = cohort.leukaemic, cohort.called
    present = {"leukaemic": truth.any(), "normal": (~truth).any()}
    present |= {"both": all(present.values()), "any": any(present.values())}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = compute_with_sklearn(cohort, weight)
    if called.all() or not called.any():
        missing = "normal" if called.all() else "leukaemic"
        undefined = ("mcc", f"precision_{missing}", "macro_precision", "weighted_precision")
        found |= dict.fromkeys(undefined, np.nan)
    return {kind.name: found[kind.name] if present[kind.classes] else np.nan for kind in SCORES}


@pytest.mark.parametrize("name", COHORTS)
def test_every_score_is_that_of_sklearn(name: str) -> None:
    cohort = COHORTS[name]
    counts = draw_group_counts(cohort, 12, seed=5)
    resampled = compute_resampled_scores(cohort, counts)
    assert set(resampled) == {kind.name for kind in SCORES}
    for row, drawn in enumerate(counts):
        weight = cohort.weight * drawn[cohort.group]
        for score, value in compute_defined(cohort, weight).items():
            assert resampled[score][row] == pytest.approx(value, abs=1e-12, nan_ok=True), score
    points = compute_point_scores(cohort)
    for score, value in compute_defined(cohort, cohort.weight).items():
        assert points[score] == pytest.approx(value, abs=1e-12, nan_ok=True), score


@pytest.mark.parametrize("name", [*(kind.name for kind in SCORES), "own_scores_of_test:youden"])
def test_contract(name: str, own_scores: None) -> None:
    kinds = find_scores([name] if ":" in name else [])
    kind = kinds[-1] if ":" in name else next(kind for kind in kinds if kind.name == name)
    assert kind.title and kind.direction in ("higher", "lower")
    cohort = COHORTS["by cell"]
    counts = draw_group_counts(cohort, 5, seed=1)
    values = compute_resampled_scores(cohort, counts, [kind])[kind.name]
    assert values.shape == (5,) and np.isfinite(values).all()
    assert np.isfinite(compute_point_scores(cohort, [kind])[kind.name])
    again = compute_resampled_scores(cohort, 2 * counts, [kind])[kind.name]
    np.testing.assert_allclose(again, values)  # the same for all cells twice: a score is not a sum
    best = compute_point_scores(COHORTS["all right"], [kind])[kind.name]
    assert (best >= values.max()) if kind.direction == "higher" else (best <= values.min())
    for missing, left in (("leukaemic", "normal alone"), ("normal", "leukaemic alone")):
        value = compute_point_scores(COHORTS[left], [kind])[kind.name]
        assert np.isnan(value) == (kind.classes in (missing, "both"))
    empty = build_cohort(build_table().iloc[:0])
    assert np.isnan(compute_point_scores(empty, [kind])[kind.name])


def test_an_own_score_is_reported_beside_the_others(own_scores: None) -> None:
    table = build_table()
    found = compute_evaluation(table, n_bootstrap=50, scores=["own_scores_of_test:youden"])
    usual = compute_evaluation(table, n_bootstrap=50)
    assert found.by_cell[:-1] == usual.by_cell
    own = find_score(found.by_subject, "youden")
    balanced = find_score(usual.by_subject, "balanced_accuracy")
    for mine, theirs in ((own.value, balanced.value), (own.low, balanced.low)):
        assert mine == pytest.approx(2 * theirs - 1)
    assert find_score(found.baselines[0].by_cell, "youden").value == pytest.approx(0)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("roc_auc", "The built-in ones are always computed"),
        ("own_scores_of_test:plain", "of type function. Expected a ScoreKind"),
        ("own_scores_of_test:taken", "the name 'roc_auc' is taken"),
        ("own_scores_of_test:yuoden", r"has no yuoden\. Did you mean youden\?"),
        ("own_scores_of_test:short", r"short gave an array of shape \(\)\. Expected \(1,\)"),
    ],
)
def test_invalid_scores_are_refused(path: str, words: str, own_scores: None) -> None:
    with pytest.raises(SettingsError, match=words):
        compute_evaluation(build_table(), n_bootstrap=5, scores=[path])
