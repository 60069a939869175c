import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leukoscope.arrays import UInt8Array
from leukoscope.catalogue import (
    Catalogue,
    compute_fingerprint,
    read_catalogue,
    select_usable,
    store,
)
from leukoscope.catalogue.audit import compute_audit
from leukoscope.catalogue.groups import assign_groups, join_names
from leukoscope.catalogue.same_cell import link_same_cells
from leukoscope.cells.crop import cut_crop
from leukoscope.cells.extract import Cell, cut_cells
from leukoscope.datasets.cnmc import CNMC
from leukoscope.datasets.reader import ReadOptions
from leukoscope.datasets.spec import CropSpec
from leukoscope.errors import DataError, NoticeWarning
from leukoscope.io.images import compute_pixel_hash, read_image
from leukoscope.io.sources import list_sources
from leukoscope.simulate import Cohort, CohortSettings, simulate_cohort, simulate_pairs

NAMES = st.sampled_from([*"abcdefgh", "10", "9", "h3", "H3"])


def name_pairs(catalogue: Catalogue, links: pd.DataFrame) -> set[frozenset[str]]:
    images = catalogue.table["image"]
    return {
        frozenset((images[first], images[second]))
        for first, second in zip(links["first"], links["second"], strict=True)
    }


def list_planted(cohort: Cohort, *kinds: str) -> set[frozenset[str]]:
    rows = cohort.planted[cohort.planted["kind"].isin(kinds)]
    return {frozenset(pair) for pair in zip(rows["image"], rows["other"], strict=True)}


def write_cell(path: Path, colour: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cell = np.zeros((450, 450, 3), np.uint8)
    cell[150:300, 150:300] = (colour, 40, 110)
    Image.fromarray(cell).save(path)


def test_every_planted_fault_comes_out_and_nothing_else(
    cohort: Cohort, catalogue: Catalogue
) -> None:
    shared = list_planted(cohort, "shared_image")
    assert name_pairs(catalogue, catalogue.duplicates) == shared
    again = list_planted(cohort, "reprocessed_cell", "repeated_cell")
    assert name_pairs(catalogue, catalogue.same_cells) == shared | again
    problems = catalogue.table[catalogue.table["problem"] != ""]
    kinds = cohort.planted["kind"].isin(["mislabelled", "truncated"])
    assert set(problems["image"]) == set(cohort.planted.loc[kinds, "image"])


def test_groups_join_exactly_the_subjects_that_share_cells(
    cohort: Cohort, catalogue: Catalogue
) -> None:
    subjects = dict(zip(cohort.truth["image"], cohort.truth["subject"], strict=True))
    pairs = [
        tuple(subjects[image] for image in pair)
        for pair in list_planted(cohort, "shared_image", "reprocessed_cell")
    ]
    expected = join_names(set(subjects.values()), [(a, b) for a, b in pairs])
    found = dict(zip(catalogue.table["subject"], catalogue.table["group"], strict=True))
    assert found == expected
    assert any("+" in group for group in found.values())


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda data: b"",
    "cut off": lambda data: data[: len(data) // 2],
    "a bit flipped": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
}


@pytest.mark.parametrize("kind", [*DAMAGE, "gone"])
@pytest.mark.parametrize("name", ["crops.npy", "facts.csv", "links-2-1.csv"])
def test_a_damaged_cache_heals_itself_with_a_notice(kind: str, name: str, tmp_path: Path) -> None:
    for number in range(3):
        write_cell(tmp_path / "cells" / f"UID_H{number}_1_1_hem.bmp", 90 + number % 2)
    first = read_catalogue(tmp_path / "cells")
    expected, folder = np.array(first.crops), first.folder
    if kind == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(DAMAGE[kind]((folder / name).read_bytes()))
    if kind == "gone" and name.startswith("links"):  # as one that was never there
        again = read_catalogue(tmp_path / "cells")
    else:
        with pytest.warns(NoticeWarning, match="damaged, so") as noted:
            again = read_catalogue(tmp_path / "cells")
        assert len(noted) == 1 and str(folder) in str(noted[0].message)
    assert np.array_equal(again.crops, expected)
    pd.testing.assert_frame_equal(again.table, first.table)
    pd.testing.assert_frame_equal(again.same_cells, first.same_cells)
    read_catalogue(tmp_path / "cells")  # is whole again: warnings are errors here


def test_a_store_that_was_cut_off_in_the_packing_leaves_nothing(tmp_path: Path) -> None:
    write_cell(tmp_path / "cells" / "UID_H1_1_1_hem.bmp")
    folder = read_catalogue(tmp_path / "cells").folder
    shutil.rmtree(folder)
    with pytest.raises(KeyboardInterrupt):
        read_catalogue(tmp_path / "cells", on_decode=interrupt)
    assert not list(folder.parent.iterdir())


def interrupt(done: int, total: int) -> None:
    raise KeyboardInterrupt


def test_a_second_reading_decodes_nothing(cohort: Cohort, catalogue: Catalogue) -> None:
    calls: list[int] = []
    again = read_catalogue(cohort.root, on_decode=lambda done, total: calls.append(done))
    assert calls == []
    pd.testing.assert_frame_equal(again.table, catalogue.table)


def test_the_audit_counts_what_the_generator_made(cohort: Cohort, catalogue: Catalogue) -> None:
    audit = compute_audit(catalogue)
    assert audit.counts["cells"].sum() == len(cohort.truth)
    assert audit.class_crossings == 0 and audit.chance_crossings > 3
    assert len(audit.same_cells) == 12 and len(audit.duplicates) == 3
    assert (audit.same_cells["evidence"] >= 24).all()
    exposed = audit.exposure.set_index("fold")["exposed"]
    assert exposed.max() > 0
    overall = audit.size_cue.set_index("fold").loc["", "auc_by_cell"]
    assert overall == pytest.approx(cohort.area_auc, abs=0.05)
    assert isinstance(audit.to_json()["groups"], list)


def test_pairs_are_found_whatever_stain_outline_and_shift() -> None:
    first, second = simulate_pairs(30, 5, max_shift_px=16, outline_px=8, stain=0.8)
    crops = np.stack([cut_crop(cell, CNMC.crop) for cell in [*first, *second]])
    links = link_same_cells(crops)
    assert list(links["second"] - links["first"]) == [30] * 30


def test_turned_cells_are_found_only_where_asked_for() -> None:
    first, second = simulate_pairs(6, 5, rotation_deg=120)
    crops = np.stack([cut_crop(cell, CNMC.crop) for cell in [*first, *second]])
    assert link_same_cells(crops).empty
    links = link_same_cells(crops, turns=36)
    assert list(links["second"] - links["first"]) == [6] * 6


def test_crops_without_a_cell_link_to_nothing() -> None:
    assert link_same_cells(np.zeros((3, 225, 225, 3), np.uint8)).empty


@given(st.lists(st.tuples(NAMES, NAMES), max_size=12))
def test_groups_are_the_connected_components(pairs: list[tuple[str, str]]) -> None:
    names = sorted({name for pair in pairs for name in pair} | {"alone"})
    groups = join_names(names, pairs)
    assert all(groups[a] == groups[b] for a, b in pairs)
    assert groups["alone"] == "alone"
    for group in set(groups.values()):
        members = {name for name in names if groups[name] == group}
        assert members == set(group.split("+"))
        reached, waiting = set(), [min(members)]
        while waiting:
            name = waiting.pop()
            reached.add(name)
            near = {b for a, b in pairs if a == name} | {a for a, b in pairs if b == name}
            waiting += near - reached
        assert reached == members


def test_rows_without_a_subject_have_no_group() -> None:
    assert assign_groups(["", "1", "2", ""], [(0, 1), (1, 2)]) == ["", "1+2", "1+2", ""]


def test_folders_and_zip_and_one_fold_are_read_alike(cohort: Cohort, tmp_path: Path) -> None:
    import shutil

    fold = cohort.root / "C-NMC_Leukemia/training_data/fold_0"
    archive = shutil.make_archive(str(tmp_path / "fold"), "zip", fold)
    folder = read_catalogue(fold).table.drop(columns="fold")
    zipped = read_catalogue(archive).table.drop(columns="fold")
    pd.testing.assert_frame_equal(folder, zipped)
    assert set(folder["label"]) == {"leukaemic", "normal"}


def test_a_csv_gives_labels_and_subjects(tmp_path: Path) -> None:
    for number in range(4):
        write_cell(tmp_path / "cells" / f"{number}.bmp", 90 + number)
    rows = [f"{number}.bmp,{'all' if number < 2 else 'hem'},P{number}" for number in range(4)]
    labels = tmp_path / "mine.csv"
    labels.write_text("\n".join(["image,label,subject", *rows]))
    table = read_catalogue(tmp_path / "cells", ReadOptions(labels_csv=labels)).table
    assert list(table["label"]) == ["leukaemic"] * 2 + ["normal"] * 2
    assert list(table["subject"]) == ["P0", "P1", "P2", "P3"]


def test_the_csv_of_the_preliminary_test_is_found_automatically(tmp_path: Path) -> None:
    folder = tmp_path / "validation_data"
    write_cell(folder / "C-NMC_test_prelim_phase_data" / "1.bmp")
    csv = "Patient_ID,new_names,labels\nUID_H50_27_2_hem.bmp,1.bmp,0\n"
    (folder / "C-NMC_test_prelim_phase_data_labels.csv").write_text(csv)
    row = read_catalogue(tmp_path).table.iloc[0]
    assert (row["label"], row["subject"], row["smear"]) == ("normal", "H50", "27")
    assert (row["fold"], row["problem"]) == ("preliminary", "")


@pytest.mark.parametrize(
    ("csv", "words"),
    [
        ("picture,class_of\n1.bmp,all\n", "expected the columns image and label"),
        ("image,label\n1.bmp,blast\n", "line 2: unknown class 'blast'"),
        ("", "cannot be parsed"),
    ],
)
def test_bad_csvs_say_what_was_expected(tmp_path: Path, csv: str, words: str) -> None:
    write_cell(tmp_path / "cells" / "1.bmp")
    labels = tmp_path / "labels.csv"
    labels.write_text(csv)
    with pytest.raises(DataError, match=words):
        read_catalogue(tmp_path / "cells", ReadOptions(labels_csv=labels))


def test_unusable_cells_are_excluded(catalogue: Catalogue) -> None:
    usable = select_usable(catalogue)
    assert len(usable) == len(catalogue.table) - 3
    one = Catalogue(
        catalogue.root,
        catalogue.table[catalogue.table["label"] == "normal"],
        catalogue.duplicates,
        catalogue.same_cells,
        catalogue.crops,
        catalogue.folder,
        catalogue.spec,
    )
    with pytest.raises(DataError, match="both classes"):
        select_usable(one)


def test_the_fingerprint_ignores_order_but_not_labels(catalogue: Catalogue) -> None:
    table = catalogue.table
    assert compute_fingerprint(table) == compute_fingerprint(table.iloc[::-1])
    changed = table.assign(label=["normal", *table["label"][1:]])
    assert changed["label"].iloc[0] != table["label"].iloc[0]
    assert compute_fingerprint(table) != compute_fingerprint(changed)


def test_kaggle_without_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    def refuse(name: str) -> str:
        raise ConnectionError(name)

    stand_in = types.SimpleNamespace(dataset_download=refuse)
    monkeypatch.setitem(sys.modules, "kagglehub", stand_in)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="by hand"):
        read_catalogue("kaggle")


def test_kaggle_reads_what_kagglehub_fetched(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys
    import types

    stand_in = types.SimpleNamespace(dataset_download=lambda name: str(cohort.root))
    monkeypatch.setitem(sys.modules, "kagglehub", stand_in)  # type: ignore[arg-type]
    assert len(read_catalogue("kaggle").table) == len(cohort.truth)


def test_a_csv_overrides_the_name_but_an_empty_entry_does_not(tmp_path: Path) -> None:
    for number in (1, 2):
        write_cell(tmp_path / "cells" / f"UID_H7_1_{number}_hem.bmp", 90 + number)
    labels = tmp_path / "labels.csv"
    labels.write_text("image,label,subject\nUID_H7_1_1_hem.bmp,all,\n")
    table = read_catalogue(tmp_path / "cells", ReadOptions(labels_csv=labels)).table
    assert list(table["label"]) == ["leukaemic", "normal"]
    assert list(table["subject"]) == ["H7", "H7"] and (table["problem"] == "").all()


def test_a_csv_within_the_data_applies_below_it_only(tmp_path: Path) -> None:
    write_cell(tmp_path / "prelim" / "cells" / "1.bmp", 91)
    write_cell(tmp_path / "final" / "1.bmp", 92)
    (tmp_path / "prelim" / "labels.csv").write_text("image,label\n1.bmp,all\n")
    for labels in (None, tmp_path / "prelim" / "labels.csv"):
        table = read_catalogue(tmp_path, ReadOptions(labels_csv=labels)).table.set_index("image")
        assert table.loc["prelim/cells/1.bmp", "label"] == "leukaemic"
        assert table.loc["final/1.bmp", "label"] == ""


@pytest.mark.parametrize(
    ("csv", "words"),
    [
        ("image,label\n1.bmp,all\n", "is the name of 2 images"),
        ("image,label\n7.bmp,all\n", "none of its 1 names, such as"),
    ],
)
def test_csvs_that_fit_no_image_or_two_are_refused(tmp_path: Path, csv: str, words: str) -> None:
    write_cell(tmp_path / "cells" / "a" / "1.bmp", 91)
    write_cell(tmp_path / "cells" / "b" / "1.bmp", 92)
    labels = tmp_path / "labels.csv"
    labels.write_text(csv)
    with pytest.raises(DataError, match=words):
        read_catalogue(tmp_path / "cells", ReadOptions(labels_csv=labels))


def test_numbered_folders_are_no_classes(tmp_path: Path) -> None:
    write_cell(tmp_path / "1" / "0" / "x.bmp")
    assert list(read_catalogue(tmp_path / "1").table["label"]) == [""]


def test_pairs_without_labels_are_no_class_crossings(tmp_path: Path) -> None:
    write_cell(tmp_path / "all" / "UID_1_1_1_all.bmp")
    write_cell(tmp_path / "testing" / "1.bmp")
    audit = compute_audit(read_catalogue(tmp_path))
    assert len(audit.duplicates) == 1
    assert (audit.labelled_pairs, audit.class_crossings) == (0, 0)
    assert not audit.duplicates["across"].any()


def test_whatever_one_image_raises_is_its_own_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a data set too."""
    data = simulate_cohort(tmp_path / "cells", CohortSettings(subjects=4, cells=12, seed=2)).root
    first, *_ = sorted(source.name for source in list_sources(data))

    def refuse(rgb: UInt8Array, spec: CropSpec) -> list[Cell]:
        if compute_pixel_hash(rgb) == bad:
            raise ZeroDivisionError("odd")
        return cut_cells(rgb, spec)

    bad = compute_pixel_hash(read_image((data / first).read_bytes(), first))
    monkeypatch.setattr(store, "cut_cells", refuse)
    table = read_catalogue(data).table
    assert table.loc[table["problem"] != "", "image"].tolist() == [first]
    assert "ZeroDivisionError: odd" in table["problem"].max()
