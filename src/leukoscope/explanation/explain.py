"""One cell → its map, the map's check, its measures and their percentiles."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import read_crop
from leukoscope.cells.measures import (
    MEASURES,
    MIN_AREA,
    Reference,
    compute_measures,
    find_percentile,
)
from leukoscope.datasets.spec import CropSpec
from leukoscope.explanation.faithfulness import Faithfulness, check_map
from leukoscope.explanation.occlusion import FloatArray, Predict, compute_map
from leukoscope.inference.stream import Answer
from leukoscope.io.sources import Source
from leukoscope.labels import LABELS, LEUKAEMIC

__all__ = ["Explanation", "explain_answer", "explain_cell"]


@dataclass(frozen=True)
class Explanation:
    """The explanation of one cell's prediction.

    Attributes:
        image: its name.
        probability: of leukaemic.
        call: leukaemic or normal.
        warnings: image-quality and novelty warnings; "" where there are none.
        crop: uint8 (225, 225, 3), RGB.
        map: float64 (225, 225), as `compute_map` documents.
        check: of the map.
        measures: name → value, None where undefined.
        percentiles: label → measure → 0 to 100 among that class's cells, None as the value.
        passes: forward passes of map and check.
        seconds: total time.
    """

    image: str
    probability: float
    call: str
    warnings: str
    crop: UInt8Array
    map: FloatArray
    check: Faithfulness
    measures: Mapping[str, float | None]
    percentiles: Mapping[str, Mapping[str, float | None]]
    passes: int
    seconds: float

    def to_row(self) -> dict[str, Any]:
        """Column → value for a table; None where it is not known."""
        row: dict[str, Any] = {
            "image": self.image,
            "probability": self.probability,
            "call": self.call,
            "warnings": self.warnings,
        }
        for measure in MEASURES:
            row[measure.name] = self.measures[measure.name]
            for label in reversed(LABELS):
                row[f"{measure.name}_percentile_{label}"] = self.percentiles[label][measure.name]
        check = asdict(self.check) | {
            "score": self.check.score,
            "passes_check": self.check.passes_check,
        }
        return row | check | {"passes": self.passes, "seconds": round(self.seconds, 3)}


def explain_answer(
    source: Source, answer: Answer, predict: Predict, reference: Reference, spec: CropSpec
) -> Explanation | str:
    """Explain the prediction of an image: the only path from an image to an explanation.

    Args:
        source: the image.
        answer: its prediction, of `predict_sources`.
        predict: the network.
        reference: the cells that the measures are compared with.
        spec: how the network's images become crops.

    Returns:
        The explanation, or why there is none.
    """
    if answer.probability is None:
        return answer.warnings
    crop = read_crop(source.read(), spec, source.name)
    if compute_measures(crop)["area"] is None:
        return f"no cell found (under {MIN_AREA} px)"
    return explain_cell(
        crop,
        predict,
        reference,
        image=answer.image,
        probability=answer.probability,
        call=answer.call,
        warnings=answer.warnings,
    )


def explain_cell(
    crop: UInt8Array,
    predict: Predict,
    reference: Reference,
    *,
    image: str,
    probability: float,
    call: str,
    warnings: str = "",
) -> Explanation:
    """Explain one prediction.

    Args:
        crop: uint8 (225, 225, 3), RGB, with a cell.
        predict: the network.
        reference: the cells that the measures are compared with.
        image: name of the cell.
        probability: of leukaemic, predicted by the network.
        call: leukaemic or normal.
        warnings: of the prediction.
    """
    started = time.monotonic()
    found, passes = compute_map(crop, predict)
    check = check_map(crop, found, predict, leukaemic=call == LEUKAEMIC)
    measures = compute_measures(crop)
    return Explanation(
        image=image,
        probability=probability,
        call=call,
        warnings=warnings,
        crop=crop,
        map=found,
        check=check,
        measures=measures,
        percentiles={
            label: {
                name: find_percentile(reference, label, name, value)
                for name, value in measures.items()
            }
            for label in LABELS
        },
        passes=passes + check.passes,
        seconds=time.monotonic() - started,
    )
