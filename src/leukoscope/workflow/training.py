"""Train a run: every fold of a split, then the final network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from leukoscope.catalogue import read_catalogue, select_usable
from leukoscope.datasets.reader import ReadOptions
from leukoscope.datasets.registry import find_data
from leukoscope.errors import (
    DiskFullError,
    MissingExtraError,
    RunError,
    describe_os_error,
    is_of_user,
    warn_notice,
)
from leukoscope.io.locks import lock_folder
from leukoscope.io.runs import Run, create_run, has_run
from leukoscope.io.tables import write_table
from leukoscope.registry import Registry
from leukoscope.settings import ModelSettings, Recipe, read_recipe
from leukoscope.splits import check_split_name, make_split
from leukoscope.training.augment import find_effects
from leukoscope.training.describe import (
    describe_cells,
    describe_run,
    tell_time,
)
from leukoscope.training.network import Work
from leukoscope.training.run import train_all

if TYPE_CHECKING:
    from leukoscope.training.loop import EpochReport

__all__ = ["TrainingRequest", "train_run"]


@dataclasses.dataclass(frozen=True)
class TrainingRequest:
    """Arguments of `leukoscope train`; raises `SplitError` for a split that there is not.

    Attributes:
        data: a folder, a zip, or "kaggle".
        out: folder of the run.
        recipe: name, TOML file, or a recipe.
        split: name, as in `split.SPLITS`, or leave-one-group-out:COLUMN.
        options: how to read the data: labels, subjects, classes, frame.
        folds: number of folds, for splits that take one.
        seed: of split, weights, order and augmentation.
        final: also train the final network, on all cells.
        resume: continue an existing run.
        turns: rotations at which cells are compared to join people, as in `data audit`.
        groups_csv: which subjects are one person; overrides the links between cells.
    """

    data: str | Path
    out: Path
    recipe: str | Path | Recipe = "texture"
    split: str = "group-kfold"
    options: ReadOptions = ReadOptions()  # noqa: RUF009 (frozen)
    folds: int = 5
    seed: int = 0
    final: bool = True
    resume: bool = False
    turns: int = 1
    groups_csv: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "split", check_split_name(self.split))


def _check_network(settings: ModelSettings) -> None:
    """Refuse what is missing before images are read; load Keras, which is slow, only if needed."""
    if find_spec("keras") is None:
        raise MissingExtraError("Keras with TensorFlow", "train")
    if settings.architecture not in Registry[Any]("", "leukoscope.models", "BACKBONE").names():
        from leukoscope.models import build_model

        build_model(settings)


def train_run(
    request: TrainingRequest,
    *,
    on_decode: Callable[[int, int], None] | None = None,
    on_link: Callable[[int, int], None] | None = None,
    on_groups: Callable[[str], None] | None = None,
    on_features: Callable[[int, int], None] | None = None,
    on_network: Callable[[str, int, int], None] | None = None,
    on_step: Callable[[EpochReport], None] | None = None,
) -> Run:
    """Train and predict every fold of a split, then train the final network.

    Args:
        request: the arguments.
        on_decode: called with (done, total) while images are decoded.
        on_link: called while cells are compared.
        on_groups: called with each sentence on what a file of groups overrides.
        on_features: called while the features of a frozen recipe are computed.
        on_network: called with (name, number, count) before each network is trained.
        on_step: called after each training step.

    Returns:
        The finished run.

    Raises:
        LeukoscopeError: anything wrong with the data, the recipe, the split or the folder; another
            process writes to the folder; or the disk is full.
    """
    show = _Callbacks(on_decode, on_link, on_groups, on_features, on_network, on_step)
    try:
        with lock_folder(request.out):
            return _train(request, show)
    except DiskFullError as error:
        if is_of_user(error):
            raise
        raise RunError(
            f"{describe_os_error(error)} What was trained until then is kept, to the last epoch. "
            f"Free some space, then train again with `resume` and `out` {request.out}."
        ) from error


@dataclasses.dataclass(frozen=True)
class _Callbacks:
    """Those of `train_run`."""

    on_decode: Callable[[int, int], None] | None
    on_link: Callable[[int, int], None] | None
    on_groups: Callable[[str], None] | None
    on_features: Callable[[int, int], None] | None
    on_network: Callable[[str, int, int], None] | None
    on_step: Callable[[EpochReport], None] | None


def _train(request: TrainingRequest, show: _Callbacks) -> Run:
    if has_run(request.out, resume=request.resume):
        _take_threads(Run(request.out))
    recipe, data = read_recipe(request.recipe), find_data(request.data)
    _check_network(recipe.model)
    find_effects(recipe.augment)
    catalogue = read_catalogue(
        data,
        request.options,
        groups_csv=request.groups_csv,
        turns=request.turns,
        on_decode=show.on_decode,
        on_link=show.on_link,
    )
    table = select_usable(catalogue)
    split = make_split(
        table, request.split, folds=request.folds, seed=request.seed, spec=catalogue.spec
    )
    from leukoscope.models import build_model  # after what can fail at once: it loads TensorFlow
    from leukoscope.models.device import count_threads

    record = describe_run(recipe, catalogue, table, split, request.seed, count_threads())
    if show.on_groups and record.group_overrides:
        for sentence in record.group_overrides.overridden:
            show.on_groups(f"{catalogue.groups_csv}: {sentence}")
    build_model(recipe.model)  # before there is a run
    run = create_run(request.out, record, resume=request.resume)
    with run.keep_digest(run.cells):
        write_table(run.cells, describe_cells(table, split))
    inputs: npt.NDArray[Any] = catalogue.crops
    if recipe.training.freeze_backbone:
        from leukoscope.training.features import read_features

        inputs = read_features(recipe, catalogue, show.on_features)
    work = Work(run, recipe, catalogue.spec, catalogue.crops, inputs, request.seed, show.on_step)
    train_all(work, table, split, final=request.final, on_network=show.on_network)
    run.write_record(dataclasses.replace(run.read_record(), finished=tell_time()))
    return run


def _take_threads(run: Run) -> None:
    """Compute with as many threads as the run was begun with: another number, another network."""
    if find_spec("keras") is None:
        raise MissingExtraError("Keras with TensorFlow", "train")
    from leukoscope.models.device import count_threads, set_threads

    threads = run.read_record().machine.threads
    if threads and not set_threads(threads):
        warn_notice(
            f"{run.folder}: begun with {threads} threads for an operation of TensorFlow, but this "
            f"process computes with {count_threads()} already, so the networks will not be the "
            "same to the last bit. For that, continue the run in a new process."
        )
