"""The page: whole in one file, safe with any name, and consistent with its numbers."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukoscope.evaluation import compute_evaluation
from leukoscope.report import write_report
from leukoscope.report.words import describe_evaluation

_VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Tags and attributes of a page; fails on a tag that does not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    def get_all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def build_table(separation: float = 1.0, people: int = 12, cells: int = 8) -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = []
    for person in range(people):
        leukaemic = person % 2 == 0
        logits = separation * (1 if leukaemic else -1) + random.normal(0, 1.2, cells)
        areas = random.lognormal(9 + 0.3 * leukaemic, 0.2, cells)
        for cell in range(cells):
            rows.append(
                {
                    "image": f"<script>alert({person})<b>{cell}.bmp",
                    "subject": f"{person}<b>",
                    "label": "leukaemic" if leukaemic else "normal",
                    "probability": 1 / (1 + np.exp(-logits[cell])),
                    "area": areas[cell],
                    "fold": f"fold & {person // 2 % 2}",
                }
            )
    return pd.DataFrame(rows).assign(split="people", leaky=False)


def write_page(table: pd.DataFrame, folder: Path, **options: object) -> str:
    path = folder / "report.html"
    evaluation = compute_evaluation(table, n_bootstrap=60)
    arguments = {"title": "A run", "facts": {"Recipe": "tiny & quick"}, **options}
    write_report(evaluation, table, path, **arguments)  # type: ignore[arg-type]
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    table = build_table()
    history = pd.DataFrame(
        {
            "fold": ["0", "0", "1"],
            "epoch": [1, 2, 1],
            "loss": [0.7, 0.5, 0.6],
            "validation_loss": [0.7, 0.6, 0.6],
            "validation_auc": [0.6, 0.7, 0.6],
        }
    )
    pictures = {name: np.full((225, 225, 3), 90, dtype=np.uint8) for name in table["image"]}
    return write_page(
        table,
        tmp_path_factory.mktemp("report"),
        history=history,
        pictures=pictures,
        banner="Simulated cells & nothing else",
    )


def test_the_page_is_whole_and_says_what_it_is(text: str) -> None:
    page = Page(text)
    assert len(page.get_all("h1")) == 1
    assert page.text.count("Research use only; not a medical device.") == 1
    assert "Simulated cells & nothing else" in page.text
    assert "tiny & quick" in page.text
    assert "0.5 or above" in page.text and "60 resamples" in page.text
    for heading in (
        "Scores",
        "Comparison with the baselines",
        "Most confident errors",
        "Subjects",
        "Facts",
    ):
        assert heading in page.text


def test_the_page_loads_nothing_and_runs_nothing(text: str) -> None:
    page = Page(text)
    assert not page.get_all("script") and not page.get_all("link")
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?\s*(?:https?:)?//|url\(|@import", text)
    assert all(image["src"].startswith("data:image/") for image in page.get_all("img"))
    for image in page.get_all("img"):
        kind, data = image["src"].split(";base64,")
        if kind.endswith("svg+xml"):
            svg = base64.b64decode(data).decode()
            assert "<svg" in svg and not re.search(r"href=\"https?:|<script", svg)


def test_names_are_escaped(text: str) -> None:
    assert "<script>" not in text and "<b>" not in text
    assert "&lt;script&gt;alert(" in text and "fold &amp; 1" in text


def test_the_page_can_be_read_aloud(text: str) -> None:
    page = Page(text)
    assert all(image.get("alt") for image in page.get_all("img"))
    assert len(page.get_all("caption")) == len(page.get_all("table")) == 4
    assert all(cell.get("scope") for cell in page.get_all("th"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_figure_is_there(text: str) -> None:
    figures = [image for image in Page(text).get_all("img") if "svg" in image["src"][:30]]
    assert len(figures) == 8


def test_the_same_numbers_give_the_same_page(tmp_path: Path) -> None:
    table = build_table(people=4, cells=4)
    assert write_page(table, tmp_path) == write_page(table, tmp_path)


def test_tables_that_define_little_still_give_a_page(tmp_path: Path) -> None:
    table = build_table()
    one_class = Page(write_page(table[table["label"] == "normal"].drop(columns="area"), tmp_path))
    assert "there are no leukaemic cells" in one_class.text
    assert "not defined (n = 0)" in one_class.text and "not available" in one_class.text
    empty = Page(write_page(table.iloc[:0], tmp_path))
    assert "There are no cells." in empty.text
    assert "nan" not in empty.text.lower().split()


def describe(table: pd.DataFrame, **changes: object) -> str:
    return " ".join(
        describe_evaluation(compute_evaluation(table.assign(**changes), n_bootstrap=200))
    )


def test_words_depend_on_the_split() -> None:
    table = build_table().drop(columns="fold")
    assert "the network was not trained on:" in describe(table)
    leaky = describe(table, leaky=True)
    assert "do not hold on new people" in leaky and "was not trained on:" not in leaky
    unknown = describe(table.drop(columns="leaky"))
    assert "is not recorded" in unknown and "was not trained on:" not in unknown


def test_words_depend_on_the_baselines() -> None:
    assert "network's 1.000 is better" in describe(build_table(separation=9))
    assert "is not shown to be better" in describe(build_table(separation=0.1))
    assert "is worse" in describe(build_table(separation=-2))
    assert "cannot be compared" in describe(build_table().drop(columns="area"))


def test_words_say_when_it_is_no_better_than_chance() -> None:
    assert "not shown to be better than chance" in describe(build_table(separation=0.0))
    assert "better than chance" not in describe(build_table(separation=3))


def test_words_depend_on_interval_calibration_and_size_of_set() -> None:
    assert "they are wide" in describe(build_table(separation=0.4))
    assert "they are wide" not in describe(build_table(separation=9))
    flat = build_table(separation=9)
    assert "the probabilities are poorly calibrated" in describe(
        flat, probability=flat["probability"] * 0.2 + 0.4
    )
    assert "poorly calibrated" not in describe(flat)
    assert "no interval can be given" in describe(build_table(people=2, cells=20))
