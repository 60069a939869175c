"""leukoscope train."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from leukoscope.cli.data import Data, Groups
from leukoscope.cli.interrupts import set_way_on
from leukoscope.cli.options import (
    Classes,
    Frame,
    Labels,
    Reader,
    Seed,
    Set,
    SubjectFrom,
    parse_changes,
    read_options,
)
from leukoscope.errors import SettingsError


class Device(StrEnum):
    """What the network is trained on."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


def train(
    data: Data,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run. Default: a new one in runs/, by time.")
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="texture, compact, lite0, or a TOML file.")
    ] = "texture",
    changes: Set = None,
    split: Annotated[
        str,
        typer.Option(
            help="group-kfold, fold-cv, official, leave-one-group-out:COLUMN; random and "
            "subject-name-kfold leak."
        ),
    ] = "group-kfold",
    reader: Reader = "auto",
    labels: Labels = None,
    subject_from: SubjectFrom = "",
    classes: Classes = "",
    frame: Frame = None,
    groups: Groups = None,
    folds: Annotated[
        int, typer.Option(min=2, help="For group-kfold, subject-name-kfold and random.")
    ] = 5,
    seed: Seed = 0,
    final: Annotated[bool, typer.Option(help="Also train the final network, on all cells.")] = True,
    turns: Annotated[
        int, typer.Option(min=1, max=360, help="Rotations of cells to compare, as in data audit.")
    ] = 1,
    device: Annotated[
        Device, typer.Option(help="auto uses a GPU where Keras finds one.")
    ] = Device.AUTO,
    tensorboard: Annotated[
        Path | None,
        typer.Option(help="Also log each epoch for TensorBoard, in a folder for each network."),
    ] = None,
    go_on: Annotated[bool, typer.Option("--continue", help="Continue the run in --out.")] = False,
) -> None:
    """Train a network for each fold, predict its held-out people, then train on all cells."""
    from leukoscope.io.runs import check_folder
    from leukoscope.settings import change_recipe, read_recipe
    from leukoscope.workflow.folders import name_folder

    if go_on and out is None:
        raise SettingsError("--continue: no run named. Expected its folder in --out.")
    settings = change_recipe(read_recipe(recipe), parse_changes(changes))
    out = out or name_folder("runs", f"{Path(recipe).stem}-{split}")
    check_folder(out, resume=go_on)  # before anything heavy loads
    from leukoscope.cli.progress import TrainingDisplay, console
    from leukoscope.workflow.device import set_device
    from leukoscope.workflow.training import TrainingRequest, train_run

    request = TrainingRequest(
        data,
        out,
        settings,
        split,
        read_options(reader, labels, subject_from, classes, frame),
        folds,
        seed,
        final,
        go_on,
        turns,
        groups,
    )
    set_device(device)
    folder = shlex.quote(str(out))
    with TrainingDisplay.open(out, final=final, tensorboard=tensorboard) as display:

        def start_network(name: str, number: int, count: int) -> None:
            set_way_on(f"The same command with --continue --out {folder} continues the run.")
            display.start_network(name, number, count)

        run = train_run(
            request,
            on_decode=display.show_preparation,
            on_groups=display.print,
            on_features=display.show_features,
            on_network=start_network,
            on_step=display.show_step,
        )
    console.print(f"Finished. Next: leukoscope evaluate {run.folder}", markup=False, soft_wrap=True)
    typer.echo(run.folder)
