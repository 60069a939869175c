"""Model + training cells + stopping cells → the weights of one fold. Resumes exactly.

There is no parameter for the evaluated cells: nothing here can look at them.

All that the next epoch depends on is either a function of (seed, epoch, step) — the order of the
cells, their augmentation, the learning rate — or in the checkpoint that ends each epoch: the
network's variables (dropout's random state among them), the optimizer's, and the moving average. So
a run that was killed at any moment continues from its last epoch and ends as if it had not been.

The schedule is Keras' own, a function of the optimizer's step, which is in the checkpoint. Two
things are written here although Keras has them. Early stopping: `EarlyStopping` keeps its patience
and its best weights in plain attributes, which a resumed run would begin anew. The moving average:
Keras' leaves out the statistics of batch normalisation, and has no faster start, without which the
average of a short training lags behind.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

from leukoscope.arrays import UInt8Array
from leukoscope.errors import RunError, warn_notice
from leukoscope.io.files import move_into_place
from leukoscope.io.runs import OLD_HISTORY, report_damage
from leukoscope.labels import LEUKAEMIC
from leukoscope.models import build_model, cut_head, keras
from leukoscope.models.device import choose_compilation, choose_precision, set_precision
from leukoscope.records import ModelMetadata
from leukoscope.registry import is_import_path
from leukoscope.settings import Recipe, TrainingSettings
from leukoscope.training.batches import compute_weights, draw_order, iterate_batches

__all__ = [
    "EpochReport",
    "build_exact",
    "build_schedule",
    "load_keras",
    "predict_exactly",
    "predict_with_keras",
    "remove_checkpoint",
    "run_keras",
    "save_keras",
    "train_model",
]

Arrays = list[npt.NDArray[Any]]
Schedule = Callable[[int], Any]  # step, from 0 → learning rate; Keras has no types

_HISTORY = (
    *("epoch", "loss", "validation_loss", "validation_auc"),
    *("learning_rate", "seconds", "images_per_second"),
)

_EMA_EVERY = 4  # steps; copying the weights at each would slow an accelerator


@dataclass(frozen=True)
class EpochReport:
    """Training progress, passed to the callback after each step and each epoch.

    Attributes:
        epoch, epochs: which of how many, from 1.
        step, steps: within the epoch.
        loss: mean over the epoch so far.
        validation_auc: on the training people set aside to stop by: after this epoch where it is
            `finished`, else after the one before; None where there is none.
        finished: whether the epoch is over, and its checkpoint written.
        validation_loss: validation loss, as `validation_auc`; None until the epoch is over.
        learning_rate: at the end of the epoch; None until it is over.
        seconds: that the epoch took; None until it is over.
        fold: of the network in training, "final" for the one on all cells; "" where the caller
            does not know it.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    validation_auc: float | None
    finished: bool = False
    validation_loss: float | None = None
    learning_rate: float | None = None
    seconds: float | None = None
    fold: str = ""

    def describe(self) -> str:
        """Loss and validation AUC in words."""
        auc = self.validation_auc
        return f"loss {self.loss:.3f}" + ("" if auc is None else f", validation AUC {auc:.3f}")


@dataclass
class _State:
    """The content of a checkpoint."""

    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    average: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)


def train_model(
    recipe: Recipe,
    inputs: npt.NDArray[Any],
    training: pd.DataFrame,
    stopping: pd.DataFrame,
    checkpoint: Path,
    *,
    seed: int = 0,
    progress: Callable[[EpochReport], None] | None = None,
) -> tuple[keras.Model, pd.DataFrame]:
    """Train one network; continue from `checkpoint` where it exists.

    Args:
        recipe: architecture, schedule, augmentation.
        inputs: the store's crops, uint8 (n, 225, 225, 3); of a frozen recipe the features of all
            crops, float32 (n, features), from `compute_features`.
        training: cells to learn from: columns label, group; index = rows of `inputs`.
        stopping: cells of other groups of the training people, on which the best epoch is chosen;
            where there are none, the last epoch is kept.
        checkpoint: an .npz file, rewritten after each epoch; the one before it stays beside it. A
            damaged one is left out, with a notice.
        seed: of weights, order and augmentation.
        progress: called after each step, and once more when an epoch is over.

    Returns:
        The network with the averaged weights of its best epoch, in float32, and the history: one
        row an epoch, columns epoch, loss, validation_loss and validation_auc (NaN without
        stopping cells), learning_rate, seconds, images_per_second.
    """
    keras.utils.set_random_seed(seed)
    options = recipe.training
    whole, model, twin = _build_networks(recipe)
    batch = min(options.batch_size, len(training))
    steps = len(training) // batch
    schedule = build_schedule(recipe, steps)
    _compile(model, recipe, schedule, options.epochs * len(training))
    state = _read_checkpoint(checkpoint, model) or _State(average=model.get_weights())
    weights = compute_weights(training, options.subject_balance)

    while state.epoch < options.epochs and not _is_over(state.history, options.patience):
        epoch = state.epoch
        order = draw_order(weights, seed, epoch)
        batches = iterate_batches(
            inputs, training, order, recipe.augment, batch=batch, seed=seed, epoch=epoch
        )
        row = _train_epoch(model, state, batches, options, steps, progress)
        twin.set_weights(state.average)
        row |= _assess(twin, inputs, stopping)
        row["learning_rate"] = float(schedule((epoch + 1) * steps - 1))
        row["images_per_second"] = steps * batch / row["seconds"]
        if stopping.empty or all(
            row["validation_auc"] > old["validation_auc"] for old in state.history
        ):
            state.best = [array.copy() for array in state.average]
        state.history.append(row)
        state.epoch = epoch + 1
        _write_checkpoint(checkpoint, model, state)
        if progress:
            progress(_report_epoch(row, options.epochs, steps))
    twin.set_weights(state.best)
    return whole, pd.DataFrame(state.history)[list(_HISTORY)]


def _build_networks(recipe: Recipe) -> tuple[keras.Model, keras.Model, keras.Model]:
    """The whole network in float32; what is trained, as the device is fast; its float32 twin.

    Of a recipe with a frozen backbone, the last two are heads, and the twin shares its layers with
    the whole network.
    """
    with set_precision(choose_precision()):
        model = build_model(recipe.model)
    whole = build_model(dataclasses.replace(recipe.model, pretrained=False))
    whole.set_weights(model.get_weights())
    if recipe.training.freeze_backbone:
        return whole, cut_head(model), cut_head(whole)
    return whole, model, whole


def _compile(model: keras.Model, recipe: Recipe, schedule: Schedule, images: int) -> None:
    options = recipe.training
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=options.weight_decay, clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer,
        keras.losses.BinaryCrossentropy(label_smoothing=options.label_smoothing),
        jit_compile=choose_compilation(model, images),
    )
    optimizer.build(model.trainable_variables)


def _train_epoch(
    model: keras.Model,
    state: _State,
    batches: Iterable[tuple[npt.NDArray[Any], npt.NDArray[np.float32]]],
    options: TrainingSettings,
    steps: int,
    progress: Callable[[EpochReport], None] | None,
) -> dict[str, Any]:
    """Train for one epoch and update the moving average: epoch, mean loss, seconds."""
    started, total = time.monotonic(), 0.0
    last = state.history[-1]["validation_auc"] if state.history else math.nan
    for step, (images, labels) in enumerate(batches, start=1):
        count = state.epoch * steps + step
        model.reset_metrics()  # else Keras answers with the mean since it was last reset
        total += float(model.train_on_batch(images, labels, return_dict=True)["loss"])
        if count % _EMA_EVERY == 0:
            _blend(state.average, model.get_weights(), options.ema_momentum**_EMA_EVERY, count)
        if progress:
            auc = None if math.isnan(last) else last
            progress(EpochReport(state.epoch + 1, options.epochs, step, steps, total / step, auc))
    seconds = time.monotonic() - started
    return {"epoch": state.epoch + 1, "loss": total / max(1, steps), "seconds": seconds}


def _report_epoch(row: dict[str, Any], epochs: int, steps: int) -> EpochReport:
    """A row of the history as the report of a finished epoch."""
    auc, loss = (
        None if math.isnan(value) else value
        for value in (row["validation_auc"], row["validation_loss"])
    )
    return EpochReport(
        *(row["epoch"], epochs, steps, steps, row["loss"], auc),
        finished=True,
        validation_loss=loss,
        learning_rate=row["learning_rate"],
        seconds=row["seconds"],
    )


def build_schedule(recipe: Recipe, steps: int) -> Schedule:
    """Linear warm-up over the first epoch, then a cosine to zero (Loshchilov & Hutter, 2017).

    Args:
        recipe: its `learning_rate` is the peak, its `epochs` the length.
        steps: of one epoch.

    Returns:
        The learning rate of a step, which counts from 0 over the whole training.
    """
    peak, length = recipe.training.learning_rate, recipe.training.epochs * steps
    warm = min(steps, length // 2) or 1
    schedule: Schedule = keras.optimizers.schedules.CosineDecay(
        peak / warm,
        max(1, length - warm),
        warmup_target=peak if warm > 1 else None,
        warmup_steps=warm - 1,
    )
    return schedule


def predict_with_keras(
    model: keras.Model, inputs: npt.NDArray[Any], rows: npt.NDArray[np.int64], batch: int = 64
) -> npt.NDArray[np.float64]:
    """Probabilities of some rows of crops or features, float64 (n,), by Keras itself."""
    return run_keras(model, inputs, rows, batch).ravel()


def run_keras(
    model: keras.Model, inputs: npt.NDArray[Any], rows: npt.NDArray[np.int64], batch: int = 64
) -> npt.NDArray[np.float64]:
    """Outputs of a network, or of a piece of one, for some rows, float64 (n, outputs)."""
    found = [
        np.asarray(model.predict_on_batch(np.asarray(inputs[rows[start : start + batch]])))
        for start in range(0, len(rows), batch)
    ]
    return np.concatenate(found).astype(np.float64)


def predict_exactly(
    recipe: Recipe, model: keras.Model, crops: UInt8Array, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Probabilities by Keras in float64, which an export must reproduce.

    Fine-tuned networks have channels of nearly no variance, whose normalisation magnifies rounding:
    two correct float32 programs differed by 1.2e-4 there, each within 5e-5 of the exact value.
    """
    return predict_with_keras(build_exact(recipe, model), crops, rows)


def build_exact(recipe: Recipe, model: keras.Model) -> keras.Model:
    """The same network in float64."""
    with set_precision("float64"):
        exact = build_model(dataclasses.replace(recipe.model, pretrained=False))
    exact.set_weights(model.get_weights())
    return exact


def load_keras(path: Path, recipe: Recipe) -> keras.Model:
    """Read the network of a .keras file of a run.

    Args:
        path: of the file.
        recipe: of the run. A backbone of a user's own is built anew by it, as the file may name
            layers that only the user's code has.

    Raises:
        RunError: the file is missing or damaged.
    """
    expected = "a Keras file that `leukoscope train` wrote"
    with report_damage(path, expected, "Put it back from a copy, or train again."):
        with zipfile.ZipFile(path) as archive:  # Keras says of any such fault: no such file
            if broken := archive.testzip():
                raise ValueError(f"a broken {broken} in it")
        if not is_import_path(recipe.model.architecture):
            return keras.saving.load_model(path, compile=False)
        model = build_model(dataclasses.replace(recipe.model, pretrained=False))
        model.load_weights(path)
        return model


def save_keras(model: keras.Model, path: Path, metadata: ModelMetadata) -> None:
    """Write a .keras file that also holds our metadata, as `leukoscope.json` in its archive."""
    with move_into_place(path) as part:
        model.save(part)
        with zipfile.ZipFile(part, "a") as archive:
            archive.writestr("leukoscope.json", metadata.to_json())


def _assess(model: keras.Model, inputs: npt.NDArray[Any], cells: pd.DataFrame) -> dict[str, float]:
    """Log loss and AUC with people equally weighted, on the stopping cells.

    The AUC chooses the epoch: with few people the loss depends more on a shifted threshold than on
    the network.
    """
    if cells.empty:
        return {"validation_loss": math.nan, "validation_auc": math.nan}
    truth, weights = (cells["label"] == LEUKAEMIC).to_numpy(), compute_weights(cells, 1.0)
    probability = predict_with_keras(model, inputs, cells.index.to_numpy())
    return {
        "validation_loss": float(
            log_loss(truth, probability, sample_weight=weights, labels=[0, 1])
        ),
        "validation_auc": float(roc_auc_score(truth, probability, sample_weight=weights)),
    }


def _is_over(history: list[dict[str, Any]], patience: int) -> bool:
    scores = [row["validation_auc"] for row in history]
    if not scores or math.isnan(scores[-1]):
        return False
    return len(scores) - 1 - int(np.argmax(scores)) >= patience


def _blend(average: Arrays, weights: Arrays, momentum: float, step: int) -> None:
    """Exponential moving average in place; young averages follow faster."""
    keep = min(momentum, (1 + step) / (10 + step))
    for mean, value in zip(average, weights, strict=True):
        if mean.dtype.kind == "f":
            mean[...] += (1 - keep) * (value - mean)
        else:
            mean[...] = value


def _list_variables(model: keras.Model) -> list[Any]:
    """Everything that training changes, each once: weights, random states, optimizer."""
    seen: dict[int, Any] = {}
    for variable in [*model.variables, *model.optimizer.variables]:
        seen.setdefault(id(variable), variable)
    return list(seen.values())


def _write_checkpoint(path: Path, model: keras.Model, state: _State) -> None:
    arrays = {
        f"variable_{place}": np.asarray(keras.ops.convert_to_numpy(variable))
        for place, variable in enumerate(_list_variables(model))
    }
    arrays |= {f"average_{place}": array for place, array in enumerate(state.average)}
    arrays |= {f"best_{place}": array for place, array in enumerate(state.best)}
    arrays["history"] = np.array(json.dumps(state.history))
    with move_into_place(path) as part:
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        if path.exists():
            path.replace(_name_before(path))


def remove_checkpoint(path: Path) -> None:
    """Remove the checkpoint of a network that is trained, and the one before it."""
    for old in (path, _name_before(path)):
        old.unlink(missing_ok=True)


def _name_before(path: Path) -> Path:
    """The checkpoint of the epoch before, kept in case that the last one is damaged."""
    return path.with_stem(f"{path.stem}-before")


def _read_checkpoint(path: Path, model: keras.Model) -> _State | None:
    """Give the network what the newest whole checkpoint holds; None, untouched, without any.

    Raises:
        RunError: the checkpoint of another version.
    """
    damaged: list[Path] = []
    state = None
    for place in (path, _name_before(path)):
        if state is None and place.exists():
            try:
                state = _load_checkpoint(place, model)
            except RunError:
                raise
            except Exception:  # NumPy, zipfile and json have a dozen for what is damaged
                damaged.append(place)
    if damaged:
        way = f"goes on from epoch {state.epoch}" if state else "is trained anew"
        warn_notice(f"{damaged[0]}: damaged, so this network {way}.")
    return state


def _load_checkpoint(path: Path, model: keras.Model) -> _State:
    variables, count = _list_variables(model), len(model.get_weights())
    with zipfile.ZipFile(path) as archive:
        if broken := archive.testzip():
            raise ValueError(f"a broken {broken} in it")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found}  # all of it, before anything is assigned
    if sum(name.startswith("variable_") for name in arrays) != len(variables):
        raise RunError(
            f"{path}: the checkpoint of another version of leukoscope. Delete it to begin this "
            "network anew, or continue with the version that wrote it."
        )
    history = [
        {OLD_HISTORY.get(name, name): value for name, value in row.items()}
        for row in json.loads(str(arrays["history"]))
    ]
    average = [arrays[f"average_{place}"] for place in range(count)]
    best = [arrays[f"best_{place}"] for place in range(count)]
    for place, variable in enumerate(variables):
        variable.assign(arrays[f"variable_{place}"])
    return _State(len(history), history, average, best)
