"""One explanation at a time, with lower priority than predictions: its passes wait for them."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from fastapi import Request

from leukoscope.arrays import UInt8Array
from leukoscope.cells.measures import MEASURES, Reference
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
from leukoscope.inference.stream import Answer, predict_sources
from leukoscope.io.sources import Source
from leukoscope.labels import LABELS
from leukoscope.notices import RESEARCH_ONLY
from leukoscope.serve.contract import Check, Explained, Measured, Place, Row
from leukoscope.serve.limits import Limits, RefusedError, UploadedFile, list_uploaded, narrow
from leukoscope.serve.queue import Batcher, Gate

__all__ = ["Explainer"]

_AT_ONCE = 8  # crops in one pass: the longest that a prediction waits for an explanation
_LOOK_SECONDS = 0.25  # between looks whether the client is still there


class Explainer:
    """Explains images one by one.

    Attributes:
        limits: what one request may hold: one image.
        gate: limits the requests at once.
    """

    def __init__(self, batcher: Batcher, reference: Reference, limits: Limits) -> None:
        self.limits = narrow(limits)
        self.gate = Gate(replace(self.limits, requests=limits.explanations))
        self._batcher, self._reference = batcher, reference
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="explainer")
        self._closed = threading.Event()

    async def explain(self, request: Request, file: UploadedFile, threshold: float) -> Explained:
        """Explain one image, unless the client goes away.

        Raises:
            RefusedError: no cell to explain, out of time, or the client has gone.
        """
        work = _Work(self._batcher, self.limits.explanation_seconds, self._closed)
        found = asyncio.get_running_loop().run_in_executor(
            self._pool, self._explain, file, threshold, work
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

    def _explain(self, file: UploadedFile, threshold: float, work: _Work) -> Explained:
        work.start()
        (source,) = list_uploaded([file], self.limits)
        (answer,) = predict_sources([source], self._batcher, threshold)
        counted = Source(file.name, len(file.data), "", file.data)  # its pixels are counted once
        found = explain_answer(
            counted, answer, work.predict, self._reference, self._batcher.metadata.dataset.crop
        )
        if isinstance(found, str):
            raise RefusedError(422, f"{file.name}: {found.rstrip('.')}.")
        return _describe(found, answer, threshold, self._reference)


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
    found: Explanation, answer: Answer, threshold: float, reference: Reference
) -> Explained:
    check = found.check
    return Explained(
        row=Row(**answer.to_dict()),
        called_at=threshold,
        layer=base64.b64encode(encode_layer(found)).decode(),
        limit=find_limit(found),
        believed=check.passes_check,
        verdict=describe_check(check),
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
