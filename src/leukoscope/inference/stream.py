"""Image files → rows of predictions, streaming: one bad image never stops the rest."""

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

from leukoscope.arrays import UInt8Array
from leukoscope.cells.extract import Cell, extract_cells
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.io.formulas import defuse
from leukoscope.io.images import Readable, describe_surprise, try_read_image
from leukoscope.io.sources import Source, list_sources
from leukoscope.labels import LEUKAEMIC, NORMAL
from leukoscope.machine import count_workers
from leukoscope.records import UNCERTAIN, Decision, ModelMetadata

__all__ = [
    "ERROR",
    "Answer",
    "Answered",
    "Predictor",
    "list_images",
    "predict_by_image",
    "predict_sources",
    "start_answers",
]

ERROR = "error"
"""Call of an image that could not be read, or that is far from any training cell."""

_BATCH = 32
_NO_CELL = "no prediction: out of distribution, unlike any training cell"
_FAR = 10  # times the limit: not a cell


class Predictor(Protocol):
    """Predicts crops: an `inference.Classifier`, or a queue in front of one."""

    @property
    def metadata(self) -> ModelMetadata:
        """Its decision, and what its images look like."""

    @property
    def name(self) -> str:
        """Tells it from any other."""

    def predict_batch(self, crops: UInt8Array) -> npt.NDArray[np.float64]:
        """As `inference.Classifier.predict_batch`."""


@dataclass(frozen=True)
class Answer:
    """The prediction of one cell, a row.

    Attributes:
        image: its name.
        cell: names the cell within the image; "" where the image is the cell.
        probability: of leukaemic, 0 to 1; None where the image could not be read, or is
            over ten times the novelty limit.
        call: leukaemic, normal or error.
        conformal_call: leukaemic or normal where the other is ruled out 9 times in 10, else
            uncertain; uncertain too where there is a warning, error where there is no prediction.
        warnings: image-quality and novelty warnings, or the error; "" where there are none.
        threshold: the probability from which the call is leukaemic.
        subject: as the image's path gives it, where the network's data set has a rule for that;
            else "".
        model: the `name` of the network's file.
    """

    image: str
    cell: str
    probability: float | None
    call: str
    conformal_call: str
    warnings: str
    threshold: float
    subject: str
    model: str

    def to_dict(self) -> dict[str, Any]:
        """Column → value."""
        return asdict(self)


Answered = tuple[Answer, Cell | None]
"""A prediction and its cell; None where the image could not be read."""


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
    sources: Iterable[Readable], classifier: Predictor, threshold: float | None = None
) -> Iterator[Answer]:
    """As `predict_by_image`: the predictions alone, a row a cell."""
    for image in predict_by_image(sources, classifier, threshold):
        for answer, _ in image:
            yield answer


def predict_by_image(
    sources: Iterable[Readable], classifier: Predictor, threshold: float | None = None
) -> Iterator[list[Answered]]:
    """Predict each image in turn; pixels are held for 32 images at a time.

    Args:
        sources: the images.
        classifier: the network.
        threshold: probability from which a cell is called leukaemic; by default the network's.

    Yields:
        The predictions of an image's cells, one at least.
    """
    metadata = classifier.metadata
    threshold = metadata.decision.threshold if threshold is None else threshold

    def read(source: Readable) -> tuple[str, list[Cell] | str]:
        return _read(source, metadata.dataset)

    remaining = iter(sources)
    with ThreadPoolExecutor(count_workers()) as pool:
        while chunk := list(islice(remaining, _BATCH)):
            yield from _answer(list(pool.map(read, chunk)), classifier, threshold)


def start_answers(stream: TextIO) -> Callable[[Answer], None]:
    """Begin a CSV of predictions on a stream; the function returned writes one row."""
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow([field.name for field in fields(Answer)])

    def write(answer: Answer) -> None:
        shown = "" if answer.probability is None else f"{answer.probability:.6f}"
        row = (answer.to_dict() | {"probability": shown}).values()
        rows.writerow(defuse(entry) if isinstance(entry, str) else entry for entry in row)

    return write


def _read(source: Readable, spec: DatasetSpec) -> tuple[str, list[Cell] | str]:
    """(name, cells or the error)."""
    rgb = try_read_image(source)
    if isinstance(rgb, str):
        return source.name, rgb
    try:
        return source.name, extract_cells(rgb, spec)
    except Exception as error:  # one image never stops the rest
        return source.name, describe_surprise(error)


def _answer(
    read: Sequence[tuple[str, list[Cell] | str]], classifier: Predictor, threshold: float
) -> Iterator[list[Answered]]:
    crops = [cell.crop for _, cells in read if not isinstance(cells, str) for cell in cells]
    answers = iter(classifier.predict_batch(np.stack(crops)).tolist() if crops else [])
    metadata = classifier.metadata
    for name, cells in read:
        subject = metadata.dataset.find_subject(name)
        blank = Answer(name, "", None, ERROR, ERROR, "", threshold, subject, classifier.name)
        if isinstance(cells, str):
            yield [(replace(blank, warnings=cells), None)]
            continue
        yield [
            (_describe_answer(blank, cell, next(answers), metadata.decision), cell)
            for cell in cells
        ]


def _describe_answer(
    blank: Answer, cell: Cell, found: Sequence[float], decision: Decision
) -> Answer:
    probability, novelty = found
    if novelty > _FAR:
        words = "; ".join((_NO_CELL, *cell.warnings))
        return replace(blank, cell=cell.id, warnings=words)
    warnings = "; ".join((*_describe_novelty(novelty), *cell.warnings))
    return replace(
        blank,
        cell=cell.id,
        probability=probability,
        call=LEUKAEMIC if probability >= blank.threshold else NORMAL,
        conformal_call=UNCERTAIN if warnings else decision.find_conformal_call(probability),
        warnings=warnings,
    )


def _describe_novelty(novelty: float) -> Iterator[str]:
    if novelty > 1:
        yield f"unlike most training cells ({novelty:.2f} times the novelty limit)"
