"""The contract of the predictions table: every input is normalised, and faults are named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError
from leukoscope.predictions import (
    check_predictions,
    normalise_answers,
    normalise_labels,
    normalise_predictions,
    read_predictions,
    write_predictions,
)


def build_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image": ["a.bmp", "b.bmp", "c.bmp"],
            "subject": ["07", "h3", "NA"],
            "label": ["leukaemic", "normal", "normal"],
            "probability": [0.9, 0.1, 1 / 3],
        }
    )


def write_csv(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_written_table_is_read_as_it_was(tmp_path: Path) -> None:
    table = build_table().assign(leaky=[False, True, False], stain="pale", fold=["1", "2", "2"])
    write_predictions(table, tmp_path / "predictions.csv")
    read = read_predictions(tmp_path / "predictions.csv")
    pd.testing.assert_frame_equal(read, table, check_dtype=False)
    assert list(read["subject"]) == ["07", "h3", "NA"]
    assert read["leaky"].dtype == bool
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(build_table(), path)
    before = path.read_bytes()
    with pytest.raises(DataError, match="probability"):
        write_predictions(build_table().assign(probability=2.0), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["all", "hem"], ["leukaemic", "normal"]),
        (["ALL", "HEM"], ["leukaemic", "normal"]),
        (["leukemic", " healthy "], ["leukaemic", "normal"]),
        ([1, 0], ["leukaemic", "normal"]),
        ([1.0, 0.0], ["leukaemic", "normal"]),
    ],
)
def test_labels_have_synonyms(words: list[object], expected: list[str]) -> None:
    assert list(normalise_labels(pd.Series(words))) == expected


def test_subjects_are_read_from_names_and_keep_their_case(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "p.csv",
        "image,label,probability,fold\n"
        "fold_1/hem/UID_h3_1_2_hem.bmp,hem,0.25,0\nUID_07_10_2_all.bmp,all,1,01\n",
    )
    table = read_predictions(path)
    assert list(table["subject"]) == ["h3", "07"]
    assert list(table["fold"]) == ["0", "01"]


def test_without_subjects_the_columns_are_named() -> None:
    table = build_table().drop(columns="subject")
    with pytest.raises(DataError, match=r"received image, label, probability.*missing: subject"):
        normalise_predictions(table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probability": [0.9, 1.5, 2.0]}, r"row 2 \(image 'b.bmp'\) \(2 such rows\)"),
        ({"probability": [0.9, 0.1, float("nan")]}, r"probability.*row 3 \(image 'c.bmp'\)"),
        ({"probability": [0.9, "high", 0.1]}, r"expected a number; received 'high' in row 2"),
        ({"label": ["leukaemic", "blast", "normal"]}, "received 'blast'"),
        ({"image": ["a.bmp", "b.bmp", "a.bmp"]}, r"every image once; received 'a.bmp' in row 3"),
        ({"subject": ["07", "", "1"]}, r"subject: expected a name.*row 2"),
        ({"subject": ["07", None, "1"]}, r"subject: expected a name.*row 2"),
        ({"area_probability": [0.1, -0.1, 0.2]}, r"area_probability.*row 2"),
        ({"area": [10, -4, 20]}, r"area: expected pixels.*row 2"),
        ({"leaky": ["no", "perhaps", "no"]}, "true or false; received perhaps"),
    ],
)
def test_faults_are_named_with_their_row(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        normalise_predictions(build_table().assign(**change))


def test_a_file_at_fault_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"empty\.csv: expected a CSV"):
        read_predictions(write_csv(tmp_path / "empty.csv", ""))
    with pytest.raises(DataError, match=r"none\.csv: no such file"):
        read_predictions(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"other\.csv: Expected the columns image"):
        read_predictions(write_csv(tmp_path / "other.csv", "x,y\n1,2\n"))
    blank = "image,subject,label,probability\na,1,all,\n"
    with pytest.raises(DataError, match=r"blank\.csv: .*probability.*row 1"):
        read_predictions(write_csv(tmp_path / "blank.csv", blank))


def test_one_class_and_no_rows_are_read() -> None:
    check_predictions(build_table().iloc[:1])
    check_predictions(build_table().iloc[:0])


def test_the_received_table_is_left_alone() -> None:
    table = build_table().assign(label=["all", "hem", "hem"])
    before = table.copy()
    normalise_predictions(table)
    pd.testing.assert_frame_equal(table, before)


def test_columns_of_version_0_1_are_read(tmp_path: Path) -> None:
    text = "image,subject,label,probability,sure_call,part\na.bmp,07,all,0.9,uncertain,1\n"
    read = read_predictions(write_csv(tmp_path / "old.csv", text))
    assert list(read["conformal_call"]) == ["uncertain"] and list(read["fold"]) == ["1"]
    assert not {"sure_call", "part"} & set(read)


def test_a_column_may_be_two_of_ours(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", "file,who,truth,p,probability\na,007,1,0.25,9\n")
    columns = {"image": "file", "subject": "who", "group": "who", "label": "truth"}
    read = read_predictions(path, columns | {"probability": "p"})
    assert list(read["subject"]) == list(read["group"]) == ["007"]
    assert list(read["probability"]) == [0.25]


def test_a_cell_is_named_by_image_and_cell() -> None:
    table = build_table()
    twice = pd.concat([table, table], ignore_index=True)
    with pytest.raises(DataError, match="every image once"):
        normalise_predictions(twice)
    named = twice.assign(cell=["1"] * len(table) + ["2"] * len(table))
    assert len(normalise_predictions(named)) == 2 * len(table)
    with pytest.raises(DataError, match="every image and cell once"):
        normalise_predictions(named.assign(cell="1"))


def test_subjects_are_read_as_the_data_set_names_them() -> None:
    spec = DatasetSpec("ours", "folders", name_pattern=r"(?P<subject>P\d+)-\d+", naming="P<n>-<m>")
    table = pd.DataFrame(
        {"image": ["a/P7-1.png", "UID_3_1_1_all.bmp"], "label": ["all", "hem"], "probability": 0.5}
    )
    ours, known = table.iloc[:1], table.iloc[1:]
    with pytest.raises(DataError, match=r"missing: subject.*like P<n>-<m> only"):
        normalise_predictions(table, spec)  # the names of C-NMC are not this data set's
    with pytest.raises(DataError, match=r"missing: subject.*like UID_"):
        normalise_predictions(table)
    spec = dataclasses.replace(spec, class_words={"all": "leukaemic"})
    assert list(normalise_predictions(ours, spec)["subject"]) == ["P7"]
    assert list(normalise_predictions(known)["subject"]) == ["3"]
    answers = normalise_answers(table, spec=spec)
    assert list(answers["subject"]) == ["P7"] and answers.attrs["without_subject"] == 1
    with pytest.raises(DataError, match=r"column subject, or names like P<n>-<m>; received 'x"):
        normalise_answers(table.assign(image=["x.png", "y.png"]), spec=spec)


def test_words_for_the_classes_are_the_data_sets_own() -> None:
    spec = DatasetSpec("ours", "folders", class_words={"early": "leukaemic", "benign": "normal"})
    table = build_table().assign(label=["Early", "benign", "0"])
    labels = list(normalise_predictions(table, spec)["label"])
    assert labels == ["leukaemic", "normal", "normal"]
    with pytest.raises(DataError, match="also 1, 0, all, hem"):
        normalise_predictions(table)
    with pytest.raises(DataError, match=r"also 1, 0, early, benign\); received 'all'"):
        normalise_predictions(table.assign(label="all"), spec)


def test_a_column_without_any_subject_is_none() -> None:
    """`predict` writes one for a model whose data set has no rule for names."""
    table = build_table().assign(subject="", image=[f"UID_7_1_{n}_all.bmp" for n in range(3)])
    assert list(normalise_predictions(table)["subject"]) == ["7"] * 3
    assert list(normalise_answers(table.drop(columns="label"))["subject"]) == ["7"] * 3
    answers = normalise_answers(table.assign(subject=["", None, "8"]))
    assert list(answers["subject"]) == ["8"] and answers.attrs["without_subject"] == 2


def test_what_rounding_adds_is_taken_off() -> None:
    table = build_table().assign(probability=[1.0000001, -0.0000001, 0.5])
    assert normalise_predictions(table)["probability"].tolist() == [1.0, 0.0, 0.5]
    with pytest.raises(DataError, match="a number from 0 to 1"):
        normalise_predictions(table.assign(probability=[1.001, 0, 0.5]))


def test_labels_that_the_names_contradict_are_exchanged() -> None:
    """Keras numbers folders by the alphabet: all is 0, hem is 1."""
    images = [f"UID_{n}_1_1_{'all' if n % 2 else 'hem'}.bmp" for n in range(6)]
    table = pd.DataFrame({"image": images, "label": [1 - n % 2 for n in range(6)]})
    table["probability"] = 0.5
    words = "6 of 6 labels contradict the image's name, such as leukaemic for 'UID_0_1_1_hem.bmp'"
    with pytest.raises(DataError, match=words):
        normalise_predictions(table)
    right = table.assign(label=[n % 2 for n in range(6)])
    assert normalise_predictions(right)["label"].tolist() == ["normal", "leukaemic"] * 3
    right.loc[0, "label"] = 1  # one cell may be relabelled
    assert normalise_predictions(right)["label"][0] == "leukaemic"
