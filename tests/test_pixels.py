import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukoscope.cells.crop import CROP_PX, compute_foreground, cut_crop, read_crop
from leukoscope.datasets.spec import CropSpec
from leukoscope.errors import DataError
from leukoscope.io.images import compute_pixel_hash, read_image

FRAME = CropSpec(450)


def encode(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def draw_disc(side: int = 450, radius: int = 100) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    disc = np.zeros((side, side, 3), np.uint8)
    disc[np.hypot(x, y) < radius] = (90, 40, 110)
    return disc


@pytest.mark.parametrize("kind", ["BMP", "PNG", "TIFF", "WEBP"])
def test_formats_without_loss_give_the_same_pixels(kind: str) -> None:
    rgb = draw_disc()
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, kind, lossless=True)
    assert np.array_equal(read_image(buffer.getvalue()), rgb)
    assert compute_pixel_hash(read_image(buffer.getvalue())) == compute_pixel_hash(rgb)


def test_a_larger_frame_is_cut_never_resized() -> None:
    small, large = cut_crop(draw_disc(450), FRAME), cut_crop(draw_disc(600), FRAME)
    assert np.array_equal(small, large)
    assert compute_foreground(small).sum() == pytest.approx(np.pi * 50**2, rel=0.02)


def test_a_smaller_frame_is_padded_with_black() -> None:
    crop = cut_crop(draw_disc(300), FRAME)
    assert crop.shape == (225, 225, 3)
    assert np.array_equal(crop, cut_crop(draw_disc(450), FRAME))


def test_transparent_pixels_are_black() -> None:
    rgba = np.dstack([draw_disc(), np.zeros((450, 450), np.uint8)])
    assert read_image(encode(Image.fromarray(rgba), "PNG")).max() == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"not an image at all", "not an image"),
        (encode(Image.fromarray(draw_disc()), "BMP")[:5000], "truncated"),
        (encode(Image.fromarray(draw_disc()), "PNG")[:700], "truncated"),
        (encode(Image.new("L", (450, 450)), "PNG"), "greyscale"),
        (encode(Image.new("CMYK", (450, 450)), "JPEG"), "CMYK"),
        (encode(Image.fromarray(np.zeros((450, 450), np.uint16)), "PNG"), "16-bit"),
        (encode(Image.new("1", (10_000, 6_000)), "PNG"), "pixels"),
    ],
)
def test_bad_images_say_what_is_wrong_and_the_fix(data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read_crop(data, FRAME, name="cell.bmp")
    assert str(caught.value).startswith("cell.bmp: ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.bmp"):
        read_image(tmp_path / "gone.bmp")


def test_a_tiff_whose_tags_lie_about_their_types_is_refused_in_a_sentence() -> None:
    """Pillow raises TypeError and OverflowError there; found by fuzzing."""
    whole = encode(Image.fromarray(draw_disc()), "TIFF")
    start = int.from_bytes(whole[4:8], "little")
    entries = int.from_bytes(whole[start : start + 2], "little")
    refused = 0
    for entry in range(entries):
        for kind in range(14):
            spoilt = bytearray(whole)
            at = start + 2 + 12 * entry + 2
            spoilt[at : at + 2] = kind.to_bytes(2, "little")
            try:
                read_image(bytes(spoilt), "x.tif")
            except DataError as error:
                assert str(error).startswith("x.tif: ")
                refused += 1
    assert refused > 20


def test_without_a_frame_a_pixel_stays_a_pixel() -> None:
    """No data set's frame is every data set's."""
    disc = draw_disc(CROP_PX, radius=90)
    assert np.array_equal(cut_crop(disc, CropSpec()), disc)
