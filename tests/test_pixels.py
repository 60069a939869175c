import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from leukoscope.cells.crop import CROP_PX, compute_foreground, cut_crop, read_crop
from leukoscope.datasets.spec import CropSpec
from leukoscope.errors import DataError
from leukoscope.io.images import compute_pixel_hash, read_image

FRAME = CropSpec(450)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def draw_disc(side: int = 450, radius: int = 100) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    disc = np.zeros((side, side, 3), np.uint8)
    disc[np.hypot(x, y) < radius] = (90, 40, 110)
    return disc


DISC = Image.fromarray(draw_disc())
WHITE = Image.new("RGB", DISC.size, "white")


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
    alpha = np.zeros((450, 450), np.uint8)
    alpha[:225] = 255
    rgb = read_image(encode(Image.fromarray(np.dstack([draw_disc(), alpha])), "PNG"))
    assert rgb[225:].max() == 0
    assert np.array_equal(rgb[:225], draw_disc()[:225])


def test_a_transparent_colour_is_black() -> None:
    disc = draw_disc()
    middle = tuple(int(level) for level in disc[225, 225])
    rgb = read_image(encode(Image.fromarray(disc), "PNG", transparency=middle))
    assert rgb[225, 225].max() == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_images_are_turned_as_their_camera_says(kind: str) -> None:
    half = np.zeros((64, 96, 3), np.uint8)
    half[:, :48] = 200  # bright on the left
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise: the left becomes the top
    rgb = read_image(encode(Image.fromarray(half), kind, exif=exif))
    assert rgb.shape == (96, 64, 3)
    assert rgb[:40].min() > 150
    assert rgb[56:].max() < 50


def test_a_thumbnail_in_a_tiff_is_no_second_page() -> None:
    disc, small = Image.fromarray(draw_disc()), Image.fromarray(draw_disc()).resize((45, 45))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    data = encode(disc, "TIFF", save_all=True, append_images=[small])
    assert np.array_equal(read_image(data), draw_disc())


def encode16(rgb: npt.NDArray[np.uint16], suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, rgb[..., ::-1])[1].tobytes())


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_12_bits_in_16_are_refused_and_full_16_bits_are_read(suffix: str) -> None:
    full = (draw_disc().astype(np.uint16) * 257).astype(np.uint16)
    assert np.array_equal(read_image(encode16(full, suffix)), draw_disc())
    with pytest.raises(DataError, match="only the lower bits are used"):
        read_image(encode16((full >> 4).astype(np.uint16), suffix))
    dark = draw_disc() >> 4  # dark, but of 8 bits: these are its pixels
    assert np.array_equal(read_image(encode(Image.fromarray(dark), "PNG")), dark)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_transparent_images_cost_a_few_copies_only() -> None:
    """Two RGBA images of 49 megapixels at once; they took 3.8 GB."""
    code = (
        "import io, re, threading\n"
        "from PIL import Image\n"
        "from leukoscope.io.images import read_image\n"
        "file = io.BytesIO()\n"
        "Image.new('RGBA', (7000, 7000), (9, 8, 7, 255)).save(file, 'PNG', compress_level=1)\n"
        "work = [threading.Thread(target=read_image, args=[file.getvalue()]) for _ in range(2)]\n"
        "[one.start() for one in work]; [one.join() for one in work]\n"
        "status = open('/proc/self/status').read()\n"
        "print(int(re.search(r'VmHWM:\\s+([0-9]+)', status)[1]) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert int(done.stdout) < 1000  # MiB


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"not an image at all", "not an image"),
        (encode(Image.fromarray(draw_disc()), "BMP")[:5000], "truncated"),
        (encode(Image.fromarray(draw_disc()), "PNG")[:700], "truncated"),
        (encode(Image.new("RGBA", (450, 450)), "PNG"), "transparent everywhere"),
        (encode(Image.new("RGB", (1, 2_000_000)), "PNG"), "1×2000000 pixels"),
        (encode(Image.new("1", (20_000, 20_000)), "PNG"), "pixels. Expected one cell"),
        (encode(Image.new("1", (8_000, 8_000)), "PNG"), "8000×8000 pixels"),
        (encode(DISC, "TIFF", save_all=True, append_images=[DISC]), "2 pages"),
        (encode(DISC, "GIF", save_all=True, append_images=[WHITE]), "2 pages"),
        (encode(DISC, "WEBP", save_all=True, append_images=[WHITE]), "2 pages"),
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
