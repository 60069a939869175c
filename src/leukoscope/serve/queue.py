"""One thread that answers for the crops of all requests, and the gate that keeps requests few."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from leukoscope.pixels import UInt8Array
from leukoscope.predict import Predictor
from leukoscope.serve.limits import Limits, RefusedError

__all__ = ["Batcher", "Gate"]

_BATCH = 32
_LONGEST_WAIT = 30  # seconds that a client is asked to wait at most

_Job = tuple[UInt8Array, "Future[npt.NDArray[np.float64]]"]


class Batcher:
    """A predictor that gathers what several threads ask for into one forward pass.

    A crop's answer does not depend on the others in its batch, so neither does a request's.

    Attributes:
        decision: the classifier's.
    """

    def __init__(
        self, classifier: Predictor, on_batch: Callable[[int], None] = lambda _: None
    ) -> None:
        self.decision = classifier.decision
        self._classifier, self._on_batch = classifier, on_batch
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    def answer(self, crops: UInt8Array) -> npt.NDArray[np.float64]:
        """As `inference.Classifier.answer`; returns when the worker has answered."""
        answer: Future[npt.NDArray[np.float64]] = Future()
        self._jobs.put((crops, answer))
        return answer.result()

    def close(self) -> None:
        """Answer what is waiting, then end."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs, ended = self._gather(first)
            self._answer(jobs)
            if ended:
                return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        """The first job and what else is waiting, to about one batch; whether the end was seen."""
        jobs, crops = [first], len(first[0])
        while crops < _BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
            crops += len(job[0])
        return jobs, False

    def _answer(self, jobs: list[_Job]) -> None:
        try:
            crops = np.concatenate([crops for crops, _ in jobs]) if jobs[1:] else jobs[0][0]
            self._on_batch(len(crops))
            found = self._classifier.answer(crops)
        except BaseException as error:
            for _, answer in jobs:
                answer.set_exception(error)
            return
        start = 0
        for asked, answer in jobs:
            answer.set_result(found[start : start + len(asked)])
            start += len(asked)


class Gate:
    """Lets so many requests, and so many bytes, in at once; the others come back later.

    Used by the event loop's thread only.

    Attributes:
        inside: requests that are being received or answered.
    """

    def __init__(self, limits: Limits) -> None:
        self.inside = 0
        self._limits, self._bytes, self._seconds = limits, 0, 1.0

    @contextmanager
    def enter(self, length: int) -> Iterator[None]:
        """Hold a place, and memory for a body of so many bytes.

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
