"""Image files → rows of the answer table, streaming: one bad image never stops the rest."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
import numpy.typing as npt

from leukoscope.errors import DataError
from leukoscope.labels import LEUKAEMIC, NORMAL
from leukoscope.machine import count_workers
from leukoscope.pixels import FRAMES_PX, UInt8Array, compute_foreground, cut_crop, read_image
from leukoscope.sources import Source, list_sources

__all__ = ["ERROR", "Answer", "Predictor", "list_images", "predict_sources", "start_answers"]

ERROR = "error"
"""Call of an image that could not be read."""

_BATCH = 32
_MIN_AREA, _MAX_SHARE = 800, 0.75  # px of the crop; share of the crop that is not black


class Predictor(Protocol):
    """What answers for crops: an `inference.Classifier`, or a queue in front of one."""

    @property
    def threshold(self) -> float:
        """Probability from which a cell is called leukaemic."""

    def predict(self, crops: UInt8Array) -> npt.NDArray[np.float64]:
        """As `inference.Classifier.predict`."""


@dataclass(frozen=True)
class Answer:
    """One image's row.

    Attributes:
        image: its name.
        probability: of leukaemic, 0 to 1; None where the image could not be read.
        call: leukaemic, normal or error.
        warnings: what speaks against trusting the answer, or the error; "" where nothing does.
    """

    image: str
    probability: float | None
    call: str
    warnings: str

    def to_dict(self) -> dict[str, Any]:
        """Column → value."""
        return asdict(self)


def list_images(paths: Sequence[Path]) -> list[Source]:
    """All images in files, folders and zips, in the order given; named by whole path if several.

    Raises:
        DataError: a path that does not exist, or that holds no image.
    """
    if len(paths) == 1:
        return list_sources(paths[0])
    return [
        replace(
            source,
            name=(
                path if path.is_file() and path.name == source.name else path / source.name
            ).as_posix(),
        )
        for path in paths
        for source in list_sources(path)
    ]


def predict_sources(
    sources: Iterable[Source], classifier: Predictor, threshold: float | None = None
) -> Iterator[Answer]:
    """Answer for each image in turn; pixels are held for 32 images at a time.

    Args:
        sources: the images.
        classifier: the network.
        threshold: probability from which a cell is called leukaemic; the network's own if left out.
    """
    threshold = classifier.threshold if threshold is None else threshold
    remaining = iter(sources)
    with ThreadPoolExecutor(count_workers()) as pool:
        while chunk := list(islice(remaining, _BATCH)):
            yield from _answer(list(pool.map(_read, chunk)), classifier, threshold)


def start_answers(stream: TextIO) -> Callable[[Answer], None]:
    """Begin a CSV of answers on a stream; the function returned writes one row."""
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow([field.name for field in fields(Answer)])

    def write(answer: Answer) -> None:
        shown = "" if answer.probability is None else f"{answer.probability:.6f}"
        rows.writerow([answer.image, shown, answer.call, answer.warnings])

    return write


def _read(source: Source) -> tuple[str, UInt8Array | None, str]:
    """(name, crop or None, warnings or error)."""
    try:
        rgb = read_image(source.read(), source.name)
    except DataError as error:
        return source.name, None, str(error).removeprefix(f"{source.name}: ")
    except OSError as error:
        return source.name, None, f"cannot be read ({error.strerror})"
    crop = cut_crop(rgb)
    return source.name, crop, "; ".join(_find_warnings(rgb, crop))


def _find_warnings(rgb: UInt8Array, crop: UInt8Array) -> Iterator[str]:
    height, width = rgb.shape[:2]
    if width != height or width not in FRAMES_PX:
        yield f"{width}×{height} pixels, not 450×450 or 600×600: the cell's scale is unknown"
    foreground = compute_foreground(crop)
    if foreground.mean() > _MAX_SHARE:
        yield "the background is not black: cut the cell out first"
    elif np.count_nonzero(foreground) < _MIN_AREA:
        yield "no cell to be seen"


def _answer(
    read: Sequence[tuple[str, UInt8Array | None, str]], classifier: Predictor, threshold: float
) -> Iterator[Answer]:
    crops = [crop for _, crop, _ in read if crop is not None]
    probabilities = iter(classifier.predict(np.stack(crops)).tolist() if crops else [])
    for name, crop, words in read:
        if crop is None:
            yield Answer(name, None, ERROR, words)
        else:
            probability = next(probabilities)
            call = LEUKAEMIC if probability >= threshold else NORMAL
            yield Answer(name, probability, call, words)
