"""What comes to the page: known by path and content, told when not predicted, kept when entered."""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from browser import Browser, find_chromium

pytest.importorskip("fastapi", reason="needs the extra serve")

from leukoscope.simulate import simulate_pairs
from leukoscope.workflow.aggregation import aggregate_predictions
from test_cli import run
from test_page import address, download, page, read_text, tab, upload

__all__ = ["address", "page", "tab"]

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed here")

COUNT = "document.querySelectorAll('#cells li').length"
TITLES = "[...document.querySelectorAll('#cells button')].map(b => b.title.split(':')[0]).sort()"
SUBJECTS = "[...document.querySelectorAll('#subjects tbody th')].map(e => e.textContent)"
OFF = """(() => {
  const real = window.fetch, wait = window.setTimeout;
  let asked = 0;
  window.setTimeout = (act, ms) => wait(act, Math.min(ms, 20));
  window.fetch = (path, options) => String(path).includes('predict') && window.gone && ++asked > 1
    ? Promise.reject(new TypeError('gone')) : real(path, options);
  window.gone = true;
})()"""


@pytest.fixture(scope="module")
def cells() -> list[np.ndarray]:
    return [np.ascontiguousarray(rgb) for rgb in simulate_pairs(24, 5)[0]]


@pytest.fixture
def patients(cells: list[np.ndarray], tmp_path: Path) -> Iterator[Path]:
    """Two patients, whose cells have the same names."""
    for number, rgb in enumerate(cells):
        folder = tmp_path / "patients" / ("Anna", "Bert")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / f"cell{number // 2}.png", rgb)
    yield tmp_path / "patients"


def write(path: Path, rgb: np.ndarray) -> None:
    assert cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


def choose(page: Browser, name: str, value: str) -> None:
    read_text(page, name)  # its choices are there
    page.run(
        f"(s => {{ s.value = {value!r}; s.dispatchEvent(new Event('change')); }})"
        f"(document.getElementById({name!r}))"
    )


def set_subject(page: Browser, whose: str, name: str) -> None:
    choose(page, "subject-whose", whose)
    page.run(
        f"document.getElementById('subject-name').value = {name!r};"
        "document.querySelector('#subject-form button').click()"
    )
    read_text(page, "subjects")


def read_rows(table: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(table.read_text("utf-8").splitlines()))


def test_equal_names_of_two_patients_are_two_cells(
    page: Browser, cells: list[np.ndarray], tmp_path: Path
) -> None:
    for number, who in enumerate(("one", "two")):
        (tmp_path / who / "cells").mkdir(parents=True)
        for cell in range(2):
            write(tmp_path / who / "cells" / f"cell{cell}.png", cells[2 * number + cell])
    for number, who in enumerate(("one", "two"), 1):
        upload(page, tmp_path / who / "cells" / "cell0.png", cells=number)
    assert page.run(TITLES) == ["cell0 (2).png", "cell0.png"]
    assert "a new name: cell0 (2).png" in read_text(page, "notes")
    for number, who in enumerate(("one", "two"), 2):
        upload(page, tmp_path / who / "cells", cells=2 * (number - 1) + 2, field="#folder")
    assert page.run(TITLES)[2:] == [
        *("cells (2)/cell0.png", "cells (2)/cell1.png", "cells/cell0.png", "cells/cell1.png")
    ]
    assert "this one is kept apart as cells (2)." in read_text(page, "notes")
    assert page.run(SUBJECTS) == ["cells", "cells (2)"]
    upload(page, tmp_path / "two" / "cells", cells=6, field="#folder")  # the second one, again
    assert read_text(page, "status") == "2 images already on the page."
    write(tmp_path / "two" / "cells" / "cell1.png", cells[5])  # one file of it is another now
    upload(page, tmp_path / "two" / "cells", cells=7, field="#folder")
    assert "cells/cell1 (2).png" in page.run(TITLES)


def test_zips_are_folders_and_kept_apart_too(
    page: Browser, cells: list[np.ndarray], tmp_path: Path
) -> None:
    for number, who in enumerate(("one", "two")):
        (tmp_path / who).mkdir()
        write(tmp_path / "cell.png", cells[number])
        with zipfile.ZipFile(tmp_path / who / "Anna.zip", "w") as archive:
            archive.write(tmp_path / "cell.png", "cell.png")
        upload(page, tmp_path / who / "Anna.zip", cells=number + 1)
    assert page.run(TITLES) == ["Anna (2)/cell.png", "Anna.zip/cell.png"]
    assert page.run(SUBJECTS) == ["Anna", "Anna (2)"]


def test_equal_pixels_are_said_and_kept(
    page: Browser, cells: list[np.ndarray], tmp_path: Path
) -> None:
    for name in ("a.png", "b.bmp"):
        write(tmp_path / name, cells[0])
    write(tmp_path / "c.png", cells[1])
    upload(page, *tmp_path.iterdir(), cells=3)
    assert "1 cell has the same pixels as another, such as b.bmp and a.png." in read_text(
        page, "notes"
    )
    cards = page.run("document.getElementById('cells').innerText")
    assert "same pixels as a.png" in cards and "same pixels as b.bmp" in cards


def test_choosing_while_others_are_under_way_doubles_nothing(page: Browser, patients: Path) -> None:
    page.run(
        "window.chosen = 0; document.getElementById('folder')"
        ".addEventListener('change', () => { window.chosen += 1; })"
    )
    for number in range(3):  # the browser lists a folder's files in its own time
        page.choose_files("#folder", patients)
        page.wait(f"window.chosen === {number + 1}")
    page.wait("document.getElementById('status').textContent.startsWith('24 images already')")
    page.wait("document.getElementById('progress').hidden")
    assert page.run(COUNT) == 24


def test_a_folder_is_a_subject_and_can_be_changed(
    page: Browser, patients: Path, tmp_path: Path
) -> None:
    upload(page, patients, cells=24, field="#folder")
    assert page.run(SUBJECTS) == ["Anna", "Bert"]
    assert "Subjects by folder: Anna, Bert." in read_text(page, "notes")
    subjects = "[...document.querySelectorAll('#cells .subject')].map(e => e.textContent).sort()"
    assert page.run(subjects) == ["Anna"] * 12 + ["Bert"] * 12
    set_subject(page, "shown", "Carl")  # wrong: for all at once
    assert page.run(SUBJECTS) == ["Carl"]
    assert read_text(page, "subject-done") == "24 cells: subject “Carl”."
    page.run("document.getElementById('subject-undo').click()")
    read_text(page, "subjects")
    assert page.run(SUBJECTS) == ["Anna", "Bert"]
    choose(page, "filter-subject", "=Bert")
    assert read_text(page, "shown") == "12 of 24 shown"
    set_subject(page, "shown", "Dora")
    assert page.run(SUBJECTS) == ["Anna", "Dora"]

    (tmp_path / "saved").mkdir()
    table = download(page, "save-answers", tmp_path / "saved")
    rows = read_rows(table)
    assert len({row["image"] for row in rows}) == 24
    assert {(row["image"].split("/")[1], row["subject"]) for row in rows} == {
        *(("Anna", "Anna"), ("Bert", "Dora"))
    }
    summary = aggregate_predictions(table).table
    assert dict(zip(summary["subject"], summary["cells"], strict=True)) == {"Anna": 12, "Dora": 12}


FOLDERS = """import('/page/naming.js').then(({ findFolders }) => [
  ['patients/Anna/1', 'patients/Bert/1'],
  ['patients/Anna/normal/1', 'patients/Anna/leukaemic/2'],
  ['all/Anna/1', 'hem/Bert/2'],
  ['Anna/1', 'Anna/2', '3'],
  ['Anna/smear1/1', 'Bert/smear1/1'],
  ['set.zip/1', 'set.zip/2'],
  ['1', '2'],
  ['Anna.zip/1', 'Bert.ZIP/1'],
].map((paths) => findFolders(paths, ['normal', 'leukaemic', 'all', 'hem'])))"""


def test_the_folder_that_tells_subjects_apart_is_found(page: Browser) -> None:
    assert page.run(FOLDERS) == [
        *(["Anna", "Bert"], ["Anna", "Anna"], ["Anna", "Bert"], ["Anna", "Anna", ""]),
        *(["Anna", "Bert"], ["set", "set"], ["", ""], ["Anna", "Bert"]),
    ]


def test_a_server_that_goes_away_leaves_counts_marked_incomplete(
    page: Browser, patients: Path, tmp_path: Path
) -> None:
    page.run(OFF)
    page.choose_files("#folder", patients)
    page.wait("!document.getElementById('left').hidden")
    page.wait("document.getElementById('progress').hidden")
    assert page.run(COUNT) == 16
    words = "8 of 24 images not predicted"
    assert read_text(page, "left-words").startswith(
        f"{words}. The server cannot be reached. Is it still"
    )
    assert read_text(page, "incomplete") == f"Incomplete: {words}."
    assert read_text(page, "n-subjects") == "2, incomplete"
    assert read_text(page, "status").startswith("16 of 24 images predicted; 8 not predicted")
    (tmp_path / "saved").mkdir()
    rows = read_rows(download(page, "save-answers", tmp_path / "saved"))
    missing = [row for row in rows if row["warnings"] == "not predicted by the server"]
    assert len(rows) == 24 and len(missing) == 8 and {r["call"] for r in missing} == {"error"}
    twice = "document.getElementById('retry').click();" * 2
    page.run(twice)  # still gone
    page.wait("document.getElementById('progress').hidden")
    page.wait("!document.getElementById('left').hidden")
    page.run("window.gone = false; document.getElementById('retry').click()")
    page.wait(f"{COUNT} === 24")
    page.wait("document.getElementById('progress').hidden")
    read_text(page, "status")
    for name in ("left", "incomplete", "problem"):
        assert page.run(f"document.getElementById({name!r}).hidden")
    assert page.run(SUBJECTS) == ["Anna", "Bert"]
    assert page.run("document.activeElement !== document.body")


def test_what_is_no_cell_is_told_what_to_do(
    page: Browser, cells: list[np.ndarray], tmp_path: Path
) -> None:
    write(tmp_path / "cell.png", cells[0])
    noise = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    write(tmp_path / "photo.jpg", cv2.resize(noise, (1600, 1200), interpolation=cv2.INTER_CUBIC))
    for name in (
        "a.rar",
        "b.7z",
        "report.pdf",
        "slide.svs",
        "IMG.heic",
        "t.csv",
        "x.md",
        "cut.bmp",
    ):
        (tmp_path / name).write_bytes(b"%PDF or whatever")
    for name in (".DS_Store", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"of the system")
    page.choose_files("#files", *sorted(tmp_path.iterdir()))
    page.wait("document.getElementById('status').textContent.startsWith('1 of 3 images predicted')")
    words = read_text(page, "notes")
    for sentence in (
        "2 archives (a.rar, b.7z) skipped: the page opens zips only. Unpack it",
        "1 document (report.pdf) skipped: the page takes images. Save each cell",
        "1 file of a scanner or microscope (slide.svs) skipped: export single cells",
        "1 photograph in a format that is not read (IMG.heic) skipped: save it as PNG",
        "1 table (t.csv) skipped",
        "1 file (x.md) skipped: not an image.",
        "such as photo.jpg: a photograph, or a field with many cells? One cell an image",
        "1 file could not be read, such as cut.bmp: not an image that can be read.",
    ):
        assert sentence in words
    assert "DS_Store" not in words and "Thumbs" not in words
    assert read_text(page, "n-error") == "2"


def test_a_bad_zip_takes_nothing_along(page: Browser, patients: Path, tmp_path: Path) -> None:
    (patients / "bad.zip").write_bytes(b"PK nothing" * 9)
    upload(page, patients, cells=24, field="#folder")
    assert "patients/bad.zip: not a zip that can be read" in read_text(page, "notes")


ASKED = """(() => { const asked = new Event('beforeunload', { cancelable: true });
  window.dispatchEvent(asked); return asked.defaultPrevented; })()"""


def test_what_was_entered_is_warned_about_and_survives_a_reload(
    page: Browser, address: str, patients: Path, tmp_path: Path
) -> None:
    upload(page, patients, cells=24, field="#folder")
    assert not page.run(ASKED)
    choose(page, "filter-subject", "=Bert")
    read_text(page, "shown")
    set_subject(page, "shown", "Dora")
    assert page.run(ASKED)
    choose(page, "filter-subject", "")
    read_text(page, "shown")
    page.run("document.querySelector('#cells button').click()")
    page.press("n")
    page.press("Escape")
    (tmp_path / "saved").mkdir()
    download(page, "save-answers", tmp_path / "saved")
    assert not page.run(ASKED)  # it is in the table
    page.open(f"{address}?again")
    page.wait("document.getElementById('expected').textContent !== ''")
    upload(page, patients, cells=24, field="#folder")
    assert "is back for 1" in read_text(page, "notes")
    assert page.run(SUBJECTS) == ["Anna", "Dora"]
    assert page.run("document.getElementById('cells').innerText").count("You: normal") == 1
    page.run("window.confirm = () => true; document.getElementById('clear').click()")
    upload(page, patients, cells=24, field="#folder")
    assert page.run(SUBJECTS) == ["Anna", "Bert"]  # cleared is cleared
    assert not page.run(ASKED)


def test_blind_and_other_calls_are_kept_apart(
    page: Browser, patients: Path, tmp_path: Path
) -> None:
    upload(page, patients, cells=24, field="#folder")
    page.run("document.getElementById('threshold').value = 0.05;"
             "document.getElementById('threshold').dispatchEvent(new Event('input'))")  # fmt: skip
    page.run("document.querySelector('#cells button').click()")
    page.press("a")  # agrees with what it saw
    page.press("ArrowRight")
    page.press("l")  # says so itself, but saw the model's call
    page.press("Escape")
    page.wait("!document.getElementById('viewer').open")
    page.run("document.getElementById('start-reading').click()")
    for key in ("n", "l", "n", "u"):
        page.press(key)
    page.press("Escape")
    page.wait("!document.getElementById('viewer').open")
    words = read_text(page, "agreement")
    assert "Called before the model’s call was shown: you agree on" in words
    assert "of 3 cells" in words and "of 1 cell (" in words
    assert "By Agree: 1 cell, not counted." in words
    assert "You, blind: normal" in page.run("document.getElementById('cells').innerText")
    note = read_text(page, "labels-note")
    assert "4 of 6." in note and "by Agree" in note
    for name in ("answers", "labels"):
        (tmp_path / name).mkdir()
    rows = read_rows(download(page, "save-answers", tmp_path / "answers"))
    modes = sorted(row["reader_mode"] for row in rows if row["reader"])
    assert modes == ["agree", *["blind"] * 4, "unblinded"]
    labels = download(page, "save-labels", tmp_path / "labels")
    assert sorted(row["reader_mode"] for row in read_rows(labels)) == ["blind"] * 3 + ["unblinded"]
    run("evaluate", labels, "--out", tmp_path / "report")
    run("aggregate", next((tmp_path / "answers").iterdir()))


def test_seen_in_large_is_not_called_blind(page: Browser, patients: Path) -> None:
    shutil.rmtree(patients / "Bert")
    upload(page, patients, cells=12, field="#folder")
    page.run("document.querySelector('#cells button').click()")
    for _ in range(11):
        page.press("ArrowRight")
    page.press("Escape")
    page.wait("!document.getElementById('viewer').open")
    page.run("document.getElementById('start-reading').click()")
    page.press("n")
    page.press("Escape")
    page.wait("!document.getElementById('viewer').open")
    assert "Called after it was shown" in read_text(page, "agreement")
