"""Each fault of an image gets its sentence, and a good image none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from leukoscope.arrays import UInt8Array
from leukoscope.catalogue import Catalogue
from leukoscope.cells.blur import blur_within
from leukoscope.cells.crop import compute_foreground, cut_crop
from leukoscope.cells.quality import find_warnings
from leukoscope.datasets.cnmc import CNMC

FULL = np.zeros((450, 450, 3), np.uint8)


@pytest.fixture
def crop(catalogue: Catalogue) -> UInt8Array:
    """A simulated cell of usual size."""
    areas = catalogue.table["area"]
    return np.asarray(catalogue.crops[(areas - areas.median()).abs().idxmin()])


def look(crop: UInt8Array, image: UInt8Array = FULL) -> list[str]:
    return list(find_warnings(image, crop, CNMC))


def test_most_cells_have_no_warning(catalogue: Catalogue) -> None:
    usable = catalogue.table.index[catalogue.table["problem"] == ""]
    said = [bool(look(np.asarray(catalogue.crops[row]))) for row in usable]
    assert np.mean(said) < 0.05


def scale(crop: UInt8Array, factor: float) -> UInt8Array:
    matrix = cv2.getRotationMatrix2D((112, 112), 0, factor)
    return np.asarray(cv2.warpAffine(crop, matrix, (225, 225)))


def turn_hue(crop: UInt8Array) -> UInt8Array:
    hsv = cv2.cvtColor(crop, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + 60) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def add_noise(crop: UInt8Array) -> UInt8Array:
    noise = np.random.default_rng(0).normal(0, 25, crop.shape)
    return (np.clip(crop + noise, 11, 255) * (crop > 0)).astype(np.uint8)


def add_second(crop: UInt8Array) -> UInt8Array:
    small = scale(crop, 0.7)
    return np.maximum(np.roll(small, -60, axis=1), np.roll(small, 60, axis=1))


def blur(crop: UInt8Array) -> UInt8Array:
    inside = compute_foreground(crop)
    soft = crop.copy()
    soft[~inside] = crop[inside].mean(axis=0).astype(np.uint8)
    return (cv2.GaussianBlur(soft, (0, 0), 6) * inside[..., None]).astype(np.uint8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda crop: crop * 0, "no cell found"),
        (lambda crop: np.maximum(crop, 60), "background is not black"),
        (lambda crop: scale(crop, 0.4), "smaller than any cell"),
        (lambda crop: scale(crop, 1.6), "larger than any cell"),
        (lambda crop: np.roll(crop, 70, axis=0), "reaches the edge"),
        (add_second, "2 separate bodies"),
        (turn_hue, "colour differs"),
        (add_noise, "noisy"),
        (blur, "out of focus"),
    ],
)
def test_every_fault_is_named(change: object, words: str, crop: UInt8Array) -> None:
    assert look(crop) == []
    assert callable(change)
    said = look(change(crop))
    assert any(words in sentence for sentence in said), said


def test_a_field_is_distinguished_from_a_cell_not_cut_out(crop: UInt8Array) -> None:
    filled = np.maximum(crop, 60)
    field = np.zeros((1200, 1600, 3), np.uint8)
    assert "whole field" in " ".join(look(filled, field))
    assert "whole field" not in " ".join(look(filled))
    assert "scale is unknown" in look(crop, field)[0]


@pytest.mark.parametrize("side", [120, 224, 300, 301, 449])
def test_the_padding_of_a_small_image_is_no_background(side: int, crop: UInt8Array) -> None:
    whole = cv2.resize(np.maximum(crop, 60), (side, side))
    assert "background is not black" in " ".join(look(cut_crop(whole, CNMC.crop), whole))


def test_a_cell_at_the_edge_of_a_small_image_is_cut(crop: UInt8Array) -> None:
    frame = cv2.resize(crop, (450, 450))
    middle = frame[75:375, 75:375]
    assert "reaches the edge" not in " ".join(look(cut_crop(middle, CNMC.crop), middle))
    left = np.roll(middle, -120, axis=1)
    left[:, -120:] = 0
    assert "the cell reaches the edge of the image" in look(cut_crop(left, CNMC.crop), left)


def blur_cell(crop: UInt8Array, sigma_px: float) -> UInt8Array:
    """As if out of focus and cut out then: its edge is sharp."""
    cell = compute_foreground(crop)
    soft = np.clip(blur_within(crop, cell, sigma_px), 0, 255)
    return (soft * cell[..., None]).round().astype(np.uint8)


def test_blurred_cells_are_out_of_focus(catalogue: Catalogue) -> None:
    """By limits measured from the sharp ones; drawn cells have less fine detail than real ones."""
    rows = catalogue.table.index[catalogue.table["problem"] == ""][:60]
    told = {}
    for sigma_px in (0, 2, 4):
        crops = (np.asarray(catalogue.crops[row]) for row in rows)
        warnings = [
            " ".join(find_warnings(FULL, blur_cell(one, sigma_px) if sigma_px else one, known))
            for known in (catalogue.spec,)
            for one in crops
        ]
        told[sigma_px] = np.mean(["out of focus" in words for words in warnings])
    assert told[0] < 0.05 and told[0] < told[2] < told[4] and told[4] > 0.3, told
