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
            help="CSV of predict --out, any CSV with image, subject, probability, or a run.",
            show_default=False,
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Write one row a subject to this CSV.")] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN|CSV",
            help="Labelled predictions of people not seen in training, to calibrate subjects on; "
            "default: the other people in the table.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Model of the predictions: a run or model.onnx. Default: the shipped one."
        ),
    ] = None,
    columns: Columns = None,
    threshold: Threshold = None,
    n_bootstrap: Bootstraps = 2000,
    seed: Seed = 0,
) -> None:
    """Aggregate by subject: share of leukaemic cells, calibrated probability, call."""
    from leukoscope.io.runs import find_predictions

    find_predictions(predictions)  # before anything heavy loads
    from leukoscope.cli.tables import print_summary
    from leukoscope.workflow.aggregation import aggregate_predictions

    summary = aggregate_predictions(
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
