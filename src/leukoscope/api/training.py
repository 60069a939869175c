"""Train the networks of a run."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leukoscope.api.data import get_dataset, read_dataset
from leukoscope.arguments import check_arguments
from leukoscope.errors import SettingsError
from leukoscope.progress import show_line
from leukoscope.results import Dataset, TrainedRun

if TYPE_CHECKING:
    from leukoscope.settings import Recipe
    from leukoscope.training.loop import EpochReport

__all__ = ["train"]

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
        callbacks: functions, each called with an `EpochReport` after each epoch: part, epoch,
            epochs, loss, stop_auc (validation AUC) and more.
        progress: show progress on standard error; by default in terminals and notebooks.
        settings: changes to the recipe, such as epochs=3, learning_rate=1e-3 or blur=0.

    Raises:
        LeukoscopeError: anything wrong with data, recipe, split or folder; the folder is checked
            first.

    >>> import leukoscope as lk
    >>> run = lk.train("cells/", "run", recipe="demo", folds=2, final=False,
    ...                epochs=1, callbacks=[lambda report: print(report.part, report.epoch)])
    part_0 1
    part_1 1
    >>> len(run.predictions)
    60
    """
    from leukoscope.io.runs import Run, check_folder
    from leukoscope.settings import change_recipe, read_recipe
    from leukoscope.workflow.device import set_device
    from leukoscope.workflow.folders import name_folder

    _refuse_reading(settings)
    chosen = change_recipe(read_recipe(recipe), settings)
    folder = name_folder("runs", f"{chosen.name}-{split}") if out is None else Path(out)
    check_folder(folder, resume=resume)
    set_device(device)
    from leukoscope.workflow.training import TrainingRequest, train_run

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
        run = train_run(request, on_part=watch.start_part, on_step=watch.show_step)
    return TrainedRun(Run(run.folder.resolve()))


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
        self._callbacks, self._show, self._part, self._place = tuple(callbacks), show, "", ""

    def start_part(self, name: str, number: int, count: int) -> None:
        self._part, self._place = name, f"{name} ({number} of {count})"

    def show_step(self, report: EpochReport) -> None:
        auc = "" if report.stop_auc is None else f", validation AUC {report.stop_auc:.3f}"
        words = f"epoch {report.epoch} of {report.epochs}, loss {report.loss:.3f}{auc}"
        self._show(f"{self._place}: {words}", report.finished)
        if report.finished:
            for callback in self._callbacks:
                callback(dataclasses.replace(report, part=self._part))
