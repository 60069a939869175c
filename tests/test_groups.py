"""A file of groups: its format, what it overrides, and its effect on splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukoscope.catalogue import Catalogue, read_catalogue, select_usable
from leukoscope.catalogue.audit import compute_audit
from leukoscope.catalogue.groups import compare_with_links, read_groups, sort_names
from leukoscope.errors import DataError
from leukoscope.report import describe_audit
from leukoscope.splits import find_seen, make_split

LINKED = ("4", "8")  # two names of the cohort that share three images and four processed cells


def write_groups(catalogue: Catalogue, path: Path, **changed: str) -> Path:
    """The groups of a catalogue as a file, with some subjects' groups changed."""
    groups = dict(zip(catalogue.table["subject"], catalogue.table["group"], strict=True)) | changed
    rows = [f"{subject},{groups[subject]}\n" for subject in sort_names(groups)]
    path.write_text("subject,group\n" + "".join(rows))
    return path


# --- the file


def test_names_are_read_as_text_and_unknown_ones_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    text = "Group, Subject ,note\nanna,07,x\nanna, NA,y\nbert,H1,\nbert,H1,\nzoe,gone,\n"
    path.write_text(text, encoding="utf-8-sig")
    groups = read_groups(path, ["07", "NA", "H1", ""])
    assert groups == {"07": "anna", "NA": "anna", "H1": "bert", "gone": "zoe"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,person\n1,a\n", "expected the columns subject and group.*received name, person"),
        ("subject|group\n1|a\n", r"columns subject and group; received subject\|group"),
        ("subject,group,Group\n1,a,a\n", "the column group is there twice"),
        ("", "cannot be parsed"),
        ('subject,group\n1,"a\n', "cannot be parsed"),
        ("subject,group\n1,a\n2,a\n1,b\n", "line 4: subject 1 is in group 'b' and in 'a'"),
        ("subject,group\n1,a\n2,  \n", "line 3: expected a subject and a group; received '2'"),
        ("subject,group\n,a\n1,a\n2,a\n", "line 2: expected a subject and a group"),
        ("subject,group\n1\n2,a\n", "line 2: expected a subject and a group"),
        ("subject,group\n1,a\n", "every subject of the data; 2 has none"),
        ("subject,group\n9,a\n", "every subject of the data; 1, 2 have none"),
    ],
)
def test_files_that_do_not_fit_say_why(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "groups.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        read_groups(path, ["2", "1", "2"])
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_groups(tmp_path / "gone.csv", ["1"])
    (tmp_path / "groups.csv").write_bytes(b"subject,group\n\xff\xfe,\x80\n")
    with pytest.raises(DataError, match="cannot be parsed"):
        read_groups(tmp_path / "groups.csv", ["1"])


# --- what it overrides


def build_table(groups: dict[str, str], hashes: str) -> pd.DataFrame:
    """One cell of each subject, whose pixels a letter stands for."""
    return pd.DataFrame(
        {"subject": list(groups), "group": list(groups.values()), "pixel_hash": list(hashes)}
    )


def link(*pairs: tuple[int, int]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["first", "second"], dtype=int)


def test_separated_and_joined_names_are_reported() -> None:
    groups = {"1": "x", "2": "y", "10": "x", "3": "y", "H1": "z", "": ""}
    table = build_table(groups, "aabcda")
    # 1 = 2 by pixels, 1 ~ 10 and 2 ~ 3 and 3 ~ H1 by looks; rows without a subject say nothing
    found = compare_with_links(table, link((0, 1), (0, 5)), link((0, 1), (0, 2), (1, 3), (3, 4)))
    assert (found.equal_cells, found.similar_pairs) == (2, 1)
    assert found.apart.to_numpy().tolist() == [["1", "2", 1], ["3", "H1", 1]]
    assert found.joined.empty
    words = " ".join(found.describe())
    assert "2 cells have equal pixels" in words and "1 and 2, 3 and H1" in words


def test_joins_without_links_are_chains_over_what_links_leave_in_pieces() -> None:
    table = build_table({"11": "x", "10": "x", "2": "x", "1": "x", "7": "x"}, "abcde")
    found = compare_with_links(table, link(), link((0, 1), (2, 3)))
    assert found.joined.to_numpy().tolist() == [["x", "1", "7"], ["x", "7", "10"]]
    assert found.describe() == ["Joined without a link: x."]


def test_the_links_own_groups_override_nothing(catalogue: Catalogue, tmp_path: Path) -> None:
    path = write_groups(catalogue, tmp_path / "groups.csv")
    again = read_catalogue(catalogue.root, groups_csv=path)
    pd.testing.assert_frame_equal(again.table, catalogue.table)
    overrides = again.find_overrides()
    assert overrides and overrides.describe() == ["It agrees with the links."]
    assert catalogue.find_overrides() is None


def test_the_audit_reports_what_a_file_overrides(catalogue: Catalogue, tmp_path: Path) -> None:
    path = write_groups(
        catalogue, tmp_path / "mine.csv", **{"4": "4", "8": "anna", "1": "anna", "2": "anna"}
    )
    audit = compute_audit(read_catalogue(catalogue.root, groups_csv=path))
    assert dict(zip(audit.groups["group"], audit.groups["links"], strict=True)) == {
        "H2+H4": 5,
        "anna": 0,
    }
    assert audit.put_apart.to_numpy().tolist() == [["4", "8", 6]]
    words = " ".join(describe_audit(audit))
    assert "according to mine.csv" in words and "as far as the pixels" not in words
    assert "mine.csv: 4 cells have equal pixels under names that it separates" in words
    assert "mine.csv: 4 pairs that look like one cell" in words
    assert "Joined without a link: anna" in words
    chain = [{"group": "anna", "subject": a, "other_subject": b} for a, b in ("12", "28")]
    assert audit.to_json()["joined"] == chain


# --- splits


def test_names_known_to_be_one_person_stay_on_one_side(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    path = write_groups(catalogue, tmp_path / "groups.csv", **{"1": "anna", "2": "anna"})
    table = select_usable(read_catalogue(catalogue.root, groups_csv=path))
    for seed in range(5):
        for fold in make_split(table, "group-kfold", folds=3, seed=seed).folds:
            sides = [set(table.loc[side, "subject"]) for side in (fold.training, fold.evaluated)]
            assert not any({"1", "2"} & side and {"1", "2"} - side for side in sides)


def test_equal_images_in_two_groups_are_seen_and_nothing_else_is(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    path = write_groups(catalogue, tmp_path / "groups.csv", **{"4": "4", "8": "8"})
    table = select_usable(read_catalogue(catalogue.root, groups_csv=path))
    seen: set[int] = set()
    for fold in make_split(table, "fold-cv").folds:
        found = find_seen(table.loc[fold.training], table.loc[fold.evaluated])
        seen |= set(found.index[found])
    shared = [
        row
        for first, second in catalogue.duplicates[["first", "second"]].to_numpy()
        for row in (first, second)
        if catalogue.table.at[row, "subject"] in LINKED
    ]
    assert len(shared) == 4 and seen == set(shared)
    joined = select_usable(catalogue)
    for fold in make_split(joined, "fold-cv").folds:
        assert not find_seen(joined.loc[fold.training], joined.loc[fold.evaluated]).any()


def test_people_trained_on_are_seen_and_unread_pixels_say_nothing() -> None:
    training = pd.DataFrame({"group": ["a", "b"], "pixel_hash": ["1", ""]})
    evaluated = pd.DataFrame({"group": ["a", "c", "d"], "pixel_hash": ["2", "1", ""]})
    assert np.array_equal(find_seen(training, evaluated), [True, True, False])
