"""Is a map better than an uninformed one? Deletion and insertion (Petsiuk et al. 2018).

The cell's pixels are replaced by the flat cell, the most important first: for a faithful map the
probability of the called class falls early (deletion). Put back on the flat cell in the same order,
it rises early (insertion). A map's score is the area under insertion minus that under deletion.
It is compared with maps that know nothing of the network: random ones as smooth as a map is, a
plain blob, centre first, and its opposite, rim first, which shows the effect of any cell's edge. An
opposite needs no passes: deleting in one order is inserting in the other, read backwards. So
random maps come with their opposites too, and their mean score is 0, that of an uninformed map.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import compute_foreground
from leukoscope.explanation.occlusion import BoolArray, FloatArray, Predict, flatten_cell

__all__ = [
    "LEAST_SCORE",
    "MAPS",
    "RANDOM_MAPS",
    "CheckSummary",
    "Faithfulness",
    "check_map",
    "summarise_checks",
]

RANDOM_MAPS = 4
"""Random maps that a map is compared with: half of them drawn, the others their opposites."""

LEAST_SCORE = 0.02
"""Lowest score of a map that passes: below, the detail it names changes the probability too little
to matter. Maps of real cells score 0.3 on average (docs/explanations.md)."""

MAPS = ("map", "random", "blob", "rim")
"""What is compared, as named in a summary."""

_FEWEST = 5  # fewest subjects for a bootstrap interval
_STEPS = 6  # from the whole cell to the flat one
_RANDOM_SIGMA = 0.10  # of the random maps' blur, over the cell's diameter


@dataclass(frozen=True)
class Faithfulness:
    """One cell's check.

    Attributes:
        deletion: area under the probability of the called class, 0 to 1; lower is better.
        insertion: the same as pixels are put back; higher is better.
        random_deletion: mean of the random maps.
        random_insertion: mean of the random maps.
        random_best: highest score of a random map.
        blob_deletion: of the centre blob.
        blob_insertion: of the centre blob.
        rim_deletion: of the opposite order, rim first.
        rim_insertion: likewise.
        flat_probability: of leukaemic, of the cell without its detail.
        passes: forward passes that the check took.
    """

    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float
    random_best: float
    blob_deletion: float
    blob_insertion: float
    rim_deletion: float
    rim_insertion: float
    flat_probability: float
    passes: int

    @property
    def score(self) -> float:
        """Insertion minus deletion of the map, -1 to 1; 0 is that of an uninformed map."""
        return self.insertion - self.deletion

    @property
    def random_score(self) -> float:
        """Mean score of the random maps."""
        return self.random_insertion - self.random_deletion

    @property
    def blob_score(self) -> float:
        """Score of the centre blob."""
        return self.blob_insertion - self.blob_deletion

    @property
    def rim_score(self) -> float:
        """Score of the rim."""
        return self.rim_insertion - self.rim_deletion

    @property
    def passes_check(self) -> bool:
        """Whether it has an effect, and a higher score than every random map, blob and rim."""
        rivals = max(self.random_best, self.blob_score, self.rim_score)
        return self.has_effect and self.score > rivals

    @property
    def has_effect(self) -> bool:
        """Whether the score is `LEAST_SCORE` or more."""
        return self.score >= LEAST_SCORE


def check_map(
    crop: UInt8Array,
    found: FloatArray,
    predict: Predict,
    *,
    leukaemic: bool,
    flat: UInt8Array | None = None,
    seed: int = 0,
) -> Faithfulness:
    """Compare a map with random maps, a centre blob and the rim.

    Args:
        crop: uint8 (225, 225, 3), RGB, with a cell.
        found: float64 (225, 225), the map, above 0 where it speaks for leukaemic.
        predict: the network.
        leukaemic: whether the cell is called leukaemic: the class whose probability is followed.
        flat: what pixels are replaced by, shaped as the crop; by default the flat cell.
        seed: of the random maps, which depend on the crop too and on no other cell.
    """
    cell = compute_foreground(crop)
    flat = flatten_cell(crop) if flat is None else flat
    random = np.random.default_rng([seed, zlib.crc32(np.ascontiguousarray(crop).data)])
    maps = [found if leukaemic else -found, _draw_blob(cell)]
    maps += [_draw_random(cell, random) for _ in range(RANDOM_MAPS // 2)]

    def predict_called(crops: UInt8Array) -> FloatArray:
        return predict(crops) if leukaemic else 1 - predict(crops)

    ends = predict_called(np.stack([crop, flat]))
    curves = np.array([_follow(crop, flat, cell, one, predict_called, ends) for one in maps])
    deletion, insertion = curves[:, 0], curves[:, 1]
    random_area = float(curves[2:].mean())  # each map and its opposite: deletion is insertion
    return Faithfulness(
        deletion=float(deletion[0]),
        insertion=float(insertion[0]),
        random_deletion=random_area,
        random_insertion=random_area,
        random_best=float(np.abs(insertion - deletion)[2:].max()),
        blob_deletion=float(deletion[1]),
        blob_insertion=float(insertion[1]),
        rim_deletion=float(insertion[1]),
        rim_insertion=float(deletion[1]),
        flat_probability=float(ends[1] if leukaemic else 1 - ends[1]),
        passes=2 + len(maps) * 2 * (_STEPS - 1),
    )


def _follow(
    crop: UInt8Array,
    flat: UInt8Array,
    cell: BoolArray,
    importance: FloatArray,
    predict: Predict,
    ends: FloatArray,
) -> tuple[float, float]:
    """Areas under (deletion, insertion) of one map; `ends`: what whole and flat cell give."""
    places = np.flatnonzero(cell)
    order = places[np.argsort(-importance.ravel()[places], kind="stable")]
    rank = np.full(cell.size, len(order))
    rank[order] = np.arange(len(order))
    rank = rank.reshape(cell.shape)[..., None]
    cuts = [len(order) * step // _STEPS for step in range(1, _STEPS)]
    steps = [np.where(rank < cut, flat, crop) for cut in cuts]
    steps += [np.where((rank < cut) | (rank == len(order)), crop, flat) for cut in cuts]
    between = predict(np.stack(steps))
    whole, bare = ends
    deleting = np.concatenate([[whole], between[: _STEPS - 1], [bare]])
    inserting = np.concatenate([[bare], between[_STEPS - 1 :], [whole]])
    return _integrate(deleting), _integrate(inserting)


def _integrate(curve: FloatArray) -> float:
    """Area under a curve over 0 to 1, by trapezoids."""
    return float((curve[:-1] + curve[1:]).mean() / 2)


def _draw_blob(cell: BoolArray) -> FloatArray:
    """Highest at the cell's centre of mass."""
    rows, columns = np.nonzero(cell)
    y, x = np.ogrid[: cell.shape[0], : cell.shape[1]]
    return np.asarray(-np.hypot(y - rows.mean(), x - columns.mean()))


def _draw_random(cell: BoolArray, random: np.random.Generator) -> FloatArray:
    """Noise with blobs as large as an occlusion map's."""
    sigma = _RANDOM_SIGMA * 2 * np.sqrt(np.count_nonzero(cell) / np.pi)
    return np.asarray(cv2.GaussianBlur(random.standard_normal(cell.shape), (0, 0), sigma))


@dataclass(frozen=True)
class CheckSummary:
    """The check over a set of cells.

    Attributes:
        cells: how many.
        passing: how many maps pass.
        means: name → mean over the cells.
        intervals: name → 95% interval over subjects; empty with fewer than five.
    """

    cells: int
    passing: int
    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def summarise_checks(
    checks: Sequence[Faithfulness],
    subjects: Sequence[str] | None = None,
    *,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> CheckSummary:
    """Mean scores and differences of a set of cells, with intervals by a bootstrap over subjects.

    Args:
        checks: one a cell, one at least.
        subjects: whose cell it is; by default each cell is its own subject.
        n_bootstrap: of the bootstrap.
        seed: of the bootstrap.
    """
    columns = {}
    for name in MAPS:
        prefix = "" if name == "map" else f"{name}_"
        for part in ("deletion", "insertion", "score"):
            columns[f"{name}_{part}"] = [getattr(check, prefix + part) for check in checks]
    for name in MAPS[1:]:
        ours, theirs = (np.array(columns[f"{one}_score"]) for one in ("map", name))
        columns[f"map_minus_{name}"] = (ours - theirs).tolist()
    values = np.array(list(columns.values())).T
    names, codes = np.unique(
        list(subjects) if subjects is not None else np.arange(len(checks)), return_inverse=True
    )
    sums = np.zeros((len(names), values.shape[1] + 1))
    np.add.at(sums, codes, np.column_stack([values, np.ones(len(values))]))
    intervals = {}
    if len(names) >= _FEWEST:
        random = np.random.default_rng(seed)
        drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), n_bootstrap)
        totals = drawn @ sums
        low, high = np.percentile(totals[:, :-1] / totals[:, -1:], [2.5, 97.5], axis=0)
        intervals = {
            name: (float(low[place]), float(high[place])) for place, name in enumerate(columns)
        }
    return CheckSummary(
        cells=len(checks),
        passing=sum(check.passes_check for check in checks),
        means=dict(zip(columns, map(float, values.mean(axis=0)), strict=True)),
        intervals=intervals,
    )
