"""Subjects: shares, intervals, and that no subject calibrates itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukoscope.errors import DataError
from leukoscope.evaluation.aggregate import (
    MIN_CELLS,
    NO_CALL,
    TOO_FEW,
    TOO_STRANGE,
    aggregate_subjects,
    compute_wilson,
    find_line,
    fit_subject_line,
)
from leukoscope.inference.model import Classifier, find_shipped_model
from leukoscope.predictions import read_answers
from leukoscope.records import SubjectLine
from test_cli import fail, run


def build_table(people: int = 16, cells: int = 25, separation: float = 1.0) -> pd.DataFrame:
    """Every second person leukaemic; four folds, a person in one of them."""
    random = np.random.default_rng(0)
    rows = []
    for person in range(people):
        leukaemic = person % 2 == 0
        middle = separation * (1 if leukaemic else -1) + random.normal(0, 0.8)
        logits = middle + random.normal(0, 1, cells)
        rows += [
            {
                "image": f"{person}-{cell}.bmp",
                "subject": str(person),
                "label": "leukaemic" if leukaemic else "normal",
                "probability": 1 / (1 + np.exp(-logit)),
                "called": logit > 0,
                "fold": f"kfold_{person // 2 % 4}",
                "group": str(person),
                "leaky": False,
            }
            for cell, logit in enumerate(logits)
        ]
    return pd.DataFrame(rows)


def flip(table: pd.DataFrame, who: pd.Series) -> pd.DataFrame:
    other = table["label"].map({"leukaemic": "normal", "normal": "leukaemic"})
    return table.assign(label=table["label"].where(~who, other))


def get_probability(table: pd.DataFrame, reference: pd.DataFrame | None = None) -> pd.Series:
    rows = aggregate_subjects(table, reference, n_bootstrap=10).table
    return rows.set_index("subject")["probability"]


def test_wilson_is_as_published() -> None:
    assert compute_wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert compute_wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert compute_wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998
    assert compute_wilson(0, 0) == (0, 1)


def test_a_row_holds_its_own_cells() -> None:
    table = build_table()
    rows = aggregate_subjects(table, n_bootstrap=10).table.set_index("subject")
    own = table[table["subject"] == "3"]
    assert rows.loc["3", "cells"] == 25
    assert rows.loc["3", "share"] == pytest.approx(own["called"].mean())
    assert rows.loc["3", "share_low"] < rows.loc["3", "share"] < rows.loc["3", "share_high"]
    assert rows.loc["3", "mean_probability"] == pytest.approx(own["probability"].mean())
    logit = np.log(own["probability"] / (1 - own["probability"])).mean()
    assert rows.loc["3", "mean_logit"] == pytest.approx(logit)
    assert rows["mean_logit"].is_monotonic_decreasing


def test_probabilities_follow_the_mean_and_are_near_the_true_ones() -> None:
    summary = aggregate_subjects(build_table(people=40), n_bootstrap=10)
    rows = summary.table
    assert rows["probability"].corr(rows["mean_logit"], method="spearman") > 0.95
    assert rows["probability"].mean() == pytest.approx(0.5, abs=0.05)
    right = (rows["call"] == rows["label"]).mean()
    assert right > 0.8


def test_a_fold_is_not_calibrated_on_its_own_people() -> None:
    table = build_table()
    own = table["fold"] == "kfold_1"
    before, after = get_probability(table), get_probability(flip(table, own))
    inside = table.loc[own, "subject"].unique()
    assert np.allclose(before[inside], after[inside])
    assert not np.allclose(before.drop(inside), after.drop(inside))


def test_without_folds_nobody_is_calibrated_on_themselves_under_any_name() -> None:
    table = build_table().drop(columns="fold")
    table["group"] = table["group"].replace({"2": "0"})  # 0 and 2 are one person
    own = table["group"] == "0"
    before, after = get_probability(table), get_probability(flip(table, own))
    assert np.allclose(before[["0", "2"]], after[["0", "2"]])
    assert not np.allclose(before["5"], after["5"])


def test_another_table_calibrates_but_for_the_people_it_shares() -> None:
    reference = build_table()
    reference["group"] = reference["group"].replace({"0": "2"})  # 0 and 2 are one
    new = reference[reference["subject"].isin(["0", "1"])].drop(columns=["label", "fold", "group"])
    summary = aggregate_subjects(new, reference, n_bootstrap=10)
    assert set(summary.table["call"]) <= {"leukaemic", "normal"}
    assert summary.scores == () and "of the other table" in summary.calibration
    before = get_probability(new, reference)
    flipped = get_probability(new, flip(reference, reference["group"] == "2"))
    assert np.allclose(before["0"], flipped["0"]) and not np.allclose(before["1"], flipped["1"])


def test_a_call_needs_twenty_cells() -> None:
    table = build_table(cells=MIN_CELLS)
    short = table.drop(index=table.index[0])  # subject 0 has 19 left
    for one, call in ((table, {"leukaemic", "normal"}), (short, {TOO_FEW})):
        summary = aggregate_subjects(one, n_bootstrap=10)
        assert set(summary.table.set_index("subject").loc[["0"], "call"]) <= call
        assert summary.scored == 16 - (call == {TOO_FEW})
    assert "1 of 16 subjects have under 20 cells" in " ".join(summary.notes)


def test_without_labels_there_is_no_probability_and_no_call() -> None:
    summary = aggregate_subjects(build_table().drop(columns="label"))
    assert summary.table["probability"].isna().all()
    assert set(summary.table["call"]) == {NO_CALL} and summary.scores == ()
    assert "no labels" in summary.calibration
    one_class = build_table()
    one_class = one_class[one_class["label"] == "normal"]
    assert set(aggregate_subjects(one_class, n_bootstrap=10).table["call"]) == {NO_CALL}


def test_scores_are_of_subjects_with_intervals_over_people() -> None:
    clear = aggregate_subjects(build_table(separation=6), n_bootstrap=200)
    assert [score.name for score in clear.scores] == ["sensitivity", "specificity", "roc_auc"]
    assert [score.value for score in clear.scores] == [1, 1, 1]
    assert [score.n_subjects for score in clear.scores] == [8, 8, 16]
    table = build_table(people=40, separation=0.4)
    names = table.assign(group=(table["subject"].astype(int) // 10 * 2).astype(str))
    names["group"] += names["label"]  # forty names, eight people
    auc, joined = (
        aggregate_subjects(one, n_bootstrap=500).scores[2]
        for one in (table, names.assign(fold="a"))
    )
    assert auc.low is not None and auc.high is not None and auc.value is not None
    assert 0 <= auc.low < auc.value < auc.high <= 1
    assert joined.low is not None and joined.high is not None
    assert "40 subject names are 8 people" in " ".join(aggregate_subjects(names).notes)


def test_caveats_are_reported() -> None:
    table = build_table()
    assert aggregate_subjects(table, n_bootstrap=10).notes == ()
    leaky = " ".join(aggregate_subjects(table.assign(leaky=True), n_bootstrap=10).notes)
    assert "Leaky split" in leaky
    unknown = aggregate_subjects(table.drop(columns=["leaky", "group"]), n_bootstrap=10).notes
    assert "not recorded" in " ".join(unknown) and "treated as one person" in " ".join(unknown)
    mixed = flip(table, table.index.to_series() == 0)
    summary = aggregate_subjects(mixed, n_bootstrap=10)
    assert "both labels" in " ".join(summary.notes) and summary.scored == 15


# --- reading


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_output_of_predict_is_read_with_its_calls(tmp_path: Path) -> None:
    text = (
        "image,probability,call,warnings\n"
        "all/UID_07_1_1_all.bmp,0.600000,normal,\n"
        "UID_07_1_2_all.bmp,0.800000,leukaemic,\n"
        "broken.bmp,,error,truncated or damaged\n"
    )
    path = write(tmp_path / "answers.csv", text)
    table = read_answers(path)
    assert table["subject"].tolist() == ["07", "07"] and "label" not in table
    assert table["called"].tolist() == [False, True]
    assert read_answers(path, threshold=0.5)["called"].tolist() == [True, True]


def test_thresholds_of_the_table_are_kept(tmp_path: Path) -> None:
    text = "image,subject,label,probability,threshold\na,1,all,0.6,0.7\nb,1,all,0.6,0.5\n"
    assert read_answers(write(tmp_path / "a.csv", text))["called"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,probability,call\ncell.bmp,0.5,normal\n", "the cells have no subject"),
        ("image,call\nUID_1_1_1_all.bmp,normal\n", "expected the columns image and probability"),
        ("image,subject,probability\na,1,1.5\n", "a number from 0 to 1"),
        ("image,subject,probability\na,1,\n", "a number from 0 to 1"),
        ("image,subject,probability\na,1,0.5\na,1,0.5\n", "every image once"),
        ("image,subject,label,probability\na,1,cat,0.5\n", "'cat'"),
        ("image,probability,call\na,,error\n", "no cell with a probability"),
        ("image,subject,probability\n", "no cell with a probability"),
        ("", "cannot be parsed"),
    ],
)
def test_tables_that_cannot_be_aggregated(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read_answers(write(tmp_path / "a.csv", text))


# --- the command


def test_the_command_prints_and_writes_a_row_a_subject(tmp_path: Path) -> None:
    table, out = tmp_path / "labelled.csv", tmp_path / "subjects.csv"
    build_table().drop(columns="called").to_csv(table, index=False)
    done = run("aggregate", table, "--out", out, "--n-bootstrap", 100)
    for words in ("Sensitivity", "Specificity", "ROC-AUC", "never on the subject itself"):
        assert words in done.stdout
    assert "not a medical device" in done.stdout
    rows = pd.read_csv(out, dtype={"subject": str})
    assert len(rows) == 16 and rows["probability"].between(0, 1).all()
    plain = tmp_path / "plain.csv"
    build_table().drop(columns=["label", "fold", "group", "called"]).to_csv(plain, index=False)
    done = run("aggregate", plain)
    assert "if another model" in " ".join(done.stdout.split()) and "Sensitivity" not in done.stdout
    done = run("aggregate", plain, "--calibrate", table)
    assert "no call" not in done.stdout


def test_what_the_command_refuses(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", "image,probability,call\ncell.bmp,0.5,normal\n")
    assert "the cells have no subject" in fail("aggregate", table)
    assert "no such run or table" in fail("aggregate", tmp_path / "gone.csv")
    assert "not a run" in fail("aggregate", tmp_path)
    good = write(tmp_path / "b.csv", "image,subject,probability\na,1,0.5\n")
    assert "no column label" in fail("aggregate", good, "--calibrate", good)
    assert "a folder" in fail("aggregate", good, "--out", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv"]


def test_a_table_without_labels_uses_the_models_calibration() -> None:
    known, new = build_table(people=40), build_table(people=12, separation=2.0)
    line = fit_subject_line(known)
    assert line is not None and (line.names, line.leukaemic) == (40, 20)
    blind = aggregate_subjects(new.drop(columns=["label", "fold"]), line=line, n_bootstrap=10)
    truth = new.groupby("subject")["label"].first()
    rows = blind.table.set_index("subject")
    assert (rows["call"] == truth[rows.index]).mean() > 0.8
    logit = np.log(rows["probability"] / (1 - rows["probability"]))
    assert logit.to_numpy() == pytest.approx(line.slope * rows["mean_logit"] + line.intercept)
    assert "40 subject names that the model was tested on" in blind.calibration
    # a table's own people are nearer than the model's
    own = aggregate_subjects(new, line=line, n_bootstrap=10)
    assert "other folds" in own.calibration


def test_one_class_makes_no_line() -> None:
    assert fit_subject_line(build_table().assign(label="normal")) is None


def test_a_subject_whose_cells_have_warnings_is_not_called() -> None:
    table = build_table().assign(warnings="")
    own = table.index[table["subject"] == "2"]
    table.loc[own[:12], "warnings"] = "odd"
    assert TOO_STRANGE not in set(aggregate_subjects(table, n_bootstrap=10).table["call"])
    table.loc[own[12], "warnings"] = "odd"  # 13 of 25
    found = aggregate_subjects(table, n_bootstrap=10)
    rows = found.table.set_index("subject")
    assert rows.loc["2", ["warned", "call"]].tolist() == [13, TOO_STRANGE]
    assert (rows["call"] == TOO_STRANGE).sum() == 1 and found.scored == 15
    assert "more than half of the cells carry a warning" in " ".join(found.notes)


def test_the_calibration_of_another_model_is_not_taken() -> None:
    classifier = Classifier(find_shipped_model())
    metadata, name = classifier.metadata, classifier.name
    assert metadata.subjects is not None
    line = metadata.subjects.line
    own = pd.DataFrame({"model": [name] * 3})
    assert find_line(own, metadata, name, given=True) == line
    assert find_line(own, metadata, name, given=False) == line
    for other in (own.assign(model="texture-0"), own.assign(model=[name, name, "texture-0"])):
        assert find_line(other, metadata, name, given=False) is None
        with pytest.raises(DataError, match=r"by.* texture-0.*; `model` is texture-"):
            find_line(other, metadata, name, given=True)


def test_the_calls_tell_models_apart_in_tables_of_older_versions() -> None:
    metadata = Classifier(find_shipped_model()).metadata
    decision = metadata.decision
    own = pd.DataFrame({"threshold": [decision.threshold] * 3})
    for table in (own, own.assign(threshold=decision.sensitive_threshold), own[[]]):
        assert find_line(table, metadata, "texture-0", given=False)
    other = own.assign(threshold=0.591, model="")
    assert find_line(other, metadata, "texture-0", given=False) is None
    assert find_line(other, metadata, "texture-0", given=True)  # the user knows


@pytest.mark.parametrize(("intercept", "called"), [(2.0, False), (-2.0, True)])
def test_a_call_that_no_cell_is_for_is_none(intercept: float, called: bool) -> None:
    """A line that tells nothing gives every subject the share of leukaemic subjects."""
    table = pd.DataFrame(
        {
            "image": [f"{n}.png" for n in range(50)],
            "subject": ["a"] * 25 + ["b"] * 25,
            "probability": [0.4] * 50,
            "called": [called] * 25 + [not called] + [called] * 24,
        }
    )
    found = aggregate_subjects(table, line=SubjectLine(0.0, intercept, 9, 6))
    calls = found.table.set_index("subject")["call"]
    assert calls["a"] == NO_CALL and calls["b"] == ("leukaemic" if intercept > 0 else "normal")
    assert "1 of 2 subjects have a probability for the class that not one" in " ".join(found.notes)
