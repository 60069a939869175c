"""Facts of the model, its data set and our rules for the page, which has none of its own."""

from __future__ import annotations

from statistics import NormalDist

from leukoscope.evaluation.aggregate import (
    CALLED_FROM,
    CERTAIN_FROM,
    CONFIDENCE,
    MIN_CELLS,
    MOST_WARNED,
)
from leukoscope.inference.decision import COVERAGE, SENSITIVITY
from leukoscope.io.images import IMAGE_SUFFIXES
from leukoscope.labels import CLASS_COLOURS, list_words
from leukoscope.logits import PROBABILITY_FLOOR
from leukoscope.notices import SIMULATED_BANNER, SIMULATED_FILE
from leukoscope.records import ModelMetadata
from leukoscope.serve.contract import Facts, Line

__all__ = ["collect_facts"]

WILSON_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
"""Normal quantile of an interval of that confidence."""


def collect_facts(metadata: ModelMetadata) -> Facts:
    """Collect all facts of this model that the page shows or computes with.

    Example:
        >>> collect_facts(classifier.metadata).min_cells
        20
    """
    dataset = metadata.dataset
    line = metadata.subjects and metadata.subjects.line
    return Facts(
        dataset=dataset.name,
        images=dataset.describe_images(),
        frame_px=dataset.crop.frame_px,
        naming=dataset.naming,
        subject_line=Line(slope=line.slope, intercept=line.intercept) if line else None,
        min_cells=MIN_CELLS,
        called_from=CALLED_FROM,
        certain_from=CERTAIN_FROM,
        most_warned=MOST_WARNED,
        probability_floor=PROBABILITY_FLOOR,
        confidence=CONFIDENCE,
        wilson_z=WILSON_Z,
        coverage=COVERAGE,
        sensitivity=SENSITIVITY,
        image_suffixes=sorted(IMAGE_SUFFIXES),
        simulated_file=SIMULATED_FILE,
        simulated_banner=SIMULATED_BANNER,
        colours=CLASS_COLOURS,
        class_words=sorted({*list_words(), *dataset.class_words}),
    )
