"""leukoscope explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    images: Annotated[list[Path], typer.Argument(help="Images, folders or zips.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures, the table and the page.")],
    model: Annotated[
        Path | None, typer.Option(help="A run or model.onnx; else the model shipped with us.")
    ] = None,
    sensitive: Annotated[
        bool,
        typer.Option("--sensitive", help="Call at the threshold meant to find 95% of leukaemic."),
    ] = False,
    measures: Annotated[
        Path | None, typer.Option(help="From data measures; else that of C-NMC, shipped with us.")
    ] = None,
) -> None:
    """Show what each answer rests on: a map, checked, and measures beside the training cells."""
    from leukoscope.cli.progress import show_progress
    from leukoscope.cli.tables import print_explanations
    from leukoscope.workflow.explanation import explain_images

    with show_progress("Cells") as (progress,):
        result = explain_images(
            images, out, model, measures=measures, sensitive=sensitive, progress=progress
        )
    print_explanations(result)
