"""The web page in a headless Chromium, as a user meets it, and what it decides."""

from __future__ import annotations

import csv
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from browser import Browser, find_chromium, open_browser, serve

pytest.importorskip("fastapi", reason="needs the extra serve")


from leukoscope.inference.model import Classifier, find_shipped_model
from leukoscope.predictions import read_predictions
from leukoscope.serve import build_app
from leukoscope.simulate import Cohort
from leukoscope.workflow.aggregation import aggregate_predictions

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serve(build_app(Classifier(find_shipped_model()))) as found:
        yield found


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    with open_browser(CHROMIUM, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(tab: Browser, address: str) -> Iterator[Browser]:
    """The page, freshly opened; whatever it complained of in the end fails the test."""
    tab.open_tab()
    tab.resize(1280, 900)
    tab.open(address)
    tab.wait("document.getElementById('expected').textContent !== ''")
    yield tab
    assert tab.list_complaints() == []


def upload(page: Browser, *paths: Path, cells: int, field: str = "#files") -> None:
    page.choose_files(field, *paths)
    page.wait(f"document.querySelectorAll('#cells li').length === {cells}")
    page.wait("document.getElementById('progress').hidden")
    read_text(page, "status")  # all is drawn


def read_text(page: Browser, name: str) -> str:
    """Text of an element, once the page has drawn."""
    script = (
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => "
        f"done(document.getElementById('{name}').innerText))))"
    )
    return str(page.run(script))


def set_slider(page: Browser, value: float) -> None:
    page.run(
        f"(s => {{ s.value = {value}; s.dispatchEvent(new Event('input')); }})"
        "(document.getElementById('threshold'))"
    )


def download(page: Browser, button: str, folder: Path) -> Path:
    page.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    page.run(f"document.getElementById('{button}').click()")
    end = time.monotonic() + 20
    while not (found := [p for p in folder.glob("*.csv") if p.stat().st_size]):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found[0]


@pytest.fixture(scope="module")
def files(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Forty BMP files of several people; one is not whole, one is a field without a cell."""
    folder = tmp_path_factory.mktemp("files") / "cells"
    folder.mkdir()
    shown = [name for name in cohort.truth["image"] if name not in set(cohort.planted["image"])]
    for name in shown[:38]:
        os.link(cohort.root / name, folder / Path(name).name)
    whole = (folder / Path(shown[0]).name).read_bytes()
    (folder / "broken.bmp").write_bytes(whole[:5000])
    (folder / "black.bmp").write_bytes(whole[:54] + bytes(len(whole) - 54))
    (folder / "notes.txt").write_text("no image")
    return sorted(folder.iterdir())


def test_upload_slider_and_downloads(page: Browser, files: list[Path], tmp_path: Path) -> None:
    upload(page, *files, cells=40)
    assert read_text(page, "status").startswith("38 of 40 images predicted; 2 without a prediction")
    assert "1 file (notes.txt) skipped: not an image." in read_text(page, "notes")
    assert page.run("document.getElementById('simulated').hidden")
    found = page.run("[...document.querySelectorAll('.cell .number')].map(e => e.textContent)")
    numbers = [float(text) for text in found if text != "–"]
    assert numbers == sorted(numbers, reverse=True) and len(numbers) == 38

    for value in (0.2, 0.8):
        set_slider(page, value)
        counted = sum(number >= value for number in numbers)
        assert read_text(page, "n-leukaemic") == str(counted)
        assert read_text(page, "n-normal") == str(38 - counted)
        assert read_text(page, "n-error") == "2"

    (tmp_path / "answers").mkdir()
    table = download(page, "save-answers", tmp_path / "answers")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    expected = {a.image: a.probability for a in _predict(files)}
    sure = {a.image: a.conformal_call for a in _predict(files)}
    assert {r["image"]: r["conformal_call"] for r in rows} == sure
    assert {r["image"]: float(r["probability"] or "nan") for r in rows} == pytest.approx(
        {name: np.nan if p is None else p for name, p in expected.items()}, abs=0, nan_ok=True
    )
    assert {r["threshold"] for r in rows} == {"0.8"}
    assert {r["call"] for r in rows if r["image"] in ("broken.bmp", "black.bmp")} == {"error"}


def _predict(files: list[Path]) -> list:  # type: ignore[type-arg]
    from leukoscope.workflow.prediction import predict_images

    return list(predict_images([files[0].parent])[0])


def test_a_readers_calls_are_kept_compared_and_fit_for_evaluate(
    page: Browser, files: list[Path], tmp_path: Path
) -> None:
    upload(page, *files, cells=40)
    set_slider(page, 0.5)
    page.run("document.querySelector('#cells button').click()")
    page.wait("document.getElementById('viewer').open")
    first = read_text(page, "v-name")
    assert read_text(page, "v-call") == "leukaemic"
    page.press("l")
    page.press("ArrowRight")
    page.press("n")
    page.press("ArrowRight")
    page.press("u")
    assert read_text(page, "v-place") == "3 of 40"
    page.press("Escape")
    page.wait("!document.getElementById('viewer').open")
    assert "1 of 2 cells (50%)" in read_text(page, "agreement")
    assert "no kappa, as you knew its call" in read_text(page, "agreement")
    assert "unsure of 1" in read_text(page, "agreement")
    shown = "document.querySelectorAll('#cells li:not([hidden])').length"
    for choice, count in (("differ", 1), ("read", 3), ("unread", 37), ("", 40)):
        page.run(
            f"(s => {{ s.value = '{choice}'; s.dispatchEvent(new Event('change')); }})"
            "(document.getElementById('filter-reading'))"
        )
        read_text(page, "shown")
        assert page.run(shown) == count
    # an overridden call stays the reader's when the slider moves
    set_slider(page, 0.99)
    assert "1 of 2 cells (50%)" in read_text(page, "agreement")
    table = read_predictions(download(page, "save-labels", tmp_path))
    assert sorted(table["label"]) == ["leukaemic", "normal"]
    assert list(table["image"][table["label"] == "leukaemic"]) == [first]
    assert set(table["threshold"]) == {Classifier(find_shipped_model()).threshold}
    assert set(table["reader_mode"]) == {"unblinded"}


def test_reading_one_by_one_hides_what_would_sway_the_reader(
    page: Browser, files: list[Path]
) -> None:
    upload(page, *files, cells=40)
    page.run("document.getElementById('start-reading').click()")
    page.wait("document.getElementById('viewer').open")
    shown = "document.getElementById('viewer').innerText"
    for key, place in (("l", "2 of 38"), ("a", "2 of 38"), ("n", "3 of 38"), ("u", "4 of 38")):
        words = page.run(shown)
        assert "UID" not in words and "0." not in words and "hidden until you enter" in words
        assert not page.run("document.getElementById('v-subject').checkVisibility()")
        behind = "getComputedStyle(document.getElementById('viewer'), '::backdrop').backgroundColor"
        assert page.run(behind) == "rgb(20, 24, 30)"  # nothing is seen through it
        page.press(key)
        assert read_text(page, "v-place") == place
    page.press("ArrowLeft")
    assert "probability" in page.run(shown)  # once called, it is told
    page.press("Escape")
    page.wait("!document.getElementById('viewer').open")
    assert "unsure of 1" in read_text(page, "agreement")
    assert "Called before the model’s call was shown" in read_text(page, "agreement")
    assert "no kappa" not in read_text(page, "agreement")  # none was called after


def test_subjects_are_read_or_typed_in(page: Browser, files: list[Path], tmp_path: Path) -> None:
    nameless = tmp_path / "cell.bmp"
    nameless.write_bytes(files[0].read_bytes())
    upload(page, *files, nameless, cells=41)
    assert page.run("document.getElementById('subject-whose').value") == "without"
    people = {path.name.split("_")[1] for path in files if path.name.startswith("UID")}
    names = "[...document.querySelectorAll('#subjects tbody th')].map(e => e.textContent)"
    assert set(page.run(names)) == people
    assert "the 3 cells shown without one" in read_text(page, "subject-whose")
    page.run(
        "document.getElementById('subject-name').value = 'new';"
        "document.querySelector('#subject-form button').click()"
    )
    read_text(page, "subjects")
    assert set(page.run(names)) == people | {"new"}
    assert page.run("document.getElementById('subject-whose').value") == "shown"


def test_subjects_are_aggregated_as_by_aggregate(
    page: Browser, files: list[Path], tmp_path: Path
) -> None:
    upload(page, *files, cells=40)
    shown = page.run(
        "[...document.querySelectorAll('#subjects tbody tr')].map("
        "r => [r.cells[0].textContent, r.cells[6].textContent, r.cells[7].textContent])"
    )
    table = download(page, "save-answers", tmp_path)
    rows = [row for row in csv.DictReader(table.read_text().splitlines()) if row["subject"]]
    known = tmp_path / "known.csv"
    with known.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    summary = aggregate_predictions(known).table.set_index("subject")
    assert summary["probability"].notna().all() and len(shown) == len(summary) > 3
    for subject, probability, call in shown:
        row = summary.loc[subject]
        assert float(probability) == pytest.approx(row["probability"], abs=5.1e-4)
        called = row["call"] in ("leukaemic", "normal") and not row["certain"]
        assert call == (f"uncertain, rather {row['call']}" if called else row["call"])


def test_filters_by_call_and_warning(page: Browser, files: list[Path]) -> None:
    upload(page, *files, cells=40)
    set_slider(page, 0.5)
    leukaemic = int(read_text(page, "n-leukaemic"))
    answers = _predict(files)
    uncertain = sum(answer.conformal_call == "uncertain" for answer in answers)
    warned = sum(bool(answer.warnings) for answer in answers)
    unlike = sum("unlike most training cells" in answer.warnings for answer in answers)
    assert 2 < unlike < warned < 40 > uncertain
    assert f"Conformal call uncertain: {uncertain}," in read_text(page, "uncertain")
    for name, value, count in (
        ("filter-call", "leukaemic", leukaemic),
        ("filter-call", "error", 2),
        ("filter-call", "", 40),
        ("filter-certainty", "certain", 38 - uncertain),
        ("filter-certainty", "uncertain", uncertain),
        ("filter-certainty", "", 40),
        ("filter-warning", "any", warned),
        ("filter-warning", "no cell found", 1),
        ("filter-warning", "unlike most training cells", unlike),
        ("filter-warning", "none", 40 - warned),
    ):
        page.run(
            f"(s => {{ s.value = '{value}'; s.dispatchEvent(new Event('change')); }})"
            f"(document.getElementById('{name}'))"
        )
        read_text(page, "shown")
        assert page.run("document.querySelectorAll('#cells li:not([hidden])').length") == count


def test_zip_and_folder_give_the_same_cells(
    page: Browser, files: list[Path], tmp_path: Path
) -> None:
    archive = tmp_path / "cells.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for path in files[:10]:
            opened.write(path, f"some/{path.name}")
        opened.writestr("SIMULATED.txt", "drawn")
        opened.writestr("__MACOSX/x.bmp", "rubbish")
    upload(page, archive, cells=10)
    read_text(page, "status")
    assert not page.run("document.getElementById('simulated').hidden")
    page.wait("document.querySelectorAll('.frame img').length >= 8")  # pictures of BMP files
    upload(page, archive, cells=10)
    assert "10 images already on the page" in read_text(page, "status")
    upload(page, files[0].parent, cells=50, field="#folder")


def test_samples_come_with_one_click_and_say_that_they_are_simulated(page: Browser) -> None:
    page.run("document.getElementById('try-samples').click()")
    assert page.run("document.activeElement.id") == "intake"  # the button goes, the keyboard stays
    page.wait("document.querySelectorAll('#cells li').length === 150")
    page.wait("document.getElementById('progress').hidden")
    assert "Simulated cells" in read_text(page, "simulated")
    assert "A small network that learned from simulated cells" in read_text(page, "simulated")
    assert "too few cells" in read_text(page, "subjects")
    assert "too many warnings" not in read_text(page, "subjects")
    rows = "[...document.querySelectorAll('#subjects tbody tr')].map(r => [...r.cells].slice(6)"
    calls = page.run(f"{rows}.map(c => c.textContent))")
    assert any(float(p) > 0.9 and call == "leukaemic" for p, call in calls)
    (doubtful,) = [call for p, call in calls if 0.1 < float(p) < 0.9 and call != "too few cells"]
    assert doubtful == "uncertain, rather normal"
    uncertain = int(read_text(page, "uncertain").split(":")[1].split(",")[0])
    assert uncertain < 60  # of 150
    assert page.run("document.getElementById('cells').textContent").count("unlike") < 10
    right = page.run(
        "[...document.querySelectorAll('#cells .cell')].filter(c => c.title.includes('_all.') === "
        "(c.querySelector('.call').textContent === 'leukaemic')).length"
    )
    assert right > 115
    page.run("document.querySelector('#cells button').click()")
    page.press("w")
    page.wait("document.getElementById('v-why').getAttribute('aria-busy') === 'false'", 60)
    assert read_text(page, "v-failed") == ""


def test_an_invalid_zip_is_one_sentence(page: Browser, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip" * 30)
    page.choose_files("#files", tmp_path / "a.zip")
    page.wait("document.querySelectorAll('#notes li').length === 1")
    assert read_text(page, "notes").startswith("a.zip: not a zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("../x.bmp", b"x")
    page.choose_files("#files", tmp_path / "b.zip")
    page.wait("document.getElementById('notes').textContent.includes('unsafe path')")


def test_the_keyboard_reaches_cells(page: Browser, files: list[Path]) -> None:
    upload(page, *files[:12], cells=12)
    stops = "document.querySelectorAll('#cells button[tabindex=\"0\"]').length"
    read_text(page, "shown")
    assert page.run(stops) == 1  # one stop of the tab key, whatever the number of cells
    page.run("document.querySelector('#cells button[tabindex=\"0\"]').focus()")
    page.press("ArrowRight")
    place = "[...document.querySelectorAll('#cells button')].indexOf(document.activeElement)"
    assert page.run(place) == 1 and page.run(stops) == 1
    page.press("End")
    assert page.run(place) == 11
    page.press("Enter")
    page.wait("document.getElementById('viewer').open")
    assert read_text(page, "v-place") == "12 of 12"


def test_two_thousand_cells_follow_the_slider(page: Browser) -> None:
    """Cells without an engine: what the browser itself needs for one move of the slider."""
    page.run("""(async () => {
      const { addCells, buildGallery, updateGallery } = await import('/page/gallery.js');
      const { showCounts, showSubjects } = await import('/page/panels.js');
      const { facts } = await (await fetch('/v1/model')).json();
      document.getElementById('work').hidden = false;
      const gallery = buildGallery(document.getElementById('cells'), () => {});
      const cells = Array.from({ length: 2000 }, (_, i) => ({
        image: `UID_${i % 60}_1_${i}_all.bmp`, subject: String(i % 60),
        probability: (i * 37 % 2000) / 2000, conformalCall: 'uncertain', warnings: '',
        reading: null, mode: '', simulated: true }));
      const open = async () => new Blob();
      for (let i = 0; i < 2000; i += 16)
        addCells(gallery, cells.slice(i, i + 16).map(cell => ({ cell, open })), 0.5);
      window.moveTo_ = (threshold) => {
        const started = performance.now();
        showCounts(cells, threshold); showSubjects(cells, threshold, facts, false);
        updateGallery(gallery, threshold, () => true);
        document.body.offsetHeight;
        return performance.now() - started;
      };
    })()""")
    assert page.run("document.querySelectorAll('#cells li').length") == 2000
    took = sorted(page.run(f"window.moveTo_({0.1 + 0.02 * step})") for step in range(40))
    assert took[20] < 50, took  # about 5 ms on a free machine


VALUES = """(async () => {
  const d = await import('/page/deciding.js');
  const facts = { ...(await (await fetch('/v1/model')).json()).facts };
  facts.subject_line = { slope: 2, intercept: -0.5 };
  const cell = (probability, reading = null, subject = 'a') => ({
    image: `${probability}${subject}`, subject, probability, reading, conformalCall: 'uncertain',
    warnings: '', simulated: false, mode: reading ? 'blind' : '',
  });
  const some = (n, ...words) => Array(n).fill(cell(...words));
  const readings = [
    ...some(20, 0.9, 'leukaemic'), ...some(5, 0.9, 'normal'),
    ...some(10, 0.1, 'leukaemic'), ...some(15, 0.1, 'normal'),
    cell(0.9, 'unsure'), cell(0.9), cell(null, 'normal')];
  const people = [
    ...some(19, 0.9, null, '10'), ...some(20, 0.9, null, '9'), ...some(11, 0.1, null, 'H1'),
    ...some(9, 0.9, null, 'H1'), ...some(30, 0.1, null, 'h3'), cell(null, null, 'h3'),
    cell(0.2, null, '')];
  const quoted = { ...cell(0.1 + 0.2, 'normal'), image: 'a "b", c.bmp' };
  return {
    wilson: [[8, 10], [0, 10], [10, 10]].map(([k, n]) => d.computeWilson(k, n, facts.wilson_z)),
    agreement: d.computeAgreement(readings, 0.5),
    none: d.computeAgreement([], 0.5),
    same: d.computeAgreement([cell(0.9, 'leukaemic')], 0.5),
    calls: [0.5, 0.49999, null].map(p => d.callCell(cell(p), 0.5)),
    bins: d.countBins([cell(0), cell(0.0999), cell(1), cell(null)], 10),
    people: d.aggregateSubjects(people, 0.5, facts)
      .map(s => [s.name, s.cells, s.leukaemic, s.call, s.probability]),
    strange: d.aggregateSubjects(
      people.map((c, i) => ({ ...c, warnings: i % 3 ? 'odd' : '' })), 0.5, facts)
      .map(s => s.call),
    lineless: d.aggregateSubjects(people, 0.5, { ...facts, subject_line: null })
      .map(s => [s.call, s.probability]),
    table: d.writeLabels([quoted], { threshold: 0.7, sensitive_threshold: 0.4 }),
  };
})()"""


def test_what_the_page_decides_is_correct(page: Browser) -> None:
    found = page.run(VALUES)
    # Wilson: 8 of 10 is [0.4902, 0.9433] (Wilson 1927; statsmodels' proportion_confint agrees)
    np.testing.assert_allclose(found["wilson"][0], [0.490162, 0.943318], atol=1e-6)
    np.testing.assert_allclose(found["wilson"][1:], [[0, 0.277533], [0.722467, 1]], atol=1e-6)
    kappa = found["agreement"].pop("kappa")
    assert kappa == pytest.approx(0.4)  # the example of Cohen's kappa with 20, 5, 10, 15
    assert found["agreement"] == {"cells": 50, "agreed": 35, "unsure": 1}
    assert found["none"]["kappa"] is None and found["same"]["kappa"] is None
    assert found["calls"] == ["leukaemic", "normal", "error"]
    assert found["bins"] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    logits = [np.log(9), np.log(9), (9 - 11) * np.log(9) / 20, -np.log(9)]
    probabilities = 1 / (1 + np.exp(-(2 * np.array(logits) - 0.5)))
    np.testing.assert_allclose([row.pop() for row in found["people"]], probabilities)
    assert found["people"] == [
        ["9", 20, 20, "leukaemic"],
        ["10", 19, 19, "too few cells"],
        ["H1", 20, 9, "normal"],
        ["h3", 30, 0, "normal"],
    ]
    assert found["strange"] == ["too many warnings", "too few cells", *["too many warnings"] * 2]
    assert found["lineless"][0] == ["no call", None]
    assert (
        found["table"]
        .splitlines()[1]
        .startswith('"a ""b"", c.bmp",,a,normal,0.30000000000000004,0.7,0.4')
    )


def test_the_page_fits_a_telephone(page: Browser, files: list[Path]) -> None:
    page.resize(390, 844)
    upload(page, *files[:12], cells=12)
    assert page.run("document.documentElement.scrollWidth") <= 390
    table = "document.getElementById('subjects')"
    assert page.run(f"{table}.scrollWidth <= {table}.clientWidth")
