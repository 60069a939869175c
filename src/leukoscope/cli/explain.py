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
    measures: Annotated[
        Path | None, typer.Option(help="JSON of data measures. Default: that of C-NMC, shipped.")
    ] = None,
) -> None:
    """Explain each prediction: a checked map, and measures beside the training cells."""
    from leukoscope.cli.progress import show_progress
    from leukoscope.cli.tables import print_explanations
    from leukoscope.workflow.explanation import explain_images
    from leukoscope.workflow.folders import name_folder

    out = out or name_folder("explanations", model.stem if model else "default")
    with show_progress("Cells") as (progress,):
        result = explain_images(
            images,
            out,
            model,
            measures=measures,
            operating_point=operating_point,
            progress=progress,
        )
    print_explanations(result)
