"""leukoscope train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leukoscope.cli.data import Data, Groups, Labels


def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    recipe: Annotated[
        str, typer.Option(help="texture, compact, lite0, or a TOML file.")
    ] = "texture",
    split: Annotated[
        str,
        typer.Option(
            help="group-kfold, fold-cv, official, leave-one-group-out:COLUMN; random and "
            "subject-name-kfold only show leaks."
        ),
    ] = "group-kfold",
    labels: Labels = None,
    groups: Groups = None,
    folds: Annotated[
        int, typer.Option(min=2, help="For group-kfold, subject-name-kfold and random.")
    ] = 5,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,
    final: Annotated[
        bool, typer.Option(help="Also train the network to be used, on all cells.")
    ] = True,
    turns: Annotated[
        int, typer.Option(min=1, max=360, help="As for data check: joins turned cells' people.")
    ] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run there.")] = False,
) -> None:
    """Train a network for each fold, predict the people it never saw, then train on all."""
    from leukoscope.cli.progress import TrainingDisplay
    from leukoscope.datasets.reader import ReadOptions
    from leukoscope.workflow.training import TrainingRequest, train_run

    request = TrainingRequest(
        data,
        out,
        recipe,
        split,
        ReadOptions(labels_csv=labels),
        folds,
        seed,
        final,
        resume,
        turns,
        groups,
    )
    with TrainingDisplay.open() as display:
        run = train_run(
            request,
            on_decode=display.show_preparation,
            on_groups=display.print,
            on_features=display.show_features,
            on_part=display.start_part,
            on_step=display.show_step,
        )
    typer.echo(f"Finished. Now: leukoscope evaluate {run.folder}")
