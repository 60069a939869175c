"""Store + training cells → batches, class- and subject-balanced, drawn ahead by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from leukoscope.arrays import UInt8Array
from leukoscope.labels import LEUKAEMIC
from leukoscope.machine import count_workers
from leukoscope.settings import AugmentSettings
from leukoscope.training.augment import augment_crop, find_effects, make_generator

__all__ = ["compute_weights", "draw_order", "iterate_batches"]

_Batch = tuple[npt.NDArray[Any], npt.NDArray[np.float32]]

_AHEAD = 6  # batches prefetched


def compute_weights(table: pd.DataFrame, subject_balance: float) -> npt.NDArray[np.float64]:
    """Weight of each cell: classes balanced, people within a class by `subject_balance`.

    Args:
        table: columns label and group.
        subject_balance: 0 weights the cells of a class equally, 1 its people (groups).

    Returns:
        float64 (n,), sum 1.
    """
    sizes = table.groupby("group")["group"].transform("size").to_numpy(float)
    weights = pd.Series(sizes**-subject_balance, index=table.index)
    weights /= weights.groupby(table["label"]).transform("sum") * table["label"].nunique()
    return np.asarray(weights, np.float64)


def draw_order(
    weights: npt.NDArray[np.float64], seed: int, epoch: int, count: int | None = None
) -> npt.NDArray[np.int64]:
    """Row numbers of one epoch, in order: systematic sampling, so that chance adds little.

    Args:
        weights: float64 (n,), sum 1.
        seed: of the run.
        epoch: counts from 0; each has its own order.
        count: cells in the epoch, by default n.
    """
    random = np.random.default_rng((seed, epoch))
    count = count or len(weights)
    marks = (np.arange(count) + random.random()) / count
    shuffled = random.permutation(len(weights))
    edges = np.cumsum(weights[shuffled])
    places = np.searchsorted(edges, marks * edges[-1], side="right")
    return random.permutation(shuffled[places.clip(max=len(edges) - 1)])


def iterate_batches(
    inputs: npt.NDArray[Any],
    table: pd.DataFrame,
    order: npt.NDArray[np.int64],
    settings: AugmentSettings,
    *,
    batch: int,
    seed: int,
    epoch: int,
) -> Iterator[_Batch]:
    """Yield the batches of one epoch, crops augmented.

    Args:
        inputs: the store, uint8 (n, 225, 225, 3), or features, float32 (n, features); row i belongs
            to the index label i of `table`.
        table: the training cells, index = rows of `inputs`.
        order: row numbers within `table`, as from `draw_order`.
        settings: strengths of the augmentation.
        batch: cells in a batch; an incomplete last batch is dropped.
        seed: of the run.
        epoch: of the run.

    Yields:
        Crops uint8 (batch, 225, 225, 3), or features float32 (batch, features), and labels float32
        (batch, 1), 1 = leukaemic.

    Raises:
        SettingsError: an effect that cannot be found, or gives something else than a crop.
    """
    rows = table.index.to_numpy()
    labels = np.asarray(table["label"] == LEUKAEMIC, np.float32)
    starts = range(0, len(order) - batch + 1, batch)

    if inputs.ndim == 2:
        for start in starts:
            chosen = order[start : start + batch]
            yield inputs[rows[chosen]], labels[chosen, None]
        return

    effects = find_effects(settings)

    def change(row: int, place: int) -> UInt8Array:
        random = make_generator(seed, epoch, place)
        return augment_crop(np.asarray(inputs[rows[row]]), settings, random, effects)

    def make(start: int) -> _Batch:
        chosen = order[start : start + batch]
        drawn = [change(row, start + place) for place, row in enumerate(chosen)]
        return np.stack(drawn), labels[chosen, None]

    yield from _draw_ahead(make, starts)


def _draw_ahead(make: Callable[[int], _Batch], starts: Iterable[int]) -> Iterator[_Batch]:
    """Each start's batch, in order, prefetched by threads."""
    with ThreadPoolExecutor(count_workers()) as pool:
        waiting: deque[Future[_Batch]] = deque()
        for start in starts:
            waiting.append(pool.submit(make, start))
            if len(waiting) >= _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
