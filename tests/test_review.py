"""The audit's page in a headless Chromium: links reviewed, groups saved, and trained with."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Browser, find_chromium, open_browser
from leukoscope.catalogue import Catalogue, read_catalogue, select_usable
from leukoscope.catalogue.groups import sort_names
from leukoscope.simulate import Cohort, CohortSettings, Faults, simulate_cohort
from leukoscope.splits import make_split
from leukoscope.workflow.checking import check_data

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")

# In the cohort, 4 and 8 share six linked cells (two with equal pixels), H2 and H4 five (one).
LINKS, NAMES = 11, 14


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    with open_browser(CHROMIUM, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def file(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "check.html"
    check_data(cohort.root, html=path)
    return path


def open_page(tab: Browser, path: Path) -> Browser:
    tab.open_tab()
    tab.resize(1200, 900)
    tab.open(path.as_uri())
    tab.wait("document.body.classList.contains('review')")
    return tab


@pytest.fixture
def page(tab: Browser, file: Path) -> Iterator[Browser]:
    """The page, freshly opened; a complaint, or a request to a network, fails the test."""
    yield open_page(tab, file)
    assert tab.list_complaints() == []
    asked = [e["params"]["request"]["url"] for e in tab.events if "requestWillBe" in e["method"]]
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def read_text(page: Browser, name: str) -> str:
    return str(page.run(f"document.getElementById('{name}').textContent"))


def click(page: Browser, name: str) -> None:
    page.run(f"document.getElementById('{name}').click()")


def press(page: Browser, *keys: str) -> None:
    for key in keys:
        page.press(key)


def list_rejected(page: Browser) -> list[int]:
    """Places of the pairs that look rejected, and say so to a screen reader."""
    script = (
        "[...document.querySelectorAll('.pair')].flatMap((card, place) => "
        "card.classList.contains('rejected') && "
        "card.querySelector('button').ariaPressed === 'true' ? [place] : [])"
    )
    return list(page.run(script))


def find_focus(page: Browser) -> int:
    return int(
        page.run(
            "[...document.querySelectorAll('.pair')].indexOf(document.activeElement.closest('.pair'))"
        )
    )


def download(page: Browser, button: str, folder: Path) -> list[dict[str, str]]:
    folder.mkdir(exist_ok=True)
    page.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    click(page, button)
    end = time.monotonic() + 20
    while not (found := [p for p in folder.glob("*.csv") if p.stat().st_size]):
        assert time.monotonic() < end
        time.sleep(0.05)
    return list(csv.DictReader(found[0].read_text("utf-8").splitlines()))


def list_pairs(page: Browser, a: str, b: str) -> list[int]:
    """Places of the pairs of two names."""
    links = page.run("JSON.parse(document.getElementById('review-data').textContent)")
    places = {links["names"].index(a), links["names"].index(b)}
    return [n for n, link in enumerate(links["links"]) if {link["a"], link["b"]} == places]


def test_rejections_change_persons_only_where_no_other_link_holds(page: Browser) -> None:
    assert read_text(page, "people") == "12" and f"{LINKS} links" in read_text(page, "tally")
    assert read_text(page, "groups").startswith("4+84–8: 6 linksH2+H4")
    pairs = list_pairs(page, "4", "8")
    for left, place in zip(range(5, 0, -1), pairs, strict=False):
        page.run(f"document.querySelectorAll('.pair button')[{place}].click()")
        assert f"Nothing changes: 4 and 8 stay joined by {left} other link" in read_text(
            page, "change"
        )
        assert read_text(page, "people") == "12"
    assert page.run("document.getElementById('equal').hidden")
    page.run(f"document.querySelectorAll('.pair button')[{pairs[-1]}].click()")
    assert read_text(page, "change") in (
        "Link rejected. 8 and 4 are separated: 13 people now.",
        "Link rejected. 4 and 8 are separated: 13 people now.",
    )
    assert read_text(page, "people") == "13" and list_rejected(page) == pairs
    assert read_text(page, "groups").startswith("H2+H4")
    assert read_text(page, "apart") == "Separated4–8: 6 links"
    assert "2 pairs under separated names have equal pixels" in read_text(page, "equal")

    page.run(f"document.querySelectorAll('.pair button')[{pairs[0]}].click()")
    assert read_text(page, "change") == "Link accepted. 4+8 are one person: 12 people now."
    click(page, "reset")
    assert list_rejected(page) == [] and page.run("document.getElementById('equal').hidden")


def test_the_keyboard_moves_accepts_rejects_and_shows_large(page: Browser) -> None:
    page.run("document.querySelector('.pair button[tabindex=\"0\"]').focus()")
    press(page, "ArrowRight", "r", "ArrowRight", "R", "ArrowLeft", "a")
    assert find_focus(page) == 1 and list_rejected(page) == [2]
    assert page.run("getComputedStyle(document.activeElement.closest('.pair')).outlineStyle") == (
        "solid"
    )
    columns = page.run(
        "getComputedStyle(document.querySelector('.pairs')).gridTemplateColumns.split(' ').length"
    )
    press(page, "ArrowDown")
    assert find_focus(page) == 1 + columns
    press(page, "End")
    assert find_focus(page) == LINKS - 1
    press(page, "ArrowRight", "Home", "ArrowLeft", "ArrowUp")
    assert find_focus(page) == 0
    assert page.run("document.querySelectorAll('.pair button[tabindex=\"0\"]').length") == 1

    press(page, "v", "ArrowRight")
    assert read_text(page, "view-title") == f"Pair 2 of {LINKS}"
    wide = page.run("document.getElementById('view-left').getBoundingClientRect().width")
    assert wide > 300
    press(page, "r")
    assert list_rejected(page) == [1, 2] and "Link rejected." in read_text(page, "view-change")
    press(page, "ArrowRight")
    assert read_text(page, "view-change").startswith("Rejected; 4 and 8 are joined by")
    press(page, "a", "Escape")
    page.wait("document.activeElement === document.querySelectorAll('.pair button')[2]", 10)
    assert list_rejected(page) == [1]


def test_all_links_of_two_names_are_decided_at_once(page: Browser) -> None:
    pairs = list_pairs(page, "H2", "H4")
    page.run("[...document.querySelectorAll('#groups button')].at(-1).click()")
    assert find_focus(page) == pairs[0]
    press(page, "v")
    assert read_text(page, "view-all-words") == "All 5 links between H2 and H4:"
    click(page, "view-reject-all")
    assert list_rejected(page) == pairs and "are separated: 13 people now" in read_text(
        page, "view-change"
    )
    click(page, "view-accept-all")
    assert list_rejected(page) == [] and read_text(page, "people") == "12"


def test_downloads_hold_every_name_and_every_choice(
    page: Browser, catalogue: Catalogue, tmp_path: Path
) -> None:
    found = download(page, "save-groups", tmp_path / "before")
    groups = dict(zip(catalogue.table["subject"], catalogue.table["group"], strict=True))
    assert len(groups) == NAMES
    assert [(r["subject"], r["group"]) for r in found] == [
        (n, groups[n]) for n in sort_names(groups)
    ]

    pairs = list_pairs(page, "H2", "H4")
    for place in pairs:
        page.run(f"document.querySelectorAll('.pair button')[{place}].click()")
    after = {r["subject"]: r["group"] for r in download(page, "save-groups", tmp_path / "after")}
    assert after == groups | {"H2": "H2", "H4": "H4"}
    links = download(page, "save-links", tmp_path / "links")
    assert list(links[0]) == [
        *("image", "other", "subject", "other_subject", "evidence", "correlation", "choice")
    ]
    assert len(links) == LINKS
    assert [n for n, r in enumerate(links) if r["choice"] == "rejected"] == pairs
    assert {r["subject"] for n, r in enumerate(links) if n in pairs} <= {"H2", "H4"}
    equal = [r for r in links if not r["evidence"]]
    assert len(equal) == 3 and not any(r["correlation"] for r in equal)
    assert all(float(r["evidence"]) >= 24 for r in links if r["evidence"])


def test_a_page_of_a_groups_file_begins_with_it_and_loses_none_of_it(
    tab: Browser, cohort: Cohort, catalogue: Catalogue, tmp_path: Path
) -> None:
    groups = dict(zip(catalogue.table["subject"], catalogue.table["group"], strict=True))
    groups |= {"4": "4", "8": "8", "1": "anna", "2": "anna", "H2": "anna", "H4": "anna"}
    path = tmp_path / "mine.csv"
    path.write_text("subject,group\n" + "".join(f"{n},{g}\n" for n, g in groups.items()))
    check_data(cohort.root, groups_csv=path, html=tmp_path / "check.html")
    page = open_page(tab, tmp_path / "check.html")
    assert list_rejected(page) == list_pairs(page, "4", "8")
    assert read_text(page, "people") == "11"
    assert "1–2: by mine.csv" in read_text(page, "groups")
    page.run(f"document.querySelectorAll('.pair button')[{list_pairs(page, '4', '8')[0]}].click()")
    saved = {r["subject"]: r["group"] for r in download(page, "save-groups", tmp_path / "saved")}
    assert {saved[n] for n in ("1", "2", "H2", "H4")} == {"1+2+H2+H4"} and saved["4"] == "4+8"
    assert tab.list_complaints() == []


def test_without_links_the_page_still_saves_a_row_for_each_name(
    tab: Browser, tmp_path: Path
) -> None:
    root = simulate_cohort(tmp_path / "a+b", CohortSettings(subjects=6, cells=30, seed=2)).root
    check_data(root, html=tmp_path / "check.html")
    page = open_page(tab, tmp_path / "check.html")
    assert not page.run("document.getElementById('no-groups').hidden")
    assert (
        page.run(
            "[...document.querySelectorAll('.side button')].filter(b => b.offsetParent).length"
        )
        == 1
    )
    rows = download(page, "save-groups", tmp_path / "saved")
    assert len(rows) == 6 and all(row["subject"] == row["group"] for row in rows)
    assert tab.list_complaints() == []


def test_figures_are_dark_in_the_dark(tab: Browser, file: Path) -> None:
    tab.open_tab()
    tab.resize(1200, 900, dark=True)
    tab.open(file.as_uri())
    drawn = "getComputedStyle(document.querySelector('figure{}')).{}"
    assert tab.run(drawn.format("", "backgroundColor")) == "rgb(27, 33, 41)"
    assert "invert" in tab.run(drawn.format(" img", "filter"))
    tab.resize(1200, 900, dark=True, media="print")
    assert tab.run(drawn.format(" img", "filter")) == "none"  # paper is white
    tab.resize(1200, 900)


def test_check_reject_save_split(tab: Browser, tmp_path: Path) -> None:
    """The whole circle: one planted link is all that joins two names, until it is rejected."""
    settings = CohortSettings(subjects=8, cells=80, seed=1, faults=Faults(reprocessed_cells=1))
    root = simulate_cohort(tmp_path / "cells", settings).root
    check_data(root, html=tmp_path / "check.html")
    linked = select_usable(read_catalogue(root))
    (joined,) = [group for group in linked["group"].unique() if "+" in group]
    a, b = joined.split("+")

    page = open_page(tab, tmp_path / "check.html")
    page.run("document.querySelector('.pair button').focus()")
    press(page, "v")
    assert "are joined by this link alone: rejecting it separates them." in read_text(
        page, "view-change"
    )
    press(page, "r")
    assert "are separated: 8 people now." in read_text(page, "view-change")
    download(page, "save-groups", tmp_path / "saved")

    reviewed = select_usable(read_catalogue(root, groups_csv=tmp_path / "saved" / "groups.csv"))
    assert (linked["group"].nunique(), reviewed["group"].nunique()) == (7, 8)

    def stand_apart(seed: int, table: object) -> bool:
        folds = make_split(table, "group-kfold", folds=2, seed=seed).folds  # type: ignore[arg-type]
        return len({a, b} & set(reviewed.loc[folds[0].evaluated, "subject"])) == 1

    assert not any(stand_apart(seed, linked) for seed in range(10))
    assert any(stand_apart(seed, reviewed) for seed in range(10))
