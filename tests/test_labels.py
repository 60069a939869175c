import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.datasets.cnmc import CNMC, write_path
from leukoscope.datasets.registry import parse_known_label
from leukoscope.datasets.spec import CellName, DatasetSpec
from leukoscope.labels import parse_label

SUBJECTS = st.from_regex(r"[Hh]?[0-9]{1,3}", fullmatch=True)
NUMBERS = st.integers(1, 999).map(str)


@given(SUBJECTS, NUMBERS, NUMBERS, st.sampled_from(["all", "hem"]))
def test_every_c_nmc_name_is_read_back(subject: str, smear: str, cell: str, word: str) -> None:
    name = f"C-NMC_Leukemia/training_data/fold_0/{word}/UID_{subject}_{smear}_{cell}_{word}"
    label = {"all": "leukaemic", "hem": "normal"}[word]
    meant = CellName(subject, smear, cell, label)
    assert CNMC.parse_name(f"{name}.bmp") == meant and CNMC.find_subject(name) == subject
    assert write_path(meant, 0) == name


@given(st.text())
def test_other_names_are_never_an_error(text: str) -> None:
    found = CNMC.parse_name(text)
    assert found is None or found.label in ("leukaemic", "normal")


def test_lower_case_subjects_are_people_too() -> None:
    found = CNMC.parse_name("UID_h3_23_1_hem.bmp")
    assert found is not None and found.subject == "h3"


@pytest.mark.parametrize(
    "name", ["1.bmp", "UID_1_2_all.bmp", "UID_1_2_3_blast.bmp", "xUID_1_1_1_all"]
)
def test_names_of_other_forms_say_nothing(name: str) -> None:
    assert CNMC.parse_name(name) is None


def test_labels_in_any_spelling() -> None:
    words = ("Leukemia", "1", " normal ", 0, "healthy", "blast", "ALL", "hem")
    sick, well = "leukaemic", "normal"
    assert [parse_label(word) for word in words] == [sick, sick, *[well] * 3, *[None] * 3]
    known = [sick, sick, *[well] * 3, None, sick, well]  # words of C-NMC
    assert [CNMC.parse_label(word) for word in words] == known
    assert [parse_known_label(word) for word in words] == known
    other = DatasetSpec("other", "folders", class_words={"blast": sick})
    assert [parse_known_label(word, other) for word in words[-3:]] == [sick, None, None]
