import numpy as np
import pytest

from leukoscope.cells.blur import blur_within


def draw_cell() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:80, :90]
    cell = np.hypot(y - 40, x - 50) < 25
    return cell, np.random.default_rng(0).uniform(50, 200, (80, 90, 3)) * cell[..., None]


@pytest.mark.parametrize("sigma", [1.0, 5.0, 20.0])
def test_the_black_background_does_not_contribute(sigma: float) -> None:
    cell, values = draw_cell()
    flat = blur_within(np.where(cell, 100, 0), cell, sigma)
    assert flat.dtype == np.float32
    np.testing.assert_allclose(flat[cell], 100, rtol=1e-5)
    other = np.where(cell[..., None], values, 255)
    np.testing.assert_allclose(
        blur_within(other, cell, sigma)[cell], blur_within(values, cell, sigma)[cell], rtol=1e-5
    )


def test_channels_are_blurred_apart_and_masks_may_be_numbers() -> None:
    cell, values = draw_cell()
    whole = blur_within(values, cell, 3.0)
    green = blur_within(values[..., 1], cell.astype(np.float32), 3.0)
    assert whole.shape == values.shape
    np.testing.assert_array_equal(whole[..., 1][cell], green[cell])
    assert whole[cell].std() < 0.3 * values[cell].std()
