"""Every reader keeps one contract, and a data set of unknown layout is read completely."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from leukoscope.catalogue import read_catalogue, select_usable
from leukoscope.catalogue.audit import compute_audit
from leukoscope.cells.quality import find_warnings, measure_limits
from leukoscope.datasets.cnmc import CNMC
from leukoscope.datasets.reader import ROW_COLUMNS, ReadOptions, parse_classes
from leukoscope.datasets.registry import READERS, read_dataset
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError, SettingsError, SplitError
from leukoscope.io.images import read_image
from leukoscope.labels import LABELS
from leukoscope.records import ModelMetadata
from leukoscope.report import describe_audit
from leukoscope.simulate import CohortSettings, draw_cells
from leukoscope.splits import make_split
from leukoscope.workflow.checking import audit_catalogue
from test_records import METADATA

Layout = tuple[Path, ReadOptions]

CELLS = CohortSettings(subjects=6, cells=60, seed=11)


def lay_out_cnmc(folder: Path) -> Layout:
    for name, rgb in draw_cells(CELLS):
        write(folder / "fold_0" / name.split("_")[-1].split(".")[0] / name, rgb)
    return folder, ReadOptions()


def lay_out_folders(folder: Path) -> Layout:
    """Of 300×300 px, on a bright ground, with words and folders of their own."""
    for name, rgb in draw_cells(CELLS):
        _, subject, _, _, kind = name.split(".")[0].split("_")
        picture = np.where(rgb.max(axis=-1, keepdims=True) > 10, rgb, (236, 226, 232))
        where = folder / ("Early" if kind == "all" else "Benign") / f"patient-{subject}"
        write((where / name.replace("UID", "cell")).with_suffix(".png"), picture[75:375, 75:375])
    return folder, ReadOptions(
        subject_from="folder:2", classes=parse_classes("Early=leukaemic, Benign=normal")
    )


def lay_out_table(folder: Path) -> Layout:
    rows = ["image,label,subject,fold"]
    for place, (name, rgb) in enumerate(draw_cells(CELLS)):
        _, subject, _, _, kind = name.split(".")[0].split("_")
        write(folder / "pictures" / f"{place}.png", rgb[100:350, 100:350])
        rows.append(f"pictures/{place}.png,{kind},{subject},fold_{place % 2}")
    (folder / "cells.csv").write_text("\n".join(rows))
    return folder / "cells.csv", ReadOptions()


LAYOUTS: dict[str, Callable[[Path], Layout]] = {
    "cnmc": lay_out_cnmc,
    "folders": lay_out_folders,
    "table_csv": lay_out_table,
}


def write(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb.astype(np.uint8)).save(path)


def test_every_reader_has_a_layout_here() -> None:
    assert READERS.names() == sorted(LAYOUTS)


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_every_reader_keeps_the_contract(name: str, tmp_path: Path) -> None:
    data, options = LAYOUTS[name](tmp_path / "data")
    images, reading = read_dataset(data, options)
    assert reading.spec.reader == name  # and so it was recognised
    assert list(reading.rows.columns) == list(ROW_COLUMNS)
    assert list(reading.rows["image"]) == [source.name for source in images.sources]
    assert all(isinstance(value, str) for value in reading.rows.to_numpy().ravel())
    assert set(reading.rows["label"]) == set(LABELS)
    assert reading.rows["subject"].nunique() == 6
    assert type(reading.spec)(**vars(reading.spec)) == reading.spec
    assert reading.options.reader == name
    if reading.spec.naming:  # what the model will be told of names gives the same subjects
        found = [reading.spec.find_subject(f"/else/where/{image}") for image in reading.rows.image]
        assert found == reading.rows["subject"].tolist()
    again = read_dataset(images.root, reading.options)[1]  # what a run keeps reads it so again
    pd.testing.assert_frame_equal(again.rows, reading.rows)

    catalogue = read_catalogue(data, options)
    table = select_usable(catalogue)
    assert catalogue.compared == (name != "folders")  # what is not cut out cannot be
    assert len(table) == 60 and (catalogue.table["problem"] == "").all()
    split = make_split(table, "group-kfold", folds=2, spec=catalogue.spec)
    assert sum(len(fold.evaluated) for fold in split.folds) == 60
    # what the network will be shown is what the spec says, and draws no warning
    for source, crop in zip(images.sources, catalogue.crops, strict=True):
        rgb = read_image(source.read())
        assert list(find_warnings(rgb, np.asarray(crop), catalogue.spec)) == [], source.name


def test_images_of_any_size_keep_their_scale(tmp_path: Path) -> None:
    small, large = np.full((200, 200, 3), 90), np.full((300, 240, 3), 90)
    for place in range(4):
        write(tmp_path / "all" / f"{place}.png", large if place else small)
    catalogue = read_catalogue(tmp_path, ReadOptions(subject_from="([0-9])"))
    assert catalogue.spec.crop.frame_px == 300
    areas = catalogue.table.set_index("image")["area"]
    assert areas["all/0.png"] / areas["all/1.png"] == pytest.approx(200 * 200 / 300 / 240, abs=0.01)
    assert (catalogue.table["problem"] == "").all()


def test_a_smaller_frame_can_be_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "all" / "a.png", np.full((300, 300, 3), 90))
    _, reading = read_dataset(tmp_path, ReadOptions(frame_px=120))
    assert reading.spec.crop.frame_px == 120
    with pytest.raises(DataError, match="frame_px = 5000"):
        read_dataset(tmp_path, ReadOptions(frame_px=5000))


@pytest.mark.parametrize(
    ("rule", "image", "subject"),
    [
        ("folder:1", "p1/all/x.png", "p1"),
        ("folder:-1", "all/p2/x.png", "p2"),
        ("folder:3", "all/p2/x.png", ""),
        (r"(?i)patient-?(\d+)", "all/Patient07_3.png", "07"),
        (r"^([^_/]+)_", "P3_1.png", "P3"),
        (r"^([^_/]+)_", "P3.png", ""),
        ("", "p1/x.png", ""),
    ],
)
def test_subjects_are_where_a_user_says(rule: str, image: str, subject: str) -> None:
    assert DatasetSpec("mine", "folders", subject_from=rule).find_subject(image) == subject


@pytest.mark.parametrize("rule", ["folder:0", "folder:x", "(a)(b)", "patient", "(", "[0-9"])
def test_a_rule_that_names_no_subject_is_refused(rule: str) -> None:
    with pytest.raises(DataError, match="Subjects from"):
        ReadOptions(subject_from=rule)


def write_images(folder: Path, *names: str) -> Path:
    for place, name in enumerate(names):
        write(folder / name, np.full((20, 20, 3), 40 + place))
    return folder


@pytest.mark.parametrize(
    ("rule", "naming", "subjects"),
    [
        ("folder:1", "<subject>/<folder>/<image>", ("p1", "p1", "p1", "", "")),
        ("folder:2", "<subject>/<image>", ("all", "all", "all", "all", "")),
        ("folder:-1", "<subject>/<image>", ("all", "all", "all", "all", "")),
        ("(p[0-9])", "…(p[0-9])…", ("p1", "p1", "p1", "", "")),
        ("([xy])[.]", "…([xy])[.]…", ("x", "x", "x", "x", "")),
    ],
)
def test_a_rule_for_subjects_holds_wherever_the_images_lie(
    tmp_path: Path, rule: str, naming: str, subjects: tuple[str, ...]
) -> None:
    """A part of the path that was not read in training is not taken for a subject."""
    data = write_images(tmp_path / "p5", "p1/all/x.png", "p2/hem/y.png")
    spec = read_dataset(data, ReadOptions(subject_from=rule))[1].spec
    images = ("p1/all/x.png", "/p9/p1/all/x.png", "C:\\p9\\p1\\all\\x.png", "all/x.png", "p9.png")
    assert tuple(spec.find_subject(image) for image in images) == subjects
    assert spec.naming == naming
    record = dataclasses.replace(METADATA, dataset=spec)
    assert ModelMetadata.from_json(record.to_json(), "m.onnx").dataset == spec


def test_a_folder_from_the_top_of_uneven_data_is_no_rule_elsewhere(tmp_path: Path) -> None:
    data = write_images(tmp_path, "p1/all/x.png", "p2/y.png")
    _, reading = read_dataset(data, ReadOptions(subject_from="folder:1"))
    assert reading.rows["subject"].tolist() == ["p1", "p2"]
    assert reading.options.subject_from == "folder:1"
    assert reading.spec.find_subject("p1/all/x.png") == "" == reading.spec.naming


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": "Early=leukaemic"}, r"^classes = 'Early=leukaemic'. Expected words.*\{"),
        ({"classes": {"Early": 7}}, r"'Early' = '7'"),
        ({"frame_px": 450.0}, r"^frame_px = 450.0. Expected a whole number of pixels"),
        ({"frame_px": True}, "frame_px = True"),
        ({"subject_from": None}, r"^subject_from = None. Expected text"),
        ({"reader": 3}, r"^reader = 3. Expected text"),
    ],
)
def test_options_of_another_kind_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        ReadOptions(**options)


def test_options_may_be_numpys(tmp_path: Path) -> None:
    options = ReadOptions(frame_px=np.int64(120), classes={"Early ": "Leukemic"})
    assert options.frame_px == 120 and type(options.frame_px) is int
    assert options.classes == {"early": "leukaemic"}


@pytest.mark.parametrize("turns", [0, 361, 1.5, "2", True])
def test_turns_out_of_range_are_refused(tmp_path: Path, turns: Any) -> None:
    data = write_images(tmp_path, "all/x.png")
    with pytest.raises(DataError, match=r"^turns = .*Expected .*rotations\.$"):
        read_catalogue(data, turns=turns)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("x.png,all,1\nall/x.png,hem,1", "line 3: the label of all/x.png is 'normal', but"),
        ("x.png,all,1\nx.png,all,2", "line 3: the subject of x.png is '2', but '1' in .*line 2"),
        ("x.png,all,\nx.png,all,1\nx.png,all,2", "line 4: the subject"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(tmp_path: Path, rows: str, words: str) -> None:
    data = write_images(tmp_path / "data", "all/x.png")
    (tmp_path / "a.csv").write_text(f"image,label,subject\n{rows}\n")
    with pytest.raises(DataError, match=words):
        read_dataset(data, ReadOptions(labels_csv=tmp_path / "a.csv"))


def test_two_files_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    data = write_images(tmp_path, "all/x.png")
    (data / "old-labels.csv").write_text("image,label\nall/x.png,normal\n")
    read_dataset(data)
    (data / "labels.csv").write_text("image,label\nall/x.png,1\n")
    with pytest.raises(DataError, match=r"old-labels.csv, line 2: .*'normal', but 'leukaemic' in"):
        read_dataset(data)


def test_the_audit_counts_what_a_csv_and_the_images_lack_of_each_other(tmp_path: Path) -> None:
    data = write_images(tmp_path / "data", *(f"{n}.png" for n in range(4)), "all/4.png")
    rows = [f"{n}.png,{'all' if n else 'hem'}" for n in (0, 1, *range(10, 35))]
    (tmp_path / "a.csv").write_text("\n".join(["image,label", *rows, rows[0]]))
    audit = compute_audit(read_catalogue(data, ReadOptions(labels_csv=tmp_path / "a.csv")))
    sentences = [sentence for sentence in describe_audit(audit) if "a.csv" in sentence]
    assert [sentence.partition("a.csv: ")[2] for sentence in sentences] == [
        "25 of its 28 rows name no image of the data: 10.png, 11.png, 12.png and 22 more.",
        "3 of the 5 images are not in it, 2 of these without a label: 2.png, 3.png, all/4.png.",
    ]
    (found,) = audit.to_json()["matches"]
    assert (found["rows"], found["absent"], found["images"]) == (28, 25, 5)
    assert (found["unlisted"], found["unlabelled"]) == (3, 2)
    assert found["absent_names"][:2] == ("10.png", "11.png") and len(found["absent_names"]) == 20

    (data / "all" / "labels.csv").write_text("image,label\n4.png,all\n")
    audit = compute_audit(read_catalogue(data))
    assert not any("labels.csv" in sentence for sentence in describe_audit(audit))


@pytest.mark.parametrize("form", ["{data}/all/x.png", "../data/all/x.png", "all/x.png", "x.png"])
def test_a_csv_elsewhere_may_name_images_by_whole_path_or_from_its_own_folder(
    tmp_path: Path, form: str
) -> None:
    data = write_images(tmp_path / "data", "all/x.png", "all/y.png")
    (tmp_path / "lists").mkdir()
    path = tmp_path / "lists" / "a.csv"
    path.write_text(f"image,label,subject\n{form.format(data=data)},normal,7\n")
    reading = read_dataset(data, ReadOptions(labels_csv=path))[1]
    assert reading.rows.set_index("image").loc["all/x.png", ["label", "subject"]].tolist() == [
        "normal",
        "7",
    ]
    if "data" in form:  # alone it says where they are
        images, reading = read_dataset(path)
        assert images.root == (data / "all").resolve()
        assert reading.rows["subject"].tolist() == ["7"]  # y.png is not in it


def test_a_csv_of_other_images_shows_one_of_either_side(tmp_path: Path) -> None:
    data = write_images(tmp_path / "data", "all/x.png")
    (tmp_path / "a.csv").write_text("image,label\n/old/disk/z.png,normal\n")
    with pytest.raises(DataError, match=r"such as '/old/disk/z.png', is .* such as 'all/x.png'"):
        read_dataset(data, ReadOptions(labels_csv=tmp_path / "a.csv"))


def test_the_audit_says_whose_cells_have_no_label(tmp_path: Path) -> None:
    data = write_images(tmp_path, "p1/a.png", "p1/b.png", "p2/c.png")

    def describe(**options: Any) -> str:
        return describe_audit(compute_audit(read_catalogue(data, ReadOptions(**options))))[0]

    assert describe() == "3 unlabelled cells of unknown subjects."
    named = "3 unlabelled cells under 2 subject names, of which 2 are different people"
    assert describe(subject_from="folder:1").startswith(named)
    assert describe(classes={"p1": "normal", "p2": "leukaemic"}) == (
        "3 labelled cells of unknown subjects."
    )
    (tmp_path / "labels.csv").write_text("image,label,subject\na.png,1,7\nb.png,0,\n")
    mixed = describe_audit(compute_audit(read_catalogue(data)))
    assert mixed[0].startswith("1 labelled cells under 1 subject names")
    assert mixed[1:3] == [
        "1 more labelled cells of unknown subjects.",
        "1 unlabelled cells of unknown subjects.",
    ]


@pytest.mark.parametrize("words", ["Early", "Early=blue", "=normal", "a=b=c"])
def test_invalid_classes_are_refused(words: str) -> None:
    with pytest.raises(DataError, match="Classes"):
        parse_classes(words)


def test_the_subject_of_a_cell_is_never_guessed(tmp_path: Path) -> None:
    data, options = lay_out_folders(tmp_path)
    unknown = dataclasses.replace(options, subject_from="")
    with pytest.raises(DataError, match=r"no cell with a subject.*`subject_from` folder:1"):
        select_usable(read_catalogue(data, unknown))
    with pytest.raises(DataError, match=r"no cell with a label.*`classes`"):
        select_usable(read_catalogue(data, ReadOptions(subject_from="folder:2")))


def test_the_audit_says_what_is_missing_too(tmp_path: Path) -> None:
    data, options = lay_out_folders(tmp_path)
    unlabelled = read_catalogue(data, ReadOptions())
    assert not unlabelled.compared  # a bright ground is seen without any label
    assert "`classes`" in " ".join(describe_audit(compute_audit(unlabelled)))
    whole = describe_audit(compute_audit(read_catalogue(data, options)))
    assert any(sentence.startswith("Training is possible, on ") for sentence in whole)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["leukaemic/a.png"], "every usable cell is leukaemic"),
        ([f"{k}/{n}.png" for k in ("leukaemic/p1", "normal/p2") for n in range(3)], "1 leukaemic"),
        (["p1/a.png", "p2/b.png"], "no cell with a label"),
    ],
)
def test_the_audit_says_whether_training_is_possible(
    tmp_path: Path, names: list[str], words: str
) -> None:
    data = write_images(tmp_path, *names)
    found = audit_catalogue(read_catalogue(data, ReadOptions(subject_from="folder:-1")))
    assert words in found.obstacle
    assert any(s.startswith("Training is not possible: ") for s in describe_audit(found))


def test_images_that_cannot_be_read_are_nobodys_cells(tmp_path: Path) -> None:
    data = write_images(tmp_path, "leukaemic/p1/a.png", "normal/p2/b.png")
    (data / "normal" / "p2" / "b.png").write_bytes(b"no image")
    found = audit_catalogue(read_catalogue(data, ReadOptions(subject_from="folder:-1")))
    assert (found.labelled.cells, found.labelled.subjects, found.unread) == (1, 1, 1)
    assert "1 images could not be read." in describe_audit(found)


def test_a_users_own_reader_is_found_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, options = lay_out_folders(tmp_path / "data")
    (tmp_path / "mylab.py").write_text(
        "from leukoscope.datasets.folders import READER as folders\n"
        "from leukoscope.datasets.reader import Reader, Reading\n"
        "good = Reader('ours', lambda *_: True, folders.read)\n"
        "bad = Reader('ours', lambda *_: True,\n"
        "    lambda i, o: Reading(folders.read(i, o).spec, folders.read(i, o).rows[:3]))\n"
    )
    monkeypatch.chdir(tmp_path)

    def use(reader: str) -> ReadOptions:
        return dataclasses.replace(options, reader=reader)

    assert len(read_dataset(data, use("mylab:good"))[1].rows) == 60
    with pytest.raises(DataError, match="mylab:bad gave 3 rows"):
        read_dataset(data, use("mylab:bad"))
    with pytest.raises(SettingsError, match=r"os:path is of type module\. Expected a Reader"):
        read_dataset(data, use("os:path"))
    with pytest.raises(SettingsError, match=r"of type type\. Expected a Reader"):
        read_dataset(data, use("leukoscope.datasets.reader:Reader"))
    with pytest.raises(SettingsError, match=r"Unknown reader 'cnmcc'.*Did you mean cnmc"):
        read_dataset(data, use("cnmcc"))


def test_the_reader_of_cnmc_takes_no_option_that_it_would_pass_over(tmp_path: Path) -> None:
    data, _ = lay_out_cnmc(tmp_path / "my_cnmc_like")
    with pytest.raises(DataError, match="knows subjects, classes and frame"):
        read_dataset(data, ReadOptions(reader="cnmc", frame_px=300))
    _, reading = read_dataset(data, ReadOptions(frame_px=300, subject_from="UID_([^_]+)_"))
    assert (reading.spec.reader, reading.spec.crop.frame_px) == ("folders", 300)


def test_official_folds_are_those_of_the_spec(tmp_path: Path) -> None:
    data, options = lay_out_table(tmp_path)
    catalogue = read_catalogue(data, options)
    assert catalogue.spec.folds == ("fold_0", "fold_1")
    with pytest.raises(SplitError, match="no official labelled test set"):
        make_split(select_usable(catalogue), "official", spec=catalogue.spec)


# --- limits of the image-quality checks


def draw_measures(hue: float, n: int = 4000) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "area": random.normal(7000, 1000, n).round(),
            "bodies": 1,
            "cut": False,
            "border": 0.0,
            "hue": random.normal(hue, 8, n) % 360,
            "saturation": random.normal(0.6, 0.04, n),
            "brightness": random.normal(0.35, 0.03, n),
            "sharpness": random.normal(0.1, 0.01, n),
        }
    )


@pytest.mark.parametrize("hue", [290.0, 355.0, 2.0])
def test_limits_hold_nearly_all_cells_at_any_hue(hue: float) -> None:
    limits = measure_limits(draw_measures(hue))
    assert limits is not None and limits.black_background
    low, high = limits.hue_deg
    assert (low > high) == (hue != 290.0)  # through 0
    assert (hue - low) % 360 < 60 and (high - hue) % 360 < 60
    assert limits.area_px[0] < 4000 and 10_000 < limits.area_px[1] < 15_000


def test_no_cell_has_no_limits() -> None:
    assert measure_limits(draw_measures(0).iloc[:0]) is None


@pytest.mark.slow
@pytest.mark.real
def test_limits_of_real_cells_are_near_those_set_by_hand(real_data: Path) -> None:
    catalogue = read_catalogue(real_data)
    measured, by_hand = catalogue.spec.quality, CNMC.quality
    assert measured is not None and by_hand is not None
    assert measured.black_background
    assert measured.area_px[0] < 4000 and 14_000 < measured.area_px[1] < 18_000
    low, high = measured.sharpness  # the lower one is nearer to the sharp cells than by hand
    assert by_hand.sharpness[0] < low < 0.07
    assert high == pytest.approx(by_hand.sharpness[1], rel=0.35)
    for name in ("hue_deg", "saturation", "brightness"):
        for found, known in zip(getattr(measured, name), getattr(by_hand, name), strict=True):
            assert found == pytest.approx(known, rel=0.35), name


@pytest.mark.parametrize(
    ("images", "classes", "labels"),
    [
        (["Leukemia/Benign/1.png", "Leukemia/Early/2.png"], {}, ["", ""]),
        (
            ["Leukemia/Benign/1.png", "Leukemia/Early/2.png"],
            {"benign": "normal", "early": "leukaemic"},
            ["normal", "leukaemic"],
        ),
        (["leukaemic/p1/1.png", "normal/p2/1.png"], {}, ["leukaemic", "normal"]),
        (["a/normal/p1/1.png", "b/ALL/p1/1.png", "b/x/1.png"], {}, ["normal", "leukaemic", ""]),
        (["normal/1.png", "p1/2.png"], {}, ["normal", ""]),
        (["normal/p1/1.png", "p2/2.png"], {}, ["", ""]),
        (["normal/p1/1.png", "normal/p2/2.png"], {"normal": "normal"}, ["normal", "normal"]),
    ],
)
def test_a_folder_names_a_class_only_where_it_must(
    images: list[str], classes: dict[str, str], labels: list[str], tmp_path: Path
) -> None:
    for image in images:
        write(tmp_path / "Leukemia" / image, np.zeros((32, 32, 3)))
    found = read_dataset(tmp_path / "Leukemia", ReadOptions("folders", classes=classes))[1].rows
    assert found.set_index("image")["label"].reindex(images).tolist() == labels
