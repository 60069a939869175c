"""Images → predictions, by one model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import ModelError, SettingsError
from leukoscope.inference.model import Classifier, find_shipped_model
from leukoscope.inference.stream import Answer, list_images, predict_by_image
from leukoscope.io.sources import Source
from leukoscope.records import ModelMetadata

__all__ = [
    "OPERATING_POINTS",
    "answer_sources",
    "choose_threshold",
    "find_spec",
    "open_classifier",
    "predict_images",
]

OPERATING_POINTS = ("balanced", "sensitive")
"""Thresholds of a model: where sensitivity + specificity is largest; where 95% of the leukaemic
cells are found."""


def open_classifier(model: Path | None = None) -> Classifier:
    """Open the model of a run folder, of a file, or the shipped one.

    Raises:
        LeukoscopeError: no such model.
    """
    if model is None:
        return Classifier(find_shipped_model())
    if model.is_dir():
        from leukoscope.io.runs import open_run

        return Classifier(open_run(model).find_model())
    if model.suffix == ".keras":
        raise ModelError(f"{model}: a Keras file. Expected the model.onnx beside it, or the run.")
    return Classifier(model)


def find_spec(predictions: Path, model: Path | None = None) -> DatasetSpec | None:
    """The facts of the data set that predictions are of, for its names and words.

    Args:
        predictions: a run, or a table.
        model: that predicted, as of `open_classifier`.

    Returns:
        The model's or, without one, the run's; None of a table alone.

    Raises:
        LeukoscopeError: no such model, or a run whose record cannot be read.
    """
    if model is not None:
        return open_classifier(model).metadata.dataset
    if predictions.is_dir():
        from leukoscope.io.runs import open_run

        return open_run(predictions).read_record().dataset
    return None


def choose_threshold(classifier: Classifier, operating_point: str = "balanced") -> float:
    """The probability from which a model calls a cell leukaemic.

    Raises:
        SettingsError: not one of `OPERATING_POINTS`.
    """
    if operating_point not in OPERATING_POINTS:
        raise SettingsError(
            f"Unknown operating point {operating_point!r}. "
            f"Expected {' or '.join(OPERATING_POINTS)}."
        )
    sensitive = operating_point == "sensitive"
    return classifier.sensitive_threshold if sensitive else classifier.threshold


def predict_images(
    images: Sequence[Path],
    model: Path | None = None,
    *,
    operating_point: str = "balanced",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Iterator[Answer], ModelMetadata]:
    """Predict images, folders and zips.

    Args:
        images: files, folders and zips.
        model: a run folder or an ONNX file; by default the shipped model.
        operating_point: one of `OPERATING_POINTS`: the threshold of the call.
        progress: called with (done, total) images.

    Returns:
        The predictions as they come, one a cell, in the order of the images; and the model's
        metadata.

    Raises:
        LeukoscopeError: a path that is not there, or a model that cannot be used.
    """
    sources = list_images(images)
    classifier = open_classifier(model)
    answers = answer_sources(sources, classifier, operating_point, progress)
    return answers, classifier.metadata


def answer_sources(
    sources: Sequence[Source],
    classifier: Classifier,
    operating_point: str = "balanced",
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Answer]:
    """Predictions as they come, in the order of the images; arguments as of `predict_images`."""
    threshold = choose_threshold(classifier, operating_point)

    def predict() -> Iterator[Answer]:
        for done, found in enumerate(predict_by_image(sources, classifier, threshold), start=1):
            if progress:
                progress(done, len(sources))
            for answer, _ in found:
                yield answer

    return predict()
