"""The page's "Why?" in a headless Chromium: a map with its check, or no map."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from browser import Browser, find_chromium, serve

pytest.importorskip("fastapi", reason="needs the extra serve")


from leukoscope.inference.model import Classifier
from leukoscope.records import Expected
from leukoscope.serve import build_app
from leukoscope.simulate import simulate_pairs
from test_explain import CUE, look_at_size, write_cue_model
from test_page import read_text, tab, upload
from test_serve import encode

__all__ = ["tab"]

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed here")


class Network:
    """Sees a spot, or, told so, the cell's size only; can be held up."""

    def __init__(self, cue: Classifier) -> None:
        words = Expected("test", False, {}, "A network of a test.")
        self.metadata = dataclasses.replace(cue.metadata, expected=words)
        self.name = "test-0"
        self.threshold, self.decision = cue.threshold, cue.decision
        self.sensitive_threshold = cue.sensitive_threshold
        self.size_only, self.asked = False, 0
        self.go_on = threading.Event()
        self.go_on.set()
        self._cue = cue

    def predict_batch(self, crops: Any) -> Any:
        self.asked += len(crops)
        assert self.go_on.wait(30)
        found = self._cue.predict_batch(crops)
        if self.size_only:
            found[:, 0] = look_at_size(crops)
        return found


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    path = tmp_path_factory.mktemp("cue") / "cue.onnx"
    write_cue_model(path)
    return Network(Classifier(path))


@pytest.fixture(scope="module")
def served(network: Network) -> Iterator[str]:
    with serve(build_app(network)) as found:
        yield found


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three cells with a spot that the network sees, and a field without a cell."""
    folder = tmp_path_factory.mktemp("cells")
    for number, rgb in enumerate(simulate_pairs(3, 5)[0]):
        spotted = rgb.copy()
        cv2.circle(spotted, (2 * CUE[1], 2 * CUE[0]), 20, (150, 150 - number, 150), -1)
        (folder / f"{number}.png").write_bytes(encode(spotted))
    (folder / "black.png").write_bytes(encode(np.zeros((450, 450, 3), np.uint8)))
    return sorted(folder.iterdir())


@pytest.fixture
def page(tab: Browser, served: str, network: Network, cells: list[Path]) -> Iterator[Browser]:
    """The page with the cells, the first one open and large."""
    network.size_only = False
    tab.open_tab()
    tab.resize(1280, 900)
    tab.open(served)
    tab.wait("document.getElementById('expected').textContent !== ''")
    upload(tab, *cells, cells=4)
    tab.run("document.querySelector('#cells button').click()")
    yield tab
    network.go_on.set()


ASKED = "performance.getEntriesByType('resource').filter(e => e.name.includes('v1/explain')).length"
DRAWN = "document.querySelectorAll('#v-overlay canvas').length"
OPEN = "document.getElementById('v-ask').getAttribute('aria-expanded')"


def ask_why(page: Browser) -> None:
    page.press("w")
    page.wait(f"{OPEN} === 'true'", 5)
    page.wait("document.getElementById('v-why').getAttribute('aria-busy') === 'false'")


def test_the_map_comes_with_its_check_and_goes_with_the_cell(
    page: Browser, network: Network
) -> None:
    network.go_on.clear()
    page.press("w")
    page.wait("!document.getElementById('v-wait').hidden")
    assert page.run(OPEN) == "true" and page.run(DRAWN) == 0
    network.go_on.set()
    page.wait("!document.getElementById('v-found').hidden")
    assert read_text(page, "v-said").startswith("The map passes its check: it scores")
    assert page.run(DRAWN) == 1 and page.run("document.getElementById('v-wait').hidden")
    coloured = page.run(
        "(c => [c.width, [...c.getContext('2d').getImageData("
        f"{2 * CUE[1]}, {2 * CUE[0]}, 1, 1).data]])(document.querySelector('#v-overlay canvas'))"
    )
    assert coloured[0] == 450 and coloured[1][3] > 200  # over the spot, as the map has it
    assert coloured[1][0] > 200 and coloured[1][2] < 20  # orange
    assert page.run("document.querySelectorAll('#v-measures tr').length") == 9
    page.press("l")  # a call of one's own takes nothing away
    assert page.run(DRAWN) == 1
    page.run("(s => { s.value = 0; s.dispatchEvent(new Event('input')); s.focus(); })"
             "(document.getElementById('v-strength'))")  # fmt: skip
    assert page.run("getComputedStyle(document.getElementById('v-overlay')).opacity") == "0"
    page.press("ArrowRight")  # the slider's key
    assert read_text(page, "v-place") == "1 of 4" and page.run(DRAWN) == 1
    page.press("w")
    assert page.run(OPEN) == "false" and page.run(DRAWN) == 0
    page.press("w")  # known: not asked again
    page.wait(f"{DRAWN} === 1")
    assert page.run(ASKED) == 1
    page.run("document.getElementById('v-next').click()")
    assert read_text(page, "v-place") == "2 of 4"
    assert page.run(DRAWN) == 0 and page.run("document.getElementById('v-why').hidden")
    assert page.list_complaints() == []


def test_no_map_without_the_check(page: Browser, network: Network) -> None:
    network.size_only = True
    ask_why(page)
    said = read_text(page, "v-said")
    assert said.startswith("Do not trust this map") and said.endswith("So it is not shown.")
    assert page.run(DRAWN) == 0 and page.run("document.getElementById('v-map').hidden")
    assert page.run("document.querySelectorAll('#v-measures tr').length") == 9


def test_moving_to_the_next_cell_stops_the_work(page: Browser, network: Network) -> None:
    network.go_on.clear()
    page.press("w")
    before = network.asked
    while network.asked == before:
        time.sleep(0.02)
    page.press("Escape")
    page.wait("!document.getElementById('viewer').open")
    time.sleep(1)  # the server looks for its client every quarter of a second
    network.go_on.set()
    time.sleep(0.5)
    assert network.asked - before < 30  # of about 130
    assert page.run(DRAWN) == 0 and page.run("document.getElementById('v-why').hidden")
    assert page.list_complaints() == []


def test_unexplainable_cells_are_reported(page: Browser) -> None:
    page.run("document.getElementById('v-close').click()")
    page.run(
        "[...document.querySelectorAll('#cells button')]"
        ".find(b => b.title.includes('black.png')).click()"
    )
    ask_why(page)
    assert read_text(page, "v-failed").startswith("black.png: no cell found")
    assert page.run("document.getElementById('v-found').hidden")


@pytest.mark.parametrize("width", [1200, 390])
def test_it_fits(page: Browser, width: int) -> None:
    page.resize(width, 844)
    ask_why(page)
    viewer = "document.getElementById('viewer')"
    assert page.run(f"{viewer}.scrollWidth <= {viewer}.clientWidth")
