import numpy as np
import pytest

from leukoscope.arrays import UInt8Array
from leukoscope.report import cut_cell


def draw_crop(left: int, top: int, width: int, height: int) -> UInt8Array:
    crop = np.zeros((225, 225, 3), np.uint8)
    light = np.random.default_rng(0).integers(50, 200, (height, width, 3), np.uint8)
    crop[top : top + height, left : left + width] = light
    return crop


@pytest.mark.parametrize("place", [(30, 60), (0, 0), (150, 140)])
def test_the_cell_is_in_the_middle_and_not_resampled(place: tuple[int, int]) -> None:
    left, top = place
    crop = draw_crop(left, top, 60, 40)
    picture = cut_cell(crop, crop, 100)
    assert picture.shape == (100, 100, 3)
    assert np.array_equal(picture[30:70, 20:80], crop[top : top + 40, left : left + 60])
    assert picture.astype(int).sum() == crop.astype(int).sum()


def test_a_large_cell_makes_the_square_longer() -> None:
    crop = draw_crop(10, 20, 180, 120)
    assert cut_cell(crop, crop, 100).shape == (180, 180, 3)
    assert cut_cell(crop, crop, 100, margin=8).shape == (196, 196, 3)


def test_what_lies_beyond_the_picture_has_the_level_asked_for() -> None:
    crop = draw_crop(0, 0, 60, 40)
    picture = cut_cell(np.full_like(crop, 70), crop, 100, around=255)
    assert (picture[:30] == 255).all() and (picture[30:70, 20:] == 70).all()
