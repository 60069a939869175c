"""leukoscope predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    images: Annotated[list[Path], typer.Argument(help="Images, folders or zips.")],
    model: Annotated[
        Path | None, typer.Option(help="A run or model.onnx; else the model shipped with us.")
    ] = None,
    sensitive: Annotated[
        bool,
        typer.Option("--sensitive", help="Call at the threshold meant to find 95% of leukaemic."),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the rows to this CSV.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Answer for each image: probability of leukaemic, call, warnings."""
    from leukoscope.cli.answers import AnswerPrinter
    from leukoscope.cli.progress import show_progress
    from leukoscope.workflow.prediction import predict_images

    with show_progress("Images") as (progress,):
        answers, metadata = predict_images(images, model, sensitive=sensitive, progress=progress)
        with AnswerPrinter(out, as_json=json) as printer:
            for answer in answers:
                printer.show(answer)
    printer.summarise(metadata)
