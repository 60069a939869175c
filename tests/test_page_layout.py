"""How the page stands: what is in view and printed, what the keyboard keeps, what axe finds."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from browser import Browser, find_axe, find_chromium

pytest.importorskip("fastapi", reason="needs the extra serve")

from test_page import address, files, page, read_text, tab, upload

__all__ = ["address", "files", "page", "tab"]

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed here")

OPEN = "document.getElementById('viewer').open"
EXPORTS = ("print", "save-answers", "save-labels", "clear")
BOX = "JSON.parse(JSON.stringify(document.getElementById({!r}).getBoundingClientRect()))"
HIT = """(id => {{ const e = document.getElementById(id), b = e.getBoundingClientRect();
  return e.contains(document.elementFromPoint(b.x + b.width / 2, b.y + b.height / 2)); }})({!r})"""


def find_box(page: Browser, name: str) -> dict[str, float]:
    return dict(page.run(BOX.format(name)))


def open_first(page: Browser) -> None:
    page.run("document.querySelector('#cells button').click()")
    page.wait(OPEN)
    page.wait("document.querySelector('#v-picture img') !== null")


def test_exports_are_in_view_on_a_desktop(page: Browser, files: list[Path]) -> None:
    upload(page, *files, cells=40)
    for name in EXPORTS:
        assert find_box(page, name)["bottom"] < 900
    assert find_box(page, "h-cells")["top"] < 900
    side = "getComputedStyle(document.getElementById('side')).scrollbarWidth"
    assert page.run(side) != "none"  # where it scrolls, it shows that it does


def test_cells_come_soon_on_a_telephone(page: Browser, files: list[Path]) -> None:
    page.resize(390, 844)
    page.wait("matchMedia('(max-width: 60rem)').matches")
    upload(page, *files[:12], cells=12)
    page.run("scrollTo(0, 0)")
    assert find_box(page, "h-cells")["top"] < 1000
    small = page.run(
        "[...document.querySelectorAll('main button, main select, main summary')]"
        ".filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 44)"
        ".map(e => e.id || e.textContent)"
    )
    assert small == []


@pytest.mark.parametrize("size", [(1280, 900), (640, 450), (390, 844), (320, 225)])
def test_the_large_view_hides_neither_calls_nor_close(
    page: Browser, files: list[Path], size: tuple[int, int]
) -> None:
    """640×450 is a window of 1280×900 at 200%."""
    page.resize(*size)
    upload(page, *files[:12], cells=12)
    open_first(page)
    assert page.run(HIT.format("v-close"))
    close = find_box(page, "v-close")
    assert close["width"] >= 44 <= close["height"]
    for name in ("v-readings", "v-ask", "v-next"):
        page.run(f"document.getElementById({name!r}).scrollIntoView({{ block: 'end' }})")
        assert page.run(HIT.format("v-close"))
        if name != "v-readings":
            assert page.run(HIT.format(name))
    page.run("document.querySelector('[data-reading=normal]').scrollIntoView({ block: 'end' })")
    hit = """(b => document.elementFromPoint(b.x + 20, b.y + b.height / 2).dataset.reading)(
      document.querySelector('[data-reading=normal]').getBoundingClientRect())"""
    assert page.run(hit) == "normal"
    low = page.run(
        "[...document.querySelectorAll('#viewer button')]"
        ".filter(b => b.getBoundingClientRect().height < 44).length"
    )
    assert low == 0


def test_the_keyboard_is_never_lost(page: Browser, files: list[Path]) -> None:
    upload(page, *files[:12], cells=12)
    open_first(page)
    page.run("document.getElementById('v-ask').focus()")
    for _ in range(2):  # opens, and closes
        page.press("Enter")
        page.wait("document.getElementById('v-why').getAttribute('aria-busy') === 'false'", 60)
        assert page.run("document.activeElement.id") == "v-ask"
    page.press("Escape")
    page.wait(f"!{OPEN}")
    page.wait("document.activeElement.closest('#cells') !== null")
    page.run("document.getElementById('clear').focus()")
    page.press("Enter")
    page.wait("document.getElementById('work').hidden")
    assert page.run("document.activeElement.id") == "intake"


def test_a_menus_printing_finds_its_pictures(page: Browser, files: list[Path]) -> None:
    cells = [path for path in files if path.name.startswith("UID")]
    folder = files[0].parents[1] / "many"
    folder.mkdir(exist_ok=True)
    for number in range(64):
        with contextlib.suppress(FileExistsError):
            os.link(cells[number % len(cells)], folder / f"{number}.bmp")
    upload(page, *folder.iterdir(), cells=64)
    page.wait("document.querySelectorAll('#cells li.printed .frame img').length === 60")
    page.run("scrollTo(0, document.body.scrollHeight)")
    page.wait("scrollY > 1500")
    assert page.run(  # at once, as a browser prints
        "(() => { window.dispatchEvent(new Event('beforeprint'));"
        "return document.querySelectorAll('#cells li.printed .frame img').length; })()"
    ) == 60  # fmt: skip
    page.resize(1280, 900, media="print")
    assert read_text(page, "printed").startswith("Pictures of the first 60 of 64 cells shown")
    drawn = "[...document.querySelectorAll('#cells li')].filter(e => e.checkVisibility()).length"
    assert page.run(drawn) == 60
    assert page.run("document.getElementById('people').open")
    page.resize(1280, 900)


def test_only_dark_pictures_are_brightened(
    page: Browser, files: list[Path], tmp_path: Path
) -> None:
    bright = np.full((450, 450, 3), 240, np.uint8)
    cv2.circle(bright, (225, 225), 90, (140, 60, 120), -1)
    assert cv2.imwrite(str(tmp_path / "foreign.png"), bright)
    upload(page, next(p for p in files if "UID" in p.name), tmp_path / "foreign.png", cells=2)
    page.wait("document.querySelectorAll('.frame img').length === 2")
    found = page.run(
        "[...document.querySelectorAll('#cells button')].map(b => [b.title.includes('foreign'), "
        "Number(b.querySelector('img').style.getPropertyValue('--light')), "
        "b.querySelector('img').classList.contains('framed')]).sort()"
    )
    assert found[0][1] > 1.2 and found[0][2]
    assert found[1] == [True, 1, False]


def find_violations(page: Browser) -> Any:
    script = "axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))"
    return page.run(script, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (640, 450), (390, 844)])
def test_axe_finds_nothing(
    page: Browser, files: list[Path], tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    """In every state: empty, cells, choices open, blind, large, explained, errors."""
    if not (axe := find_axe(tmp_path)):
        pytest.skip("axe-core is not here, and npm did not fetch it: LEUKOSCOPE_AXE names its file")
    page.resize(*size, dark=dark)
    page.run(f"{axe};1")
    assert find_violations(page) == []
    (tmp_path / "report.pdf").write_bytes(b"%PDF")
    upload(page, *files[:14], files[-1], tmp_path / "report.pdf", cells=14)
    page.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert find_violations(page) == []
    page.run(
        "for (const id of ['left', 'incomplete', 'problem', 'token-form', 'progress', "
        "'subject-undo']) document.getElementById(id).hidden = false;"
        "document.getElementById('problem').textContent = 'The server cannot be reached.'"
    )
    assert find_violations(page) == []
    open_first(page)
    page.press("n")
    assert find_violations(page) == []
    page.press("w")
    page.wait("document.getElementById('v-why').getAttribute('aria-busy') === 'false'", 60)
    assert find_violations(page) == []
    page.press("Escape")
    page.wait(f"!{OPEN}")
    page.run("document.getElementById('start-reading').click()")
    page.wait(OPEN)
    assert find_violations(page) == []
