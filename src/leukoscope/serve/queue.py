"""One thread that predicts the crops of all requests, and the gate that limits requests."""

from __future__ import annotations

import itertools
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from leukoscope.arrays import UInt8Array
from leukoscope.inference.stream import Predictor
from leukoscope.serve.limits import Limits, RefusedError

__all__ = ["Batcher", "Gate"]

_BATCH = 32
_LONGEST_WAIT = 30  # seconds, longest Retry-After

_NOW, _WAITS, _END = range(3)  # the order in which the worker takes what is there

_Job = tuple[UInt8Array, "Future[npt.NDArray[np.float64]]"]
_Entry = tuple[int, int, _Job | None]  # order, number, job; no two have the same number


class Batcher:
    """A predictor that batches the crops of several threads into one forward pass.

    A crop's prediction does not depend on the others in its batch, so neither does a request's.

    Attributes:
        metadata: the classifier's.
        name: the classifier's.
    """

    def __init__(
        self, classifier: Predictor, on_batch: Callable[[int], None] = lambda _: None
    ) -> None:
        self.metadata, self.name = classifier.metadata, classifier.name
        self._classifier, self._on_batch = classifier, on_batch
        self._jobs: queue.PriorityQueue[_Entry] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    def predict_batch(self, crops: UInt8Array, *, waits: bool = False) -> npt.NDArray[np.float64]:
        """As `inference.Classifier.predict_batch`; returns when the worker is done.

        Args:
            crops: uint8 (n, 225, 225, 3), RGB.
            waits: whether all crops that do not go first, in a forward pass of their own.
        """
        answer: Future[npt.NDArray[np.float64]] = Future()
        self._jobs.put((_WAITS if waits else _NOW, next(self._numbers), (crops, answer)))
        return answer.result()

    def close(self) -> None:
        """Finish the waiting jobs, then stop."""
        self._jobs.put((_END, next(self._numbers), None))
        self._thread.join()

    def _work(self) -> None:
        while (job := (entry := self._jobs.get())[2]) is not None:
            self._answer([job] if entry[0] == _WAITS else self._gather(job))

    def _gather(self, first: _Job) -> list[_Job]:
        """The first job and others that can run now, up to about one batch."""
        jobs, crops = [first], len(first[0])
        while crops < _BATCH:
            try:
                entry = self._jobs.get_nowait()
            except queue.Empty:
                break
            if entry[0] != _NOW or entry[2] is None:
                self._jobs.put(entry)
                break
            jobs.append(entry[2])
            crops += len(entry[2][0])
        return jobs

    def _answer(self, jobs: list[_Job]) -> None:
        try:
            crops = np.concatenate([crops for crops, _ in jobs]) if jobs[1:] else jobs[0][0]
            self._on_batch(len(crops))
            found = self._classifier.predict_batch(crops)
        except BaseException as error:
            for _, answer in jobs:
                answer.set_exception(error)
            return
        start = 0
        for asked, answer in jobs:
            answer.set_result(found[start : start + len(asked)])
            start += len(asked)


class Gate:
    """Limits the requests, and the bytes, in progress at once; the others must retry later.

    Used by the event loop's thread only.

    Attributes:
        inside: requests that are being received or answered.
    """

    def __init__(self, limits: Limits) -> None:
        self.inside = 0
        self._limits, self._bytes, self._seconds = limits, 0, 1.0

    @contextmanager
    def enter(self, length: int) -> Iterator[None]:
        """Reserve a place, and memory for a body of `length` bytes.

        Raises:
            RefusedError: with 503 and Retry-After, when all are taken.
        """
        full = self.inside >= self._limits.requests
        if full or self._bytes + length > self._limits.held_bytes:
            wait = min(max(math.ceil(self._seconds), 1), _LONGEST_WAIT)
            raise RefusedError(503, f"Busy. Try again in {wait} s.", retry_after=wait)
        self.inside += 1
        self._bytes += length
        started = time.monotonic()
        try:
            yield
        finally:
            self.inside -= 1
            self._bytes -= length
            self._seconds += 0.1 * (time.monotonic() - started - self._seconds)
