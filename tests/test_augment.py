import dataclasses
from pathlib import Path

import numpy as np
import pytest

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import compute_foreground
from leukoscope.errors import SettingsError
from leukoscope.settings import AugmentSettings
from leukoscope.training.augment import EFFECTS, augment_crop, find_effects, make_generator

OFF = AugmentSettings(rotation=False, scale=0, shift_px=0, stain=0, brightness=0, blur=0, noise=0)


@pytest.fixture
def crop() -> UInt8Array:
    y, x = np.mgrid[:225, :225] - 112.0
    texture = (np.sin(x / 4) * np.cos(y / 5) * 30 + 90)[..., None] * [1, 0.5, 1.2]
    return np.where(np.hypot(x, y * 1.3)[..., None] < 50, texture, 0).astype(np.uint8)


def test_everything_off_changes_nothing(crop: UInt8Array) -> None:
    assert np.array_equal(augment_crop(crop, OFF, make_generator(0, 0, 0)), crop)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("rotation", True),
        ("scale", 0.3),
        ("shift_px", 9.0),
        ("stain", 0.2),
        ("brightness", 0.3),
        ("blur", 2.0),
        ("noise", 12.0),
    ],
)
def test_each_setting_alone_changes_the_cell(crop: UInt8Array, setting: str, value: float) -> None:
    settings = dataclasses.replace(OFF, **{setting: value})
    changed = [augment_crop(crop, settings, make_generator(0, 0, n)) for n in range(4)]
    assert all(c.shape == crop.shape and c.dtype == np.uint8 for c in changed)
    assert any(not np.array_equal(c, crop) for c in changed)


def test_the_background_stays_black(crop: UInt8Array) -> None:
    settings = dataclasses.replace(OFF, stain=0.5, brightness=0.5, noise=30.0)
    for place in range(10):
        changed = augment_crop(crop, settings, make_generator(0, 0, place))
        assert changed[~crop.any(axis=-1)].max() == 0


def test_size_changes_within_its_bounds(crop: UInt8Array) -> None:
    settings = dataclasses.replace(OFF, rotation=True, scale=0.2, shift_px=5.0)
    area = compute_foreground(crop).sum()
    ratios = [
        compute_foreground(augment_crop(crop, settings, make_generator(1, 0, n))).sum() / area
        for n in range(60)
    ]
    assert np.exp(-0.42) < min(ratios) < 0.85 and 1.15 < max(ratios) < np.exp(0.46)


def test_a_cell_is_augmented_the_same_in_any_order(crop: UInt8Array) -> None:
    settings = AugmentSettings()
    first = [augment_crop(crop, settings, make_generator(3, 1, n)) for n in range(4)]
    again = [augment_crop(crop, settings, make_generator(3, 1, n)) for n in reversed(range(4))]
    assert all(np.array_equal(a, b) for a, b in zip(first, reversed(again), strict=True))
    other = augment_crop(crop, settings, make_generator(3, 2, 0))
    assert not np.array_equal(first[0], other)


def test_effects_are_those_documented() -> None:
    text = (Path(__file__).parents[1] / "docs" / "training.md").read_text().lower()
    assert [name for name in EFFECTS if name.replace("_", " ") not in text] == []


OWN = """
def shade(crop, settings, random):
    return crop // 2

def fold(crop, settings, random):
    return crop[:10]

def grey(crop, settings, random):
    return crop / 2
"""


@pytest.fixture
def own_effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_effects_of_test.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", [*EFFECTS, "own_effects_of_test:shade"])
def test_contract_of_an_effect(name: str, crop: UInt8Array, own_effects: None) -> None:
    settings = dataclasses.replace(AugmentSettings(), effects=(name,))
    (effect,) = find_effects(settings).values()
    before = crop.copy()
    changed = [effect(crop, settings, make_generator(5, 0, n)) for n in range(8)]
    assert all(one.shape == crop.shape and one.dtype == np.uint8 for one in changed)
    assert np.array_equal(crop, before)  # the crop given stays as it is
    assert any(not np.array_equal(one, before) for one in changed)
    again = effect(crop, settings, make_generator(5, 0, 3))
    assert np.array_equal(again, changed[3])  # nothing is drawn but from the generator
    black = np.zeros_like(crop)
    assert not effect(black, settings, make_generator(5, 0, 0)).any()
    assert np.array_equal(augment_crop(crop, settings, make_generator(5, 0, 3)), changed[3])


def test_the_default_is_everything_built_in() -> None:
    assert AugmentSettings().effects == tuple(EFFECTS)


def test_effects_follow_the_recipes_order(crop: UInt8Array, own_effects: None) -> None:
    own = "own_effects_of_test:shade"
    settings = dataclasses.replace(OFF, effects=("stain", own), brightness=0.3)
    first = find_effects(settings)["stain"](crop, settings, make_generator(0, 0, 0))
    assert list(find_effects(settings)) == ["stain", own]
    assert np.array_equal(augment_crop(crop, settings, make_generator(0, 0, 0)), first // 2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fold", r"own_effects_of_test:fold gave uint8 \(10, 225, 3\)\. Expected a crop"),
        ("grey", "grey gave float64"),
        ("gray", "has no gray"),
    ],
)
def test_invalid_effects_are_refused(
    name: str, words: str, crop: UInt8Array, own_effects: None
) -> None:
    settings = dataclasses.replace(OFF, effects=(f"own_effects_of_test:{name}",))
    with pytest.raises(SettingsError, match=words):
        augment_crop(crop, settings, make_generator(0, 0, 0))
