"""leukoscope predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leukoscope.cli.options import Images, Model, OperatingPoint, Point


def predict(
    images: Images,
    model: Model = None,
    operating_point: Point = OperatingPoint.BALANCED,
    out: Annotated[
        Path | None, typer.Option(help="Write the rows to this CSV. Default: to the terminal.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """Predict each image: probability of leukaemic, call, warnings.

    Exit code 0, or 1 where no image could be predicted.
    """
    from leukoscope.cli.answers import AnswerPrinter
    from leukoscope.cli.progress import show_progress
    from leukoscope.workflow.prediction import predict_images

    with show_progress("Images") as (progress,):
        answers, metadata = predict_images(
            images, model, operating_point=operating_point, progress=progress
        )
        with AnswerPrinter(out, as_json=json) as printer:
            for answer in answers:
                printer.show(answer)
    if not printer.summarise(metadata, operating_point):
        raise typer.Exit(1)
