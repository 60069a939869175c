"""The order of the stages, one function a command: read → stage → write."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from leukoscope import __version__
from leukoscope.catalogue import Catalogue, compute_fingerprint, read_catalogue, select_usable
from leukoscope.labels import LABELS
from leukoscope.pixels import CROP_PX
from leukoscope.runs import FINAL, Run, create_run, write_json, write_table
from leukoscope.settings import Recipe, read_recipe
from leukoscope.split import Fold, Split, choose_stopping, make_split

if TYPE_CHECKING:
    from leukoscope.train import EpochReport

__all__ = ["TrainingRequest", "train_run"]

_PACKAGES = ("keras", "tensorflow-cpu", "tensorflow", "jax", "torch", "tf2onnx", "onnxruntime")
_COMPARED = 256  # cells on which an export must answer as Keras does


@dataclasses.dataclass(frozen=True)
class TrainingRequest:
    """What `leukoscope train` is asked for.

    Attributes:
        data: a folder, a zip, or "kaggle".
        out: folder of the run.
        recipe: name or TOML file.
        split: name, as in `split.SPLITS`, or column:NAME.
        labels_csv: labels and subjects of the images.
        folds: how many, where the split has a choice.
        seed: of split, weights, order and augmentation.
        final: also train the network that is to be used, on all cells.
        resume: go on with the run that is there.
    """

    data: str | Path
    out: Path
    recipe: str | Path = "compact"
    split: str = "subject-cv"
    labels_csv: Path | None = None
    folds: int = 5
    seed: int = 0
    final: bool = True
    resume: bool = False


def train_run(
    request: TrainingRequest,
    *,
    on_decode: Callable[[int, int], None] | None = None,
    on_link: Callable[[int, int], None] | None = None,
    on_part: Callable[[str, int, int], None] | None = None,
    on_step: Callable[[EpochReport], None] | None = None,
) -> Run:
    """Train and predict every fold of a split, then train the final network.

    Args:
        request: what to do.
        on_decode: called with (done, total) while images are decoded.
        on_link: called while cells are compared.
        on_part: called with (name, number, count) before each network is trained.
        on_step: called after each training step.

    Returns:
        The finished run.

    Raises:
        LeukoscopeError: anything wrong with the data, the recipe, the split or the folder.
    """
    from leukoscope.train import train_model  # loads TensorFlow: fails early where it is missing

    del train_model
    recipe = read_recipe(request.recipe)
    catalogue = read_catalogue(
        request.data, request.labels_csv, on_decode=on_decode, on_link=on_link
    )
    table = select_usable(catalogue)
    split = make_split(table, request.split, folds=request.folds, seed=request.seed)
    settings = _describe_run(request, recipe, catalogue, table, split)
    run = create_run(request.out, settings, resume=request.resume)
    write_table(run.cells, _describe_cells(table, split))
    parts: list[tuple[str, pd.Index, Fold | None]] = [
        (fold.name, fold.training, fold) for fold in split.folds
    ]
    if request.final:
        parts.append((FINAL, table.index, None))
    for number, (name, training, fold) in enumerate(parts, start=1):
        if on_part:
            on_part(name, number, len(parts))
        _run_part(run, recipe, catalogue, table.loc[training], fold, request.seed, on_step)
    _gather(run, split, [name for name, _, _ in parts])
    write_json(run.settings, run.read_settings() | {"finished": _now()})
    return run


def _run_part(
    run: Run,
    recipe: Recipe,
    catalogue: Catalogue,
    cells: pd.DataFrame,
    fold: Fold | None,
    seed: int,
    on_step: Callable[[EpochReport], None] | None,
) -> None:
    """Train, export and predict one fold (or the final network), unless that is done already."""
    from leukoscope.export import export_onnx
    from leukoscope.inference import FORMAT, Classifier
    from leukoscope.train import predict_with_keras, save_keras, train_model

    folder = run.find_part(fold.name if fold else FINAL)
    onnx = folder / "model.onnx"
    history_path = folder / "history.csv"
    if not onnx.exists():
        stopping = choose_stopping(cells, seed)
        training = cells.index.difference(stopping, sort=False)
        folder.mkdir(parents=True, exist_ok=True)
        model, history = train_model(
            recipe,
            catalogue.crops,
            cells.loc[training],
            cells.loc[stopping],
            folder / "checkpoint.npz",
            seed=seed,
            progress=on_step,
        )
        write_table(history_path, history)
        metadata = {
            "format": FORMAT,
            "classes": list(LABELS),
            "crop_px": CROP_PX,
            "threshold": 0.5,
            "recipe": recipe.name,
            "fingerprint": compute_fingerprint(cells),
            "version": __version__,
            "expected": None,
        }
        save_keras(model, folder / "model.keras", metadata)
        rows = _spread(cells.index.to_numpy(), _COMPARED)
        expected = predict_with_keras(model, catalogue.crops, rows)
        export_onnx(model, onnx, metadata, catalogue.crops[rows], expected)
        (folder / "checkpoint.npz").unlink()
    if fold is not None and not (folder / "predictions.csv").exists():
        write_table(
            folder / "predictions.csv", _predict_fold(Classifier(onnx), catalogue, cells, fold)
        )


def _predict_fold(classifier: Any, catalogue: Catalogue, cells: pd.DataFrame, fold: Fold) -> Any:
    """Probabilities of the evaluated cells, beside what their area alone says of them."""
    from leukoscope.evaluate import compute_size_probability

    evaluated = catalogue.table.loc[fold.evaluated]
    columns = ["image", "subject", "label", "group", "area", "pixel_hash"]
    found = evaluated[columns].assign(
        part=fold.name,
        probability=classifier.predict(catalogue.crops[evaluated.index.to_numpy()]),
        area_probability=compute_size_probability(cells["area"], cells["label"], evaluated["area"]),
    )
    return found[
        ["image", "subject", "label", "probability", *found.columns[3:-2], "area_probability"]
    ]


def _gather(run: Run, split: Split, names: list[str]) -> None:
    """The parts' histories and predictions → one table each."""
    histories, predictions = [], []
    for name in names:
        folder = run.find_part(name)
        histories.append(pd.read_csv(folder / "history.csv").assign(part=name))
        if (folder / "predictions.csv").exists():
            text = {"subject": str, "group": str, "image": str}
            predictions.append(pd.read_csv(folder / "predictions.csv", dtype=text))
    write_table(run.history, pd.concat(histories))
    together = pd.concat(predictions).assign(split=split.name, leaky=split.leaky)
    write_table(run.predictions, together)


def _spread(rows: Any, count: int) -> Any:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def _describe_cells(table: pd.DataFrame, split: Split) -> pd.DataFrame:
    columns = ["image", "label", "subject", "group", "fold", "area", "pixel_hash"]
    cells = table[columns].assign(row=table.index, part="")
    for fold in split.folds:
        cells.loc[fold.evaluated, "part"] = fold.name
    return cells


def _describe_run(
    request: TrainingRequest,
    recipe: Recipe,
    catalogue: Catalogue,
    table: pd.DataFrame,
    split: Split,
) -> dict[str, Any]:
    versions = {"leukoscope": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "recipe": dataclasses.asdict(recipe),
        "split": {
            "name": split.name,
            "leaky": split.leaky,
            "folds": [
                {
                    "name": fold.name,
                    "training": len(fold.training),
                    "evaluated": len(fold.evaluated),
                    "removed": len(fold.removed),
                }
                for fold in split.folds
            ],
        },
        "seed": request.seed,
        "data": {
            "fingerprint": compute_fingerprint(table),
            "cells": len(table),
            "subjects": int(table["subject"].nunique()),
            "groups": int(table["group"].nunique()),
        },
        "root": str(catalogue.root.resolve()),
        "versions": versions,
        "machine": {"system": platform.platform(), "processor": platform.machine()},
        "started": _now(),
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
