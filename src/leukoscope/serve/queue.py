"""One thread that predicts the crops of all requests, and the gate that limits requests."""

from __future__ import annotations

import asyncio
import itertools
import math
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager

import numpy as np
import numpy.typing as npt

from leukoscope.arrays import UInt8Array
from leukoscope.inference.stream import Predictor
from leukoscope.serve.limits import Limits, RefusedError

__all__ = ["Batcher", "Gate", "Place"]

_BATCH = 32
_LONGEST_WAIT = 30  # seconds, longest Retry-After
_DOOR_SECONDS = 1.0  # a request waits for a place
_SPEED_SECONDS = 0.5  # over which the speed of a body is measured
_GRANTED = 1_000_000  # bytes kept free for a body that is yet to come
_SLOW = 32_000  # bytes a second of a body that keeps nobody waiting

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


class Place:
    """What one request holds: first its body while it comes, then the body and an answer.

    Attributes:
        client: its address.
        length: of its body in bytes, as promised.
        bytes: of its body, as received.
        answered: whether its body is here, so that it is being answered.
        lost: whether another got its place, as its body came slowly.
        timer: ends the wait for more of the body.
    """

    def __init__(self, client: str, length: int) -> None:
        self.client, self.length, self.bytes = client, length, 0
        self.answered = self.lost = False
        self.timer: asyncio.Timeout | None = None
        self._speed = math.inf
        self._since, self._before = time.monotonic(), 0

    def count(self, more: int) -> None:
        """More bytes of the body came."""
        self.bytes += more
        if time.monotonic() - self._since >= _SPEED_SECONDS:
            self._speed = self.find_speed()
            self._since, self._before = time.monotonic(), self.bytes

    def find_speed(self) -> float:
        """Bytes a second of late; infinite for a new one."""
        seconds = time.monotonic() - self._since
        if seconds < _SPEED_SECONDS:
            return self._speed
        return (self.bytes - self._before) / seconds

    def is_slow(self) -> bool:
        """Whether its body comes so slowly that others need not wait for it."""
        return not self.answered and self.find_speed() < _SLOW

    def find_held(self) -> int:
        """Bytes to keep free for its body: the more have come, the more of those promised."""
        if self.lost:
            return 0
        expected = self.bytes if self.is_slow() else _GRANTED + 4 * self.bytes
        return min(self.length, expected)

    def lose(self) -> None:
        """Give the place up, as another waits."""
        self.lost = True
        if self.timer is not None:
            self.timer.reschedule(asyncio.get_running_loop().time())


class Gate:
    """Limits the requests received and answered at once, and their bytes; others must retry later.

    A body that comes slowly keeps nobody waiting: it counts with what is here of it, and loses its
    place where all are taken. Used by the event loop's thread only.

    Attributes:
        answered: requests that were answered so far.
    """

    def __init__(self, limits: Limits) -> None:
        self.answered = 0
        self._limits, self._seconds = limits, 1.0
        self._places: set[Place] = set()

    @property
    def inside(self) -> int:
        """Requests that are being received or answered."""
        return len(self._places)

    @asynccontextmanager
    async def enter(self, client: str, length: int) -> AsyncIterator[Place]:
        """Reserve a place for a body of `length` bytes; wait a moment for one where all are taken.

        Raises:
            RefusedError: with 503 and Retry-After, when all are taken.
        """
        end = time.monotonic() + _DOOR_SECONDS
        place = Place(client, length)
        while self._is_full() or not self._make_room(place):
            if self._is_full() or time.monotonic() > end:
                raise self._refuse()
            await asyncio.sleep(_DOOR_SECONDS / 10)
            place = Place(client, length)
        self._places.add(place)
        started = time.monotonic()
        try:
            yield place
        finally:
            self._places.discard(place)
            if place.answered:
                self.answered += 1
                self._seconds += 0.1 * (time.monotonic() - started - self._seconds)

    def answer(self, place: Place) -> None:
        """The body is here. Raises `RefusedError` where too many are being answered."""
        if self._is_full():
            raise self._refuse()
        place.answered = True

    def count(self, place: Place, more: int) -> None:
        """More bytes of a body came. Raises `RefusedError` where they have no room."""
        place.count(more)
        if sum(other.bytes for other in self._places) > self._limits.held_bytes:
            raise self._refuse()

    def _is_full(self) -> bool:
        return sum(place.answered for place in self._places) >= self._limits.requests

    def _make_room(self, new: Place) -> bool:
        """Whether there is room for a body, once those that come slowly have lost their places."""
        most = self._limits.receiving
        coming = [place for place in self._places if not (place.answered or place.lost)]
        own = [place for place in coming if place.client == new.client]
        if len(own) >= most // 2 and not _lose(own, Place.find_speed):
            return False
        if len(coming) >= most and not _lose(coming, Place.find_speed):
            return False
        while sum(place.find_held() for place in (*self._places, new)) > self._limits.held_bytes:
            if not _lose(coming, lambda place: -place.bytes):
                return False
        return True

    def _refuse(self) -> RefusedError:
        wait = min(max(math.ceil(self._seconds), 1), _LONGEST_WAIT)
        return RefusedError(503, f"Busy. Try again in {wait} s.", retry_after=wait)


def _lose(places: list[Place], order: Callable[[Place], float]) -> bool:
    """Take the place of the first body that comes slowly; whether there was one."""
    slow = [place for place in places if place.is_slow() and not place.lost]
    if slow:
        min(slow, key=order).lose()
    return bool(slow)
