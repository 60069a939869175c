"""Train the networks of a run."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leukoscope.api.data import get_dataset, read_dataset
from leukoscope.arguments import check_arguments, is_path, refuse_argument
from leukoscope.errors import SettingsError, call_users_code
from leukoscope.progress import show_line
from leukoscope.results import Dataset, TrainedRun

if TYPE_CHECKING:
    from leukoscope.settings import Recipe
    from leukoscope.training.loop import EpochReport
    from leukoscope.workflow.exporting import ExportResult

__all__ = ["export", "train"]

StrPath = str | PathLike[str]


@check_arguments
def train(
    dataset: Dataset | StrPath,
    out: StrPath | None = None,
    *,
    recipe: str | PathLike[str] | Recipe = "texture",
    split: str = "group-kfold",
    folds: int = 5,
    seed: int = 0,
    final: bool = True,
    resume: bool = False,
    device: str = "auto",
    callbacks: Collection[Callable[[EpochReport], object]] = (),
    tensorboard: StrPath | bool = False,
    progress: bool | None = None,
    **settings: Any,
) -> TrainedRun:
    """Train a network for each fold, predict its held-out people, then train one on all cells.

    Args:
        dataset: of `read_dataset`, or its path.
        out: folder of the run; by default a new one in `runs/`.
        recipe: "texture", "compact", "lite0", a TOML file, or a `Recipe`.
        split: as in `make_split`.
        folds: number of folds, for splits that take one.
        seed: of split, weights, order and augmentation.
        final: also train the final network, on all cells.
        resume: continue the run in `out`.
        device: "auto", "cpu" or "gpu".
        callbacks: functions, each called with an `EpochReport` after each epoch: fold, epoch,
            epochs, loss, validation_auc and more. What one raises ends the training, and comes out
            as it is; the run can be continued.
        tensorboard: folder to log each epoch in for TensorBoard, one folder a network in it; True
            for `tensorboard` in the run.
        progress: show progress on standard error; by default in terminals and notebooks.
        settings: changes to the recipe, such as epochs=3, learning_rate=1e-3 or blur=0.

    Raises:
        LeukoscopeError: anything wrong with data, recipe, split or folder; the folder is checked
            first.

    >>> import leukoscope as lk
    >>> run = lk.train("cells/", "run", recipe="demo", folds=2, final=False,
    ...                epochs=1, callbacks=[lambda report: print(report.fold, report.epoch)])
    kfold_1 1
    kfold_2 1
    >>> len(run.predictions)
    60
    """
    from leukoscope.io.runs import Run, check_folder
    from leukoscope.settings import change_recipe, read_recipe
    from leukoscope.splits import check_split_name
    from leukoscope.workflow.device import set_device
    from leukoscope.workflow.folders import name_folder

    _refuse_reading(settings)
    chosen = change_recipe(read_recipe(recipe), settings)
    folder = name_folder("runs", f"{chosen.name}-{split}") if out is None else Path(out)
    check_folder(folder, resume=resume)
    from leukoscope.workflow.training import TrainingRequest, train_run

    check_split_name(split)
    set_device(device)
    if tensorboard:
        from leukoscope.training.tensorboard import log_to_tensorboard

        target = folder / "tensorboard" if isinstance(tensorboard, bool) else Path(tensorboard)
        callbacks = [*callbacks, log_to_tensorboard(target)]
    data = get_dataset(dataset, progress)
    request = TrainingRequest(
        data.path,
        folder,
        chosen,
        split,
        folds=folds,
        seed=seed,
        final=final,
        resume=resume,
        **data.options,
    )
    with show_line(progress) as show:
        watch = _Watch(callbacks, show)
        run = train_run(request, on_network=watch.start_network, on_step=watch.show_step)
    return TrainedRun(Run(run.folder.resolve()))


@check_arguments
def export(
    run: StrPath | TrainedRun, format: str = "onnx", out: StrPath | None = None
) -> ExportResult:
    """Write the network of a finished run in another format, if it agrees with Keras.

    Args:
        run: a run, or its folder; its final network, or without one its first fold's.
        format: "onnx", or your own export format as "package.module:name".
        out: the file to write; by default `exports/model` in the run, with the format's suffix.

    Returns:
        Its `path`, the `network`, the largest `difference` of a probability, and `sentences` on
        which cells it was compared.

    Raises:
        LeukoscopeError: no such format or run, or a network that differs from Keras; then nothing
            is written.

    >>> import leukoscope as lk
    >>> exported = lk.export("run", "onnx")
    >>> exported.path.name, exported.network, exported.difference < 1e-4
    ('model.onnx', 'kfold_1', True)
    """
    from leukoscope.workflow.exporting import export_run

    if not is_path(run):
        raise refuse_argument("run", run, "a run of train, or its folder")
    return export_run(Path(run), format, None if out is None else Path(out))


def _refuse_reading(settings: Collection[str]) -> None:
    """Options of reading belong to `read_dataset`; they are no settings of a recipe."""
    for name in settings:
        if name in inspect.signature(read_dataset).parameters:
            raise SettingsError(
                f"{name} says how data are read, not how a network is trained. Expected it in "
                f"read_dataset: train(read_dataset(path, {name}=…))."
            )


class _Watch:
    """Reports training progress to callbacks and on standard error."""

    def __init__(
        self,
        callbacks: Collection[Callable[[EpochReport], object]],
        show: Callable[[str, bool], None],
    ) -> None:
        self._callbacks, self._show, self._fold, self._place = tuple(callbacks), show, "", ""

    def start_network(self, name: str, number: int, count: int) -> None:
        self._fold, self._place = name, f"{name} ({number} of {count})"

    def show_step(self, report: EpochReport) -> None:
        words = f"epoch {report.epoch} of {report.epochs}, {report.describe()}"
        self._show(f"{self._place}: {words}", report.finished)
        if report.finished:
            for callback in self._callbacks:
                with call_users_code():
                    callback(dataclasses.replace(report, fold=self._fold))
