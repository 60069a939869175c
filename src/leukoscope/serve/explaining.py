"""One explanation at a time, with lower priority than predictions: its passes wait for them."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from fastapi import Request

from leukoscope.arrays import UInt8Array
from leukoscope.cells.extract import name_cell
from leukoscope.cells.measures import MEASURES
from leukoscope.explanation import (
    Explanation,
    describe_check,
    describe_flat,
    describe_reference,
    encode_layer,
    explain_answer,
    find_limit,
    format_measure,
    format_percentile,
)
from leukoscope.inference.stream import Answered, predict_by_image
from leukoscope.labels import LABELS
from leukoscope.notices import RESEARCH_ONLY
from leukoscope.records import TrainingMeasures
from leukoscope.serve.contract import Check, Explained, Measured, Place, Row, build_row
from leukoscope.serve.limits import Limits, RefusedError, UploadedFile, list_uploaded, narrow
from leukoscope.serve.queue import Batcher, Gate

__all__ = ["Explainer"]

_AT_ONCE = 8  # crops in one pass: the longest that a prediction waits for an explanation
_LOOK_SECONDS = 0.25  # between looks whether the client is still there


class Explainer:
    """Explains cells one by one.

    Attributes:
        limits: what one request may hold: one image.
        gate: limits the requests at once.
    """

    def __init__(self, batcher: Batcher, limits: Limits) -> None:
        self.limits = narrow(limits)
        self.gate = Gate(replace(self.limits, requests=limits.explanations))
        self._batcher = batcher
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="explainer")
        self._closed = threading.Event()

    async def explain(
        self, request: Request, file: UploadedFile, asked: str, threshold: float
    ) -> Explained:
        """Explain one cell of an image, unless the client goes away.

        Args:
            request: to see whether the client is still there.
            file: the image.
            asked: which cell of the image; "" where it has one.
            threshold: probability from which the cell is called leukaemic.

        Raises:
            RefusedError: no such cell, several and none named, nothing to explain, out of time, or
                the client has gone.
        """
        work = _Work(self._batcher, self.limits.explanation_seconds, self._closed)
        found = asyncio.get_running_loop().run_in_executor(
            self._pool, self._explain, file, asked, threshold, work
        )
        try:
            while not (await asyncio.wait({found}, timeout=_LOOK_SECONDS))[0]:
                if await request.is_disconnected():
                    raise RefusedError(400, "The client went away before its explanation was made.")
            return found.result()
        finally:
            work.left.set()
            found.cancel()

    def close(self) -> None:
        """Stop running explanations."""
        self._closed.set()
        self._pool.shutdown(cancel_futures=True)

    def _explain(self, file: UploadedFile, asked: str, threshold: float, work: _Work) -> Explained:
        work.start()
        reference = self._batcher.metadata.measures
        (image,) = predict_by_image(list_uploaded([file], self.limits), self._batcher, threshold)
        answer, cell = _choose(image, asked)
        found = explain_answer(answer, cell, work.predict, reference)
        if isinstance(found, str):
            raise RefusedError(422, f"{name_cell(file.name, asked)}: {found.rstrip('.')}.")
        return _describe(found, build_row(answer, cell), threshold, reference)


def _choose(image: Sequence[Answered], asked: str) -> Answered:
    """The cell that was asked for; the only one where none was named."""
    for answer, cell in image:
        if cell is None or answer.cell == asked or (not asked and len(image) == 1):
            return answer, cell
    names = ", ".join(answer.cell for answer, _ in image)
    expected = f"one of its cells, {names}, as ?cell=NAME" if names else "no ?cell=, as it is one"
    raise RefusedError(
        422, f"{image[0][0].image}: expected {expected}; received {asked or 'none'}."
    )


@dataclass
class _Work:
    """One explanation's passes, until there is a reason to stop.

    Attributes:
        batcher: predicts.
        seconds: time limit.
        closed: set when the server ends.
        left: set when the client has gone.
    """

    batcher: Batcher
    seconds: float
    closed: threading.Event
    left: threading.Event = field(default_factory=threading.Event)
    _end: float = 0.0

    def start(self) -> None:
        """Start the time limit."""
        self._end = time.monotonic() + self.seconds

    def predict(self, crops: UInt8Array) -> npt.NDArray[np.float64]:
        """Probability of leukaemic of each crop, after all waiting predictions."""
        found = []
        for start in range(0, len(crops), _AT_ONCE):
            if self.closed.is_set() or self.left.is_set() or time.monotonic() > self._end:
                wait = 10
                raise RefusedError(503, f"Busy with predictions. Try again in {wait} s.", wait)
            found.append(
                self.batcher.predict_batch(crops[start : start + _AT_ONCE], waits=True)[:, 0]
            )
        return np.concatenate(found)


def _describe(
    found: Explanation, row: Row, threshold: float, reference: TrainingMeasures | None
) -> Explained:
    check = found.check
    return Explained(
        row=row,
        called_at=threshold,
        layer=base64.b64encode(encode_layer(found)).decode(),
        limit=find_limit(found),
        passes_check=check.passes_check,
        check_words=describe_check(check),
        flat=describe_flat(found),
        check=Check(
            score=check.score,
            random_best=check.random_best,
            blob_score=check.blob_score,
            rim_score=check.rim_score,
            deletion=check.deletion,
            insertion=check.insertion,
            flat_probability=check.flat_probability,
        ),
        measures=[
            Measured(
                name=measure.name,
                title=measure.title,
                unit=measure.unit,
                value=found.measures[measure.name],
                words=format_measure(measure, found.measures[measure.name]),
                percentiles={
                    label: Place(value=value, words=format_percentile(value))
                    for label in reversed(LABELS)
                    if label in found.percentiles
                    for value in (found.percentiles[label][measure.name],)
                },
            )
            for measure in MEASURES
        ],
        reference=describe_reference(reference),
        passes=found.passes,
        seconds=round(found.seconds, 3),
        notice=RESEARCH_ONLY,
    )
