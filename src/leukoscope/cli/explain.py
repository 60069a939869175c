"""leukoscope explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leukoscope.cli.options import Images, Model, OperatingPoint, Point


def explain(
    images: Images,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for pictures, table and page. Default: a new one in explanations/."
        ),
    ] = None,
    model: Model = None,
    operating_point: Point = OperatingPoint.BALANCED,
    measures: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Explain each prediction: a checked map, and measures beside the training cells."""
    from leukoscope.cli.commands import warn_of_gone_name
    from leukoscope.cli.progress import show_progress
    from leukoscope.cli.tables import print_explanations
    from leukoscope.workflow.explanation import explain_images
    from leukoscope.workflow.folders import name_folder

    if measures is not None:
        warn_of_gone_name("--measures", "the model file holds the measures of its training cells")
    out = out or name_folder("explanations", model.stem if model else "default")
    with show_progress("Cells") as (progress,):
        result = explain_images(
            images,
            out,
            model,
            operating_point=operating_point,
            progress=progress,
        )
    print_explanations(result)
