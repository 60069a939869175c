"""One cell → its map, the map's check, its measures and their percentiles."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from leukoscope.arrays import UInt8Array
from leukoscope.cells.extract import Cell, name_cell
from leukoscope.cells.measures import MEASURES, MIN_AREA, compute_measures, find_percentile
from leukoscope.explanation.faithfulness import Faithfulness, check_map
from leukoscope.explanation.occlusion import FloatArray, Predict, compute_map
from leukoscope.inference.stream import Answer
from leukoscope.labels import LABELS, LEUKAEMIC
from leukoscope.records import TrainingMeasures

__all__ = ["Explanation", "explain_answer", "explain_cell"]


@dataclass(frozen=True)
class Explanation:
    """The explanation of one cell's prediction.

    Attributes:
        image: its name.
        cell: names the cell within the image; "" where the image is the cell.
        probability: of leukaemic.
        call: leukaemic or normal.
        warnings: image-quality and novelty warnings; "" where there are none.
        crop: uint8 (225, 225, 3), RGB.
        map: float64 (225, 225), as `compute_map` documents.
        check: of the map.
        measures: name → value, None where undefined.
        percentiles: label → measure → 0 to 100 among that class's training cells, None as the
            value; empty where the model file has no measures of its training cells.
        passes: forward passes of map and check.
        seconds: total time.
    """

    image: str
    cell: str
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

    @property
    def name(self) -> str:
        """Image and cell in words."""
        return name_cell(self.image, self.cell)

    def to_row(self) -> dict[str, Any]:
        """Column → value for a table; None where it is not known, no percentiles without them."""
        row: dict[str, Any] = {
            "image": self.image,
            "cell": self.cell,
            "probability": self.probability,
            "call": self.call,
            "warnings": self.warnings,
        }
        for measure in MEASURES:
            row[measure.name] = self.measures[measure.name]
            for label in (label for label in reversed(LABELS) if label in self.percentiles):
                row[f"{measure.name}_percentile_{label}"] = self.percentiles[label][measure.name]
        check = asdict(self.check) | {
            "score": self.check.score,
            "passes_check": self.check.passes_check,
        }
        return row | check | {"passes": self.passes, "seconds": round(self.seconds, 3)}


def explain_answer(
    answer: Answer, cell: Cell | None, predict: Predict, reference: TrainingMeasures | None
) -> Explanation | str:
    """Explain the prediction of a cell: the only path from a prediction to an explanation.

    Args:
        answer: the prediction, of `predict_by_image`.
        cell: its cell; None where the image could not be read.
        predict: the network.
        reference: the network's training cells, that the measures are compared with.

    Returns:
        The explanation, or why there is none.
    """
    if answer.probability is None or cell is None:
        return answer.warnings
    if compute_measures(cell.crop)["area"] is None:
        return f"no cell found (under {MIN_AREA} px)"
    return explain_cell(
        cell.crop,
        predict,
        reference,
        image=answer.image,
        cell=answer.cell,
        probability=answer.probability,
        call=answer.call,
        warnings=answer.warnings,
    )


def explain_cell(
    crop: UInt8Array,
    predict: Predict,
    reference: TrainingMeasures | None,
    *,
    image: str,
    cell: str = "",
    probability: float,
    call: str,
    warnings: str = "",
) -> Explanation:
    """Explain one prediction.

    Args:
        crop: uint8 (225, 225, 3), RGB, with a cell.
        predict: the network.
        reference: the network's training cells, that the measures are compared with; without
            them there are no percentiles.
        image: its name.
        cell: names the cell within the image; "" where the image is the cell.
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
        cell=cell,
        probability=probability,
        call=call,
        warnings=warnings,
        crop=crop,
        map=found,
        check=check,
        measures=measures,
        percentiles=_find_percentiles(measures, reference) if reference else {},
        passes=passes + check.passes,
        seconds=time.monotonic() - started,
    )


def _find_percentiles(
    measures: Mapping[str, float | None], reference: TrainingMeasures
) -> dict[str, dict[str, float | None]]:
    return {
        label: {
            name: find_percentile(reference, label, name, value) for name, value in measures.items()
        }
        for label in LABELS
    }
