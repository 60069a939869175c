"""leukoscope aggregate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leukoscope.cli.options import Bootstraps, Columns, Seed, Threshold, parse_columns


def aggregate(
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTIONS.csv|RUN",
            help="What predict --out wrote, any CSV with image, subject, probability, or a run.",
            show_default=False,
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
    columns: Columns = None,
    threshold: Threshold = None,
    n_bootstrap: Bootstraps = 2000,
    seed: Seed = 0,
) -> None:
    """Sum up each subject: share of leukaemic cells, calibrated probability, call."""
    from leukoscope.cli.tables import print_summary
    from leukoscope.workflow.summary import summarise_predictions

    summary = summarise_predictions(
        predictions,
        out,
        calibrate=calibrate,
        model=model,
        columns=parse_columns(columns),
        threshold=threshold,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
    print_summary(summary, out)
