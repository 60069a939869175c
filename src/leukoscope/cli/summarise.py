"""leukoscope summarise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def summarise(
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTIONS.csv|RUN",
            help="What predict --out wrote, any CSV with image, subject, probability, or a run.",
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Write one row a subject to this CSV.")] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN|CSV",
            help="Labelled predictions of people the network never saw, to calibrate subjects on; "
            "else the table's own other people.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="What answered: a run or model.onnx; else the model shipped with us."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Probability from which a cell is leukaemic; else the table's, or ½."
        ),
    ] = None,
    n_bootstrap: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,
) -> None:
    """Sum up each subject: share of leukaemic cells, calibrated probability, call."""
    from leukoscope.cli.tables import print_summary
    from leukoscope.workflow.summary import summarise_predictions

    summary = summarise_predictions(
        predictions,
        out,
        calibrate=calibrate,
        model=model,
        threshold=threshold,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
    print_summary(summary, out)
