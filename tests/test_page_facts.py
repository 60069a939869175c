"""The page shows and computes with what the server says: another data set, rules and limits."""

from __future__ import annotations

import colorsys
import csv
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Browser, find_chromium, serve

pytest.importorskip("fastapi", reason="needs the extra serve")

from fastapi.testclient import TestClient

from leukoscope.datasets.spec import CropSpec, DatasetSpec
from leukoscope.inference.model import Classifier, find_shipped_model
from leukoscope.io.images import IMAGE_SUFFIXES
from leukoscope.labels import CLASS_COLOURS
from leukoscope.notices import RESEARCH_ONLY
from leukoscope.serve import Limits, build_app, facts
from leukoscope.serve.facts import collect_facts
from leukoscope.serve.samples import find_samples_model
from leukoscope.simulate import simulate_pairs
from test_page import download, read_text, tab, upload
from test_serve import encode

__all__ = ["tab"]

FOLDER = Path(str(facts.__file__)).parent / "page"
LEAVES = DatasetSpec(
    "Leaves 2031",
    "test",
    crop=CropSpec(frame_px=300),
    name_pattern=r"(?P<label>[ah])-(?P<subject>\w+)-\d+",
    naming="<a|h>-<subject>-<number>",
)
LIMITS = Limits(images=3, image_bytes=2_000_000)


def load_model(dataset: DatasetSpec = LEAVES) -> Classifier:
    classifier = Classifier(find_shipped_model())
    classifier.metadata = dataclasses.replace(classifier.metadata, dataset=dataset)
    return classifier


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a model of another data set, under other rules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts, "MIN_CELLS", 2)
        patch.setattr(facts, "COVERAGE", 0.8)
        patch.setattr(facts, "SENSITIVITY", 0.7)
        patch.setattr(facts, "CONFIDENCE", 0.5)
        patch.setattr(facts, "WILSON_Z", 0.0)
        patch.setattr(facts, "CLASS_COLOURS", {"leukaemic": "#010203", "normal": "#040506"})
        app = build_app(load_model(), LIMITS)
    with serve(app) as found:
        yield found


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("cells")
    for number, rgb in enumerate(simulate_pairs(4, 5)[0]):
        name = ("a-pete-1", "H-pete-2", "h-ann-3", "UID_5_1_1_all")[number]
        (folder / f"{name}.png").write_bytes(encode(rgb))
    (folder / "=1+1.png").write_bytes(b"no image")
    return sorted(folder.iterdir())


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed here")
def test_the_page_is_that_of_its_models_data_set_and_rules(
    tab: Browser, other: str, cells: list[Path], tmp_path: Path
) -> None:
    tab.open_tab()
    tab.resize(1280, 900)
    tab.open(other)
    tab.wait("document.getElementById('expected').textContent !== ''")
    assert "300×300 pixels count, as in Leaves 2031." in read_text(tab, "hint")
    upload(tab, *cells, cells=5)  # in requests of three images at most
    assert "Finds 70% of leukaemic" in read_text(tab, "set-sensitive")
    subjects = tab.run("document.getElementById('people').textContent")
    assert "like <a|h>-<subject>-<number>, else from folders, or entered by hand. " in subjects
    assert "A subject with at least 2 cells is called" in subjects
    rows = tab.run(
        "[...document.querySelectorAll('#subjects tbody tr')]"
        ".map(r => [...r.cells].map(c => c.textContent))"
    )
    assert [row[0] for row in rows] == ["ann", "pete"]
    assert rows[0][7] == "too few cells" != rows[1][7]
    assert rows[1][4] == f"{rows[1][3].rstrip('%')} to {rows[1][3]}"  # at z = 0
    assert "50% interval" in tab.run("document.querySelector('#subjects thead').textContent")
    colour = "getComputedStyle(document.querySelector('.key .{}')).color"
    assert tab.run(colour.format("leukaemic")) == "rgb(1, 2, 3)"
    assert tab.run(colour.format("normal")) == "rgb(4, 5, 6)"
    tab.run("document.querySelector('#cells button').click()")
    assert read_text(tab, "v-conformal").startswith("Conformal call: ")
    tab.press("Escape")
    tab.wait("!document.getElementById('viewer').open")
    (tmp_path / "answers").mkdir()
    table = download(tab, "save-answers", tmp_path / "answers")
    names = [row["image"] for row in csv.DictReader(table.read_text().splitlines())]
    assert "'=1+1.png" in names and "a-pete-1.png" in names
    assert tab.list_complaints() == []


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed here")
def test_a_conformal_call_is_shown_with_its_coverage(tab: Browser, other: str) -> None:
    tab.open_tab()
    tab.open(other)
    script = """import('/page/viewer.js').then(({ describeConformal }) =>
      [['leukaemic', ''], ['normal', ''], ['uncertain', ''], ['uncertain', 'odd']].map(
        ([conformalCall, warnings]) =>
          describeConformal({ conformalCall, warnings, probability: 0.5 }, 0.8)))"""
    sick, well, uncertain, warned = tab.run(script)
    assert "80% of new people’s normal cells look less leukaemic" in sick
    assert "80% of new people’s leukaemic cells look more leukaemic" in well
    assert "either class" in uncertain and "because of a warning" in warned


def test_the_model_says_the_facts_of_its_data_set() -> None:
    with TestClient(build_app(load_model(), LIMITS)) as client:
        model = client.get("/v1/model", headers={"Host": "127.0.0.1"}).json()
    assert model["facts"] == collect_facts(load_model().metadata).model_dump()
    assert model["facts"]["dataset"] == "Leaves 2031" and model["facts"]["frame_px"] == 300
    assert model["limits"] == dataclasses.asdict(LIMITS)
    assert set(model["facts"]["image_suffixes"]) == IMAGE_SUFFIXES


def test_the_samples_have_a_network_of_their_own() -> None:
    """Behind the same token; the other paths are the model's."""
    sent = [("files", ("1.png", encode(simulate_pairs(1, 5)[0][0])))]
    host = {"Host": "127.0.0.1"}
    with TestClient(build_app(load_model(), LIMITS, token="t")) as client:
        assert client.get("/v1/samples/v1/model", headers=host).status_code == 401
        allowed = host | {"Authorization": "Bearer t"}
        model = client.get("/v1/samples/v1/model", headers=allowed).json()
        assert model["facts"]["dataset"] == "simulated cells"
        found = [
            client.post(f"{base}v1/predict", files=sent, headers=allowed).json()["rows"][0]
            for base in ("/v1/samples/", "/")
        ]
        paths = client.get("/openapi.json", headers=allowed).json()["paths"]
    assert found[0]["probability"] != found[1]["probability"]
    assert not [path for path in paths if path.startswith("/v1/samples/")]  # the page's own
    size = find_samples_model().stat().st_size
    assert size < 500_000 and "(simulated)" in model["expected"]


def test_images_are_described_by_frame_and_ground() -> None:
    shipped = Classifier(find_shipped_model()).metadata.dataset
    assert shipped.describe_images() == (
        "One cell an image, cut out on black, 450×450 or 600×600 pixels, as in C-NMC 2019."
    )
    assert "black" not in LEAVES.describe_images()


def test_the_page_writes_down_no_fact_of_its_own() -> None:
    told = re.compile(
        r"C-NMC|UID_|\b(450|600|225)\b|\b20 cells|9 in 10|\b9[05] ?%|64_000_000|SIMULATED\.txt"
        r"|\b0?\.9\b|1\.959|1e-6|jpe?g|D55E00|0072B2|LEAST_|Simulated cells: drawn",
        re.IGNORECASE,
    )
    for path in sorted([*FOLDER.glob("*.js"), FOLDER / "index.html"]):
        found = [line for line in path.read_text("utf-8").splitlines() if told.search(line)]
        assert found == [], path.name


def test_the_notice_stands_there_before_any_script_runs() -> None:
    assert f'data-fact="notice">{RESEARCH_ONLY}</p>' in (FOLDER / "index.html").read_text("utf-8")


def test_the_classes_keep_their_hues_in_text() -> None:
    """Text needs other shades than a map, to be read on white and on black."""
    css = (FOLDER / "page.css").read_text("utf-8")
    for label, colour in CLASS_COLOURS.items():
        shades = re.findall(rf"--{label}: (#\w{{6}})", css)
        assert len(shades) == 3  # in the light, in the dark, in print
        for shade in shades:
            assert abs(find_hue(shade) - find_hue(colour)) < 5


def find_hue(colour: str) -> float:
    red, green, blue = (value / 255 for value in bytes.fromhex(colour.removeprefix("#")))
    return 360 * colorsys.rgb_to_hsv(red, green, blue)[0]
