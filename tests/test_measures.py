"""Measures of drawn shapes with known values, and the training cells they are compared with."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from leukoscope.arrays import UInt8Array
from leukoscope.catalogue import Catalogue, select_usable
from leukoscope.cells.measures import (
    MEASURES,
    PERCENTS,
    compute_measure_quantiles,
    compute_measures,
    find_percentile,
)
from leukoscope.inference.model import Classifier, find_shipped_model
from leukoscope.labels import LABELS
from leukoscope.training import network

PURPLE, BLUE, PINK = (90, 40, 110), (130, 120, 190), (190, 140, 150)


def draw(*ellipses: tuple[tuple[int, int], tuple[int, int], tuple[int, int, int]]) -> UInt8Array:
    """Filled ellipses (centre, half axes, colour) on black, over one another."""
    crop = np.zeros((225, 225, 3), np.uint8)
    for centre, axes, colour in ellipses:
        cv2.ellipse(crop, centre, axes, 0, 0, 360, colour, cv2.FILLED)
    return crop


def draw_noise(sigma: float) -> UInt8Array:
    """A disc with chromatin of one scale."""
    noise = np.random.default_rng(0).standard_normal((225, 225)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigma)
    values = 100 + 20 * noise / noise.std()
    disc = draw(((112, 112), (60, 60), (1, 1, 1)))
    return np.asarray(np.clip(values, 20, 200)[..., None] * disc, np.uint8)


def test_a_disc_is_round_and_an_ellipse_as_round_as_geometry_says() -> None:
    disc = compute_measures(draw(((112, 112), (50, 50), PURPLE)))
    assert disc["area"] == pytest.approx(np.pi * 50.5**2, rel=0.02)
    assert disc["roundness"] == pytest.approx(1, abs=0.005)
    assert disc["solidity"] == pytest.approx(1, abs=0.005)
    ellipse = compute_measures(draw(((112, 112), (80, 40), PURPLE)))
    assert ellipse["roundness"] == pytest.approx(0.842, abs=0.02)
    assert ellipse["solidity"] == pytest.approx(1, abs=0.01)


def test_a_notch_costs_solidity() -> None:
    notched = draw(((112, 112), (60, 60), PURPLE), ((172, 112), (40, 12), (0, 0, 0)))
    solidity = compute_measures(notched)["solidity"]
    assert solidity is not None and solidity < 0.95


def test_the_nucleus_is_measured_where_cytoplasm_is_visible() -> None:
    cell = draw(((112, 112), (60, 60), BLUE), ((108, 112), (45, 45), PURPLE))
    assert compute_measures(cell)["nucleus_share"] == pytest.approx((45 / 60) ** 2, abs=0.05)


def test_the_nucleus_is_not_measured_where_cytoplasm_is_not_visible() -> None:
    bare = draw(((112, 112), (60, 60), PURPLE))
    bright = np.where(bare > 0, bare, np.array([150, 190, 230], np.uint8))
    blurred = cv2.GaussianBlur(bright, (0, 0), 2)
    edge = np.where(bare > 0, blurred, 0).astype(np.uint8)  # as cut from a bright background
    beside_a_red_cell = draw(((100, 112), (50, 50), PURPLE), ((165, 112), (20, 20), PINK))
    for crop in (bare, edge, beside_a_red_cell, draw_noise(3)):
        assert compute_measures(crop)["nucleus_share"] is None


def test_texture_knows_its_scale_and_not_the_light() -> None:
    fine, coarse = compute_measures(draw_noise(1.2)), compute_measures(draw_noise(6))
    assert fine["texture_fine"] > 2 * fine["texture_coarse"]  # type: ignore[operator]
    assert coarse["texture_coarse"] > 2 * coarse["texture_fine"]  # type: ignore[operator]
    dim = compute_measures((draw_noise(4) * 0.6).astype(np.uint8))
    bright = compute_measures(draw_noise(4))
    assert dim["texture_medium"] == pytest.approx(bright["texture_medium"], rel=0.05)
    assert dim["stain"] > bright["stain"]  # type: ignore[operator]


def test_hue_is_that_of_the_colour() -> None:
    assert compute_measures(draw(((112, 112), (50, 50), (200, 40, 40))))["hue"] == 0
    assert compute_measures(draw(((112, 112), (50, 50), (40, 40, 200))))["hue"] == 240
    assert compute_measures(draw(((112, 112), (50, 50), (90, 90, 90))))["hue"] is None


def test_without_a_cell_nothing_is_measured() -> None:
    for crop in (np.zeros((225, 225, 3), np.uint8), draw(((112, 112), (5, 5), PURPLE))):
        assert set(compute_measures(crop).values()) == {None}
    full = compute_measures(np.full((225, 225, 3), 90, np.uint8))
    assert full["area"] == 225 * 225


def test_percentiles_are_those_of_the_cells() -> None:
    crops = [draw(((112, 112), (radius, radius), PURPLE)) for radius in range(20, 101)]
    labels = ["normal"] * 41 + ["leukaemic"] * 40
    found = compute_measure_quantiles(crops, labels, [f"P{n % 9}" for n in range(81)])
    area = compute_measures(crops[20])["area"]
    assert find_percentile(found, "normal", "area", area) == pytest.approx(50, abs=1)
    assert find_percentile(found, "leukaemic", "area", area) == 0
    assert find_percentile(found, "leukaemic", "area", 1e6) == 100
    assert find_percentile(found, "normal", "area", None) is None
    assert find_percentile(found, "normal", "nucleus_share", 0.5) is None  # measured of no cell
    normal = found.classes["normal"]
    assert (normal.cells, normal.people, normal.measurable["nucleus_share"]) == (41, 9, 0)


def test_too_few_cells_have_no_quantiles() -> None:
    """The percentile of a value among three cells says nothing."""
    crops = [draw(((112, 112), (radius, radius), PURPLE)) for radius in range(20, 43)]
    found = compute_measure_quantiles(crops, ["normal"] * 20 + ["leukaemic"] * 3, ["P"] * 23)
    assert find_percentile(found, "normal", "area", 5000) is not None
    assert find_percentile(found, "leukaemic", "area", 5000) is None
    assert found.classes["leukaemic"].measurable["area"] == 3


def test_the_shipped_model_holds_the_measures_of_its_training_cells() -> None:
    found = Classifier(find_shipped_model()).metadata.measures
    assert found is not None and found.percents == PERCENTS
    assert {label: own.cells for label, own in found.classes.items()} == {
        "normal": 2632,
        "leukaemic": 5334,
    }
    for own in found.classes.values():
        assert set(own.quantiles) == set(own.measurable) == {one.name for one in MEASURES}
        assert all(len(row) == len(PERCENTS) for row in own.quantiles.values())
    middle = PERCENTS.index(50)
    sick, well = (found.classes[label].quantiles["area"][middle] for label in reversed(LABELS))
    assert sick > well  # as the audit finds: leukaemic cells are the larger ones


def test_training_measures_cells_of_both_classes_evenly(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_MEASURED", 25)
    cells = select_usable(catalogue)
    found = network._measure_cells(catalogue.crops, cells)
    for own in found.classes.values():
        assert own.cells == own.measurable["area"] == 25 and own.people > 1
