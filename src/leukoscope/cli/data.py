"""leukoscope data audit, data augmentations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leukoscope.cli.commands import add_command
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

app = typer.Typer(
    name="data", help="Inspect a data set before training on it.", no_args_is_help=True
)

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A folder or a zip of images, a CSV that names them, or the word kaggle.",
        show_default=False,
    ),
]
Groups = Annotated[
    Path | None,
    typer.Option(
        "--groups",
        help="CSV with the columns subject and group: group overrides, in place of the links.",
    ),
]


def audit(
    data: Data,
    reader: Reader = "auto",
    labels: Labels = None,
    subject_from: SubjectFrom = "",
    classes: Classes = "",
    frame: Frame = None,
    groups: Groups = None,
    json: Annotated[Path | None, typer.Option(help="Write all findings here.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with pictures here.")] = None,
    turns: Annotated[
        int, typer.Option(min=1, max=360, help="Rotations at which cells are compared.")
    ] = 1,
) -> None:
    """Find faults, duplicates, people under several names, and the score of cell size alone."""
    from leukoscope.cli.progress import show_progress
    from leukoscope.cli.tables import print_audit
    from leukoscope.workflow.checking import check_data

    with show_progress("Reading images", "Comparing cells") as (on_decode, on_link):
        found = check_data(
            data,
            read_options(reader, labels, subject_from, classes, frame),
            groups_csv=groups,
            turns=turns,
            json=json,
            html=html,
            on_decode=on_decode,
            on_link=on_link,
        )
    print_audit(found, [path for path in (json, html) if path])


def augmentations(
    data: Data,
    out: Annotated[Path, typer.Option(help="The picture to write (PNG).")],
    recipe: Annotated[str, typer.Option(help="Name or TOML file of the recipe.")] = "compact",
    changes: Set = None,
    seed: Seed = 0,
    reader: Reader = "auto",
    labels: Labels = None,
    subject_from: SubjectFrom = "",
    classes: Classes = "",
    frame: Frame = None,
) -> None:
    """Draw what a recipe's augmentation does to some cells."""
    from leukoscope.cli.progress import show_progress
    from leukoscope.settings import change_recipe, read_recipe
    from leukoscope.workflow.checking import draw_augmentations

    with show_progress("Reading images") as (on_decode,):
        settings = change_recipe(read_recipe(recipe), parse_changes(changes))
        options = read_options(reader, labels, subject_from, classes, frame)
        draw_augmentations(data, out, settings, options, seed=seed, on_decode=on_decode)
    typer.echo(f"{out}: each row is one cell; the first column is the cell itself.")


add_command(app, audit, writes=("json", "html"), old_name="check")
add_command(app, augmentations, writes=("out",))


@app.command(
    hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def measures() -> None:
    """Of version 0.1."""
    raise SettingsError(
        "data measures is no command any more: a model file holds the measures of its training "
        "cells. Train again to compare with those of other cells."
    )
