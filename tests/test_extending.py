"""The file of docs/extending.md is used as it is, all five kinds of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("keras", reason="needs the extra train")

from leukoscope.datasets.reader import ReadOptions
from leukoscope.datasets.registry import read_dataset
from leukoscope.evaluation.scores import find_scores
from leukoscope.exporters import find_exporter
from leukoscope.models import build_model
from leukoscope.settings import parse_recipe
from leukoscope.training.augment import augment_crop, make_generator

pytestmark = pytest.mark.train


def test_the_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[1] / "docs" / "extending.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    for words in ('architecture = "mine:build"', 'effects = ["turn_and_move", "mine:shade"]'):
        assert words in text
    recipe = parse_recipe(
        '[model]\narchitecture = "mine:build"\n'
        '[augment]\neffects = ["turn_and_move", "mine:shade"]',
        "mine",
    )
    assert build_model(recipe.model).output_shape == (None, 1)
    crop = np.full((225, 225, 3), 200, np.uint8)
    assert augment_crop(crop, recipe.augment, make_generator(0, 0, 0)).max() < 200
    assert find_scores(["mine:youden"])[-1].name == "youden"
    assert find_exporter("mine:keras_file").suffix == ".keras"
    data = tmp_path / "scans"
    data.mkdir()
    for name in ("P01_all_1", "P02_hem_1"):
        Image.fromarray(np.full((90, 80, 3), 200, np.uint8)).save(data / f"{name}.png")
    _, reading = read_dataset(data, ReadOptions(reader="mine:scans"))
    assert reading.rows["label"].tolist() == ["leukaemic", "normal"]
    assert reading.rows["subject"].tolist() == ["P01", "P02"]
    assert reading.spec.crop.frame_px == 90 and reading.spec.reader == "mine:scans"
