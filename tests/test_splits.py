import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukoscope.datasets.cnmc import CNMC
from leukoscope.errors import SplitError
from leukoscope.splits import SPLITS, Fold, Split, check_split, choose_stopping, make_split


def build_table(sizes: list[int], labels: list[str], groups: list[int]) -> pd.DataFrame:
    """One subject for each size, of the label and group at its place."""
    rows = [
        {"subject": f"S{place}", "label": label, "group": f"G{group}", "fold": f"fold_{place % 3}"}
        for place, (size, label, group) in enumerate(zip(sizes, labels, groups, strict=True))
        for _ in range(size)
    ]
    table = pd.DataFrame(rows)
    return table.assign(image=[f"{number}.bmp" for number in range(len(table))])


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    count = draw(st.integers(4, 25))
    sizes = draw(st.lists(st.integers(1, 40), min_size=count, max_size=count))
    labels = draw(
        st.lists(st.sampled_from(["leukaemic", "normal"]), min_size=count, max_size=count)
    )
    groups = draw(st.lists(st.integers(0, count), min_size=count, max_size=count))
    return build_table(sizes, labels, groups)


@settings(max_examples=150, deadline=None)
@given(tables(), st.integers(2, 5), st.integers(0, 3), st.sampled_from(["group-kfold", "fold-cv"]))
def test_no_group_is_ever_on_both_sides(
    table: pd.DataFrame, folds: int, seed: int, name: str
) -> None:
    try:
        split = make_split(table, name, folds=folds, seed=seed)
    except SplitError:
        return
    evaluated = []
    for fold in split.folds:
        groups = table["group"]
        assert not set(groups[fold.training]) & set(groups[fold.evaluated])
        assert not set(fold.training) & set(fold.removed)
        evaluated += list(fold.evaluated)
        together = {*fold.training, *fold.evaluated, *fold.removed}
        assert together == set(table.index)
    assert sorted(evaluated) == list(table.index)


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(0, 3))
def test_stopping_takes_whole_groups_and_leaves_both_classes(
    table: pd.DataFrame, seed: int
) -> None:
    try:
        stopping = choose_stopping(table, seed)
    except SplitError:
        return
    rest = table.index.difference(stopping)
    assert len(stopping) and len(rest)
    assert not set(table.loc[stopping, "group"]) & set(table.loc[rest, "group"])


def build_even() -> pd.DataFrame:
    random = np.random.default_rng(0)
    labels = ["leukaemic"] * 30 + ["normal"] * 20
    return build_table(list(random.integers(5, 200, 50)), labels, list(range(50)))


def test_folds_are_balanced_in_cells_and_people() -> None:
    table = build_even()
    for fold in make_split(table, "group-kfold", folds=5).folds:
        cells = table.loc[fold.evaluated]
        for label, people in (("leukaemic", 6), ("normal", 4)):
            of_class = cells[cells["label"] == label]
            assert abs(of_class["group"].nunique() - people) <= 1
            share = len(of_class) / (table["label"] == label).sum()
            assert share == pytest.approx(0.2, abs=0.05)


def test_seeds_give_different_folds_and_the_same_seed_the_same() -> None:
    table = build_even()
    first = [make_split(table, "group-kfold", seed=seed).folds[0].evaluated for seed in (0, 0, 1)]
    assert first[0].equals(first[1])
    assert len(build_table([5] * 10, ["leukaemic", "normal"] * 5, list(range(10)))) == 50


def test_fold_cv_takes_leaking_groups_out_of_training() -> None:
    table = build_table([10] * 8, ["leukaemic", "normal"] * 4, [0, 1, 2, 3, 4, 5, 0, 6])
    # S0 (fold_0) and S6 (fold_0) share G0; make S4 (fold_1) of G0 too
    table.loc[table["subject"] == "S4", "group"] = "G0"
    fold = make_split(table, "fold-cv").folds[0]
    assert set(table.loc[fold.removed, "subject"]) == {"S4"}


def test_official_evaluates_the_preliminary_test_alone() -> None:
    table = build_table([10] * 8, ["leukaemic", "normal"] * 4, [0, 1, 2, 3, 4, 5, 0, 6])
    table.loc[table["subject"].isin(["S6", "S7"]), "fold"] = "preliminary"
    (fold,) = make_split(table, "official", spec=CNMC).folds
    assert set(table.loc[fold.evaluated, "subject"]) == {"S6", "S7"}
    assert set(table.loc[fold.removed, "subject"]) == {"S0"}


def test_leaky_splits_are_marked_and_do_leak() -> None:
    table = build_table([20] * 10, ["leukaemic", "normal"] * 5, [0, 1, 0, 1, 2, 3, 4, 5, 6, 7])
    for name in ("random", "subject-name-kfold"):
        split = make_split(table, name, folds=3)
        assert split.leaky
        both = [
            set(table.loc[fold.training, "group"]) & set(table.loc[fold.evaluated, "group"])
            for fold in split.folds
        ]
        assert any(both)
    for name in ("group-kfold", "fold-cv"):
        assert not make_split(table, name, folds=3).leaky


def test_a_users_column_is_refused_where_it_leaks() -> None:
    table = build_table([20] * 8, ["leukaemic", "normal"] * 4, list(range(8)))
    table["site"] = np.where(table["subject"].isin(["S0", "S1", "S2"]), "here", "there")
    assert [fold.name for fold in make_split(table, "leave-one-group-out:site").folds] == [
        "site_here",
        "site_there",
    ]
    table.loc[table.index[0], "site"] = "there"
    with pytest.raises(SplitError, match="group G0 would be trained on and evaluated"):
        make_split(table, "leave-one-group-out:site")


def test_values_of_a_column_become_safe_names_of_folders() -> None:
    table = build_table([20] * 8, ["leukaemic", "normal"] * 4, list(range(8)))
    table["site"] = np.where(table["subject"].isin(["S0", "S1", "S2"]), "final", "../b")
    names = [fold.name for fold in make_split(table, "leave-one-group-out:site").folds]
    assert names == ["site_..%2Fb", "site_final"]


def test_a_cell_without_a_subject_is_refused() -> None:
    table = build_table([5] * 6, ["leukaemic", "normal"] * 3, list(range(6)))
    table.loc[3, ["subject", "group"]] = ""
    with pytest.raises(SplitError, match=r"3\.bmp: no subject"):
        make_split(table, "group-kfold")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("by-luck", "Unknown split"),
        ("leave-one-group-out:site", "no such column"),
        ("official", "no official labelled test set"),
        ("group-kfold", "cannot be dealt to 5 folds"),
    ],
)
def test_impossible_splits_say_why(name: str, words: str) -> None:
    table = build_table([9] * 6, ["leukaemic", "normal"] * 3, list(range(6)))
    with pytest.raises(SplitError, match=words):
        make_split(table, name)


def test_check_refuses_a_fold_of_one_class() -> None:
    table = build_table([5] * 4, ["leukaemic", "normal", "leukaemic", "normal"], list(range(4)))
    sick = table.index[table["label"] == "leukaemic"]
    rest = table.index.difference(sick)
    fold = Fold("x", sick, rest, table.index[:0])
    with pytest.raises(SplitError, match="one class"):
        check_split(table, Split("mine", (fold,), leaky=False))


def test_every_split_has_a_name_in_the_documentation() -> None:
    from pathlib import Path

    text = (Path(__file__).parents[1] / "docs" / "splits.md").read_text()
    assert [name for name in SPLITS if f"`{name}`" not in text] == []
