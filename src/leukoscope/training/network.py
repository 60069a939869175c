"""One network of a run: trained, exported and applied to the held-out cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from leukoscope import __version__
from leukoscope.arrays import UInt8Array
from leukoscope.catalogue import compute_fingerprint
from leukoscope.cells.crop import CROP_PX
from leukoscope.cells.measures import compute_measure_quantiles
from leukoscope.cells.quality import measure_limits
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import ModelError, RunError, warn_notice
from leukoscope.exporters import (
    MAX_SHARE,
    Exporter,
    compute_share,
    export_model,
    find_exporter,
)
from leukoscope.inference.novelty import Novelty, fit_novelty
from leukoscope.io.runs import FINAL, Network, Run, read_run_table, report_damage
from leukoscope.io.tables import write_table
from leukoscope.labels import LABELS
from leukoscope.records import Decision, Expected, ModelMetadata, SubjectRecord, TrainingMeasures
from leukoscope.settings import Recipe
from leukoscope.splits import choose_stopping, find_seen

if TYPE_CHECKING:
    from leukoscope.training.loop import EpochReport

__all__ = [
    "COMPARED",
    "Work",
    "answer_exactly",
    "export_network",
    "predict_fold",
    "spread",
    "train_network",
]

COMPARED = 256
"""Cells on which an export must agree with Keras."""

_TRAIN_AGAIN = (
    "Put it back from a copy, or delete it and continue the run with `resume`, which trains this "
    "network again."
)
_UNLEARNED = (
    "this network's features differ between cells by no more than float32 rounds, so it has not "
    "learned to tell cells apart (it may need pretrained weights, more epochs or another learning "
    "rate). Its probabilities agree with Keras, so it was written; its novelty has no meaning."
)
_OUTPUTS: dict[str, type] = {
    **dict.fromkeys(("image", "subject", "label", "group", "pixel_hash"), str),
    **dict.fromkeys(("probability", "novelty", "area_probability"), float),
    "area": int,
    "leaky": bool,
}
_CHUNK = 512  # crops in memory at a time
_MEASURED = 1000  # training cells of each class whose measures a model keeps the quantiles of
_LEARNED = 2000  # training cells that novelty is fitted on, where no features are cached


@dataclasses.dataclass(frozen=True)
class Work:
    """Shared by the training of every network."""

    run: Run
    recipe: Recipe
    dataset: DatasetSpec
    crops: UInt8Array
    inputs: npt.NDArray[Any]  # crops, or the features of a frozen recipe
    seed: int
    on_step: Callable[[EpochReport], None] | None


def train_network(
    work: Work,
    name: str,
    cells: pd.DataFrame,
    decision: Decision = Decision(),  # noqa: B008 (frozen)
    expected: Expected | None = None,
    subjects: SubjectRecord | None = None,
) -> None:
    """Train and export one network, unless that is done already.

    The networks of the folds give raw outputs; the final one, given a decision, is calibrated.
    """
    from leukoscope.models import calibrate_model
    from leukoscope.training.loop import remove_checkpoint, save_keras, train_model

    network = work.run.find_network(name)
    if network.onnx.exists():
        with report_damage(network.onnx, "the exported network", _TRAIN_AGAIN):
            return
    network.folder.mkdir(parents=True, exist_ok=True)
    early = work.recipe.training.early_stopping
    stopping = choose_stopping(cells, work.seed) if early else cells.index[:0]
    training = cells.index.difference(stopping, sort=False)
    model, history = train_model(
        work.recipe,
        work.inputs,
        cells.loc[training],
        cells.loc[stopping],
        network.checkpoint,
        seed=work.seed,
        progress=work.on_step,
    )
    with work.run.keep_digest(network.history):
        write_table(network.history, history)
    calibrate_model(model, decision.slope, decision.intercept)
    metadata = ModelMetadata(
        classes=LABELS,
        crop_px=CROP_PX,
        decision=decision,
        dataset=dataclasses.replace(work.dataset, quality=measure_limits(cells)),
        recipe=work.recipe.name,
        fingerprint=compute_fingerprint(cells),
        version=__version__,
        expected=expected,
        subjects=subjects,
        measures=_measure_cells(work.crops, cells) if name == FINAL else None,
    )
    with work.run.keep_digest(network.keras):
        save_keras(model, network.keras, metadata)
    with work.run.keep_digest(network.onnx):
        _export(work, network, model, cells, metadata, decision.novelty_limit)
    remove_checkpoint(network.checkpoint)


def _measure_cells(crops: UInt8Array, cells: pd.DataFrame) -> TrainingMeasures:
    """Quantiles of the measures of at most 1,000 cells a class, evenly chosen: 5 ms a cell."""
    by_label = [cells[cells["label"] == label].index.to_numpy() for label in LABELS]
    chosen = cells.loc[np.concatenate([spread(rows, _MEASURED) for rows in by_label])]
    return compute_measure_quantiles(
        (crops[row] for row in chosen.index), chosen["label"].tolist(), chosen["group"].tolist()
    )


def _export(
    work: Work,
    network: Network,
    model: Any,
    cells: pd.DataFrame,
    metadata: ModelMetadata,
    novelty_limit: float,
) -> None:
    """Write the network as ONNX: what predicts the held-out cells, and what users predict with."""
    rows = spread(cells.index.to_numpy(), COMPARED)
    export_network(
        find_exporter("onnx"),
        work.recipe,
        model,
        _fit_novelty(work, model, cells).divide(novelty_limit),
        network.onnx,
        metadata,
        np.asarray(work.crops[rows]),
        work.inputs[rows] if work.recipe.training.freeze_backbone else None,
    )


def export_network(
    exporter: Exporter,
    recipe: Recipe,
    model: Any,
    novelty: Novelty,
    path: Path,
    metadata: ModelMetadata,
    crops: UInt8Array,
    features: npt.NDArray[Any] | None = None,
) -> float:
    """Write a network of a run in one format, if it agrees with Keras on crops.

    Args:
        exporter: from `find_exporter`.
        recipe: of the run.
        model: keras.Model, calibrated.
        novelty: of its features, 1 at the limit.
        path: of the file.
        metadata: kept in the file.
        crops: to compare on, uint8 (n, 225, 225, 3).
        features: of these crops, where they are known already.

    Returns:
        The largest difference of any probability.

    Raises:
        LeukoscopeError: as `export_model`.
    """
    from leukoscope.models import cut_features, cut_head
    from leukoscope.training.loop import predict_with_keras, run_keras

    rows = np.arange(len(crops))
    if features is None:
        features = run_keras(cut_features(model), crops, rows)
    distances = novelty.compute(features)

    def export(answers: npt.NDArray[np.float64]) -> float:
        return export_model(exporter, model, novelty, path, metadata, crops, answers)

    probability = predict_with_keras(cut_head(model), features, rows)
    answers = np.column_stack([probability, distances])
    try:
        difference = export(answers)
    except ModelError:  # float32 may differ by more than is allowed; compare in float64
        answers = answer_exactly(recipe, model, novelty, crops, distances)
        difference = export(answers)
    if np.isnan(answers[:, 1]).any() or not novelty.kernel.any():
        warn_notice(f"{path}: {_UNLEARNED}")
    return difference


def answer_exactly(
    recipe: Recipe,
    model: Any,
    novelty: Novelty,
    crops: UInt8Array,
    distances: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Probability and novelty by Keras in float64, which an export must reproduce.

    Args:
        recipe: of the run.
        model: keras.Model, calibrated.
        novelty: of its features.
        crops: uint8 (n, 225, 225, 3).
        distances: float64 (n,), their novelty by Keras in float32.

    Returns:
        float64 (n, 2). Where the novelty by float32 is another, all novelties are NaN: features
        that hardly differ between cells leave nothing but rounding, whatever computes them.
    """
    from leukoscope.models import cut_features
    from leukoscope.training.loop import build_exact, predict_with_keras, run_keras

    exact, rows = build_exact(recipe, model), np.arange(len(crops))
    probability = predict_with_keras(exact, crops, rows)
    true = novelty.compute(run_keras(cut_features(exact), crops, rows))
    if compute_share(np.abs(distances - true), true) >= MAX_SHARE:
        true = np.full_like(true, np.nan)
    return np.column_stack([probability, true])


def _fit_novelty(work: Work, model: Any, cells: pd.DataFrame) -> Novelty:
    """Novelty from a network's training cells; from some of them, where the network is slow."""
    from leukoscope.models import cut_features
    from leukoscope.training.loop import run_keras

    if work.recipe.training.freeze_backbone:
        return fit_novelty(work.inputs[cells.index])
    rows = spread(cells.index.to_numpy(), _LEARNED)
    return fit_novelty(run_keras(cut_features(model), work.crops, rows))


def predict_fold(work: Work, cells: pd.DataFrame, evaluated: pd.DataFrame, name: str) -> None:
    """Probabilities of the evaluated cells, and those from their area alone."""
    from leukoscope.evaluation import compute_size_probability

    network = work.run.find_network(name)
    if network.outputs.exists():
        try:
            read_outputs(network, len(evaluated))
        except RunError:
            warn_notice(
                f"{network.outputs}: damaged, so the fold's network scores its cells again."
            )
        else:
            return
    answers = _answer(work, network, evaluated.index.to_numpy())
    found = evaluated[["image", "subject", "label"]].assign(
        probability=answers[:, 0],
        novelty=answers[:, 1],
        fold=name,
        group=evaluated["group"],
        area=evaluated["area"],
        area_probability=compute_size_probability(cells["area"], cells["label"], evaluated["area"]),
        pixel_hash=evaluated["pixel_hash"],
        leaky=find_seen(cells, evaluated),
    )
    with work.run.keep_digest(network.outputs):
        write_table(network.outputs, found)


def read_outputs(network: Network, cells: int) -> pd.DataFrame:
    """The raw outputs of a fold's evaluated cells.

    Raises:
        RunError: missing or damaged.
    """
    fix = (
        "Put it back from a copy, or delete it and continue the run with `resume`; the fold's "
        "network scores these cells again."
    )
    return read_run_table(network.outputs, _OUTPUTS, fix, rows=cells)


def _answer(work: Work, network: Network, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Probability and novelty of some rows, by the exported network: what a user of it gets."""
    from leukoscope.inference.model import Classifier

    classifier, chunks = Classifier(network.onnx), range(0, len(rows), _CHUNK)
    answers = [classifier.predict_batch(work.crops[rows[at : at + _CHUNK]]) for at in chunks]
    return np.concatenate(answers)


def spread(rows: Any, count: int) -> Any:
    """At most `count` of some rows, evenly spread over them."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
