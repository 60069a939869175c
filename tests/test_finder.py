"""A finder of several cells in an image is one function: all that follows takes them.

The finder here knows that some images are two cells side by side. What is said of each must be what
is said of the same cell in an image of its own.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import leukoscope as lk
from browser import Browser, find_chromium, serve
from leukoscope.arrays import UInt8Array
from leukoscope.catalogue import read_catalogue, select_usable
from leukoscope.catalogue.audit import compute_audit
from leukoscope.cells import extract
from leukoscope.cells.extract import cut_box
from leukoscope.cli import app
from leukoscope.inference.model import Classifier
from leukoscope.io.sources import list_sources
from leukoscope.predictions import read_predictions
from leukoscope.simulate import Cohort, simulate_pairs
from leukoscope.workflow.explanation import explain_images
from leukoscope.workflow.prediction import predict_images
from test_explain import CUE, write_cue_model
from test_page import download, read_text, tab, upload
from test_serve import ask, encode, post
from test_serve_explain import explain

__all__ = ["tab"]

SIDE = 450
BOXES = {"left": (0, 0, SIDE, SIDE), "right": (SIDE, 0, SIDE, SIDE)}


@pytest.fixture(autouse=True)
def finder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finds two cells in each image that is twice as wide as high."""
    before = extract.find_boxes

    def find(rgb: UInt8Array) -> dict[str, extract.Box]:
        return BOXES if rgb.shape[1] == 2 * rgb.shape[0] else before(rgb)

    monkeypatch.setattr(extract, "find_boxes", find)


@pytest.fixture(scope="module")
def cells() -> list[UInt8Array]:
    """Three cells with a spot each that the network sees, of unlike brightness."""
    found = []
    for number, rgb in enumerate(simulate_pairs(3, 5)[0]):
        spotted = rgb.copy()
        level = 140 + 10 * number
        cv2.circle(spotted, (2 * CUE[1], 2 * CUE[0]), 20, (150, level, 150), -1)
        found.append(spotted)
    return found


@pytest.fixture(scope="module")
def images(cells: list[UInt8Array], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A field of two cells, one cell, and a file that is no image."""
    folder = tmp_path_factory.mktemp("fields") / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(encode(np.hstack(cells[:2])))
    (folder / "b.png").write_bytes(encode(cells[2]))
    (folder / "c.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cue") / "cue.onnx"
    write_cue_model(path)
    return path


@pytest.fixture(scope="module")
def alone(cells: list[UInt8Array], tmp_path_factory: pytest.TempPathFactory, model: Path) -> Any:
    """What is said of each cell in an image of its own: a row of explanations.csv."""
    folder = tmp_path_factory.mktemp("alone")
    for name, rgb in zip("123", cells, strict=True):
        (folder / f"{name}.png").write_bytes(encode(rgb))
    found = explain_images([folder], tmp_path_factory.mktemp("out"), model)
    return found.table.to_dict("records")


ROWS = [("a.png", "left"), ("a.png", "right"), ("b.png", "")]
FIELD = [*ROWS, ("c.png", "")]


def test_predict_gives_a_row_a_cell(images: Path, model: Path, alone: Any) -> None:
    seen: list[tuple[int, int]] = []
    answers = list(predict_images([images], model, progress=lambda *step: seen.append(step))[0])
    assert [(answer.image, answer.cell) for answer in answers] == FIELD
    for answer, row in zip(answers[:3], alone, strict=True):
        assert (answer.probability, answer.call) == (row["probability"], row["call"])
        assert answer.warnings == row["warnings"]
    assert answers[3].call == "error"
    assert seen == [(1, 3), (2, 3), (3, 3)]  # images, not cells
    table = lk.predict(str(images), str(model), progress=False)
    assert list(zip(table["image"], table["cell"], strict=True)) == FIELD


def test_the_command_writes_a_row_a_cell(images: Path, model: Path, tmp_path: Path) -> None:
    words = ["predict", str(images), "--model", str(model)]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "rows.csv")])
    assert done.exit_code == 0 and "4 cells: 1 error" in done.output
    written = read_csv(tmp_path / "rows.csv")
    assert [(row["image"], row["cell"]) for row in written] == FIELD
    done = CliRunner().invoke(app, [*words, "--json"])
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(row["image"], row["cell"]) for row in rows] == FIELD


def test_explain_has_a_picture_and_a_row_a_cell(
    images: Path, model: Path, alone: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[int, int]] = []
    found = explain_images([images], tmp_path, model, progress=lambda *step: seen.append(step))
    table = pd.read_csv(tmp_path / "explanations.csv", keep_default_na=False)
    assert list(zip(table["image"], table["cell"], strict=True)) == ROWS
    assert list(table["picture"]) == ["a-left.png", "a-right.png", "b.png"]
    for row, one in zip(found.table.to_dict("records"), alone, strict=True):
        for name in set(row) - {"image", "cell", "seconds"}:
            assert row[name] == one[name] or pd.isna(row[name]), name
    pictures = [cv2.imread(str(tmp_path / name)) for name in table["picture"]]
    assert all(one.shape == (800, 1680, 3) for one in pictures)
    assert not np.array_equal(pictures[0], pictures[1])
    page = (tmp_path / "explanations.html").read_text()
    assert "a.png, cell left" in page and "a.png, cell right" in page and "b.png, cell" not in page
    assert list(found.refused) == ["c.png"]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    from leukoscope.cli.tables import print_explanations

    print_explanations(found)
    assert "a.png, cell right" in capsys.readouterr().out


def test_the_limit_counts_cells_before_any_is_explained(
    images: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leukoscope.errors import DataError
    from leukoscope.workflow import explanation

    monkeypatch.setattr(explanation, "MAX_CELLS", 3)
    monkeypatch.setattr(explanation, "explain_answer", None)  # must not be reached
    with pytest.raises(DataError, match="Over 3 cells in 3 images"):
        explain_images([images], tmp_path, model)


def test_the_api_names_cells_and_explains_the_one_asked_for(
    images: Path, model: Path, alone: Any
) -> None:
    sent = ("a.png", (images / "a.png").read_bytes())
    with ask(Classifier(model)) as client:
        files = [(path.name, path.read_bytes()) for path in sorted(images.iterdir())]
        rows = post(client, *files)["rows"]
        assert [(row["image"], row["cell"]) for row in rows] == FIELD
        assert [row["box"] for row in rows] == [
            *([*BOXES["left"]], [*BOXES["right"]], [0, 0, SIDE, SIDE], None)
        ]
        for cell, row, one in zip(BOXES, rows, alone, strict=False):
            found = explain(client, sent, params={"cell": cell})
            assert found["row"] == row
            assert found["check"]["score"] == one["score"]
            area = next(x for x in found["measures"] if x["name"] == "area")
            assert area["value"] == one["area"]
        expected = "a.png: expected one of its cells, left, right, as ?cell=NAME; received"
        assert explain(client, sent, expect=422)["detail"] == f"{expected} none."
        asked = {"cell": "top"}
        assert explain(client, sent, params=asked, expect=422)["detail"] == f"{expected} top."
        single = ("b.png", (images / "b.png").read_bytes())
        words = explain(client, single, params=asked, expect=422)["detail"]
        assert words == "b.png: expected no ?cell=, as it is one; received top."
        broken = ("c.png", b"no image")
        assert "not an image" in explain(client, broken, params=asked, expect=422)["detail"]


def test_several_cells_in_a_training_image_are_a_fault_of_the_data(
    cohort: Cohort, cells: list[UInt8Array], tmp_path: Path
) -> None:
    """A label is of an image: which of its cells it holds for is not known."""
    for source in list_sources(cohort.root)[:40]:
        target = tmp_path / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read())
    first = sorted(tmp_path.rglob("*.bmp"))[0]
    cv2.imwrite(str(first), np.hstack(cells[:2]))
    catalogue = read_catalogue(tmp_path)
    faulty = catalogue.table[catalogue.table["problem"].str.contains("2 cells in it")]
    assert [Path(image).name for image in faulty["image"]] == [first.name]
    assert first.name not in {Path(image).name for image in select_usable(catalogue)["image"]}
    assert "expected one cell in each image" in compute_audit(catalogue).problems.to_string()


# --- the page


@pytest.fixture(scope="module")
def address(model: Path) -> Iterator[str]:
    from leukoscope.serve import build_app

    with serve(build_app(Classifier(model))) as found:
        yield found


SPOT = (
    "(image => { if (image === null || !image.complete) return [0, 0];"
    " const c = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext('2d');"
    " c.drawImage(image, 0, 0);"
    f" return [image.naturalWidth, c.getImageData({2 * CUE[1]}, {2 * CUE[0]}, 1, 1).data[1]]; }})"
    "(document.querySelector('#v-picture img'))"
)
"""Width of the large picture, and green of its pixel in the middle of the spot."""


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed here")
def test_the_page_shows_saves_and_explains_each_cell(
    tab: Browser, address: str, images: Path, alone: Any, tmp_path: Path
) -> None:
    tab.open_tab()
    tab.resize(1280, 900)
    tab.open(address)
    tab.wait("document.querySelectorAll('[data-fact]').length && "
             "document.getElementById('value-model').textContent !== ''")  # fmt: skip
    upload(tab, *sorted(images.iterdir()), cells=4)
    assert read_text(tab, "status").startswith("2 of 3 images predicted")
    names = tab.run("[...document.querySelectorAll('.cell .file')].map(e => e.textContent)")
    assert set(names) == {"a.png, cell left", "a.png, cell right", "b.png", "c.png"}
    (tmp_path / "answers").mkdir()
    rows = read_csv(download(tab, "save-answers", tmp_path / "answers"))
    assert [(row["image"], row["cell"]) for row in rows] == FIELD
    for row, one in zip(rows[:3], alone, strict=True):
        assert float(row["probability"]) == one["probability"]
    for number, cell in enumerate(BOXES):
        tab.run(
            "[...document.querySelectorAll('#cells button')]"
            f".find(b => b.title.startsWith('a.png, cell {cell}')).click()"
        )
        assert read_text(tab, "v-name") == f"a.png, cell {cell}"
        tab.wait(f"String({SPOT}) === '{SIDE},{140 + 10 * number}'", 10)  # its own picture
        tab.press("w")
        tab.wait("!document.getElementById('v-found').hidden")
        said = read_text(tab, "v-said")
        assert f"score {alone[number]['score']:+.2f}" in said
        assert tab.run("document.querySelector('#v-overlay canvas').width") == SIDE
        tab.press("l")
        tab.run("(s => { s.value = 'P1'; s.dispatchEvent(new Event('change')); })"
                "(document.getElementById('v-subject'))")  # fmt: skip
        tab.press("Escape")
        tab.wait("!document.getElementById('viewer').open")
    read_text(tab, "status")  # once it has drawn
    (tmp_path / "labels").mkdir()
    labels = download(tab, "save-labels", tmp_path / "labels")
    assert [(row["image"], row["cell"]) for row in read_csv(labels)] == ROWS[:2]
    assert list(read_predictions(labels)["cell"]) == list(BOXES)  # as evaluate reads them
    assert tab.list_complaints() == []


def test_a_box_is_cut_where_it_lies() -> None:
    rgb = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert np.array_equal(cut_box(rgb, (1, 2, 3, 2)), rgb[2:4, 1:4])
