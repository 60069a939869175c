"""leukoscope evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leukoscope.cli.options import Bootstraps, Columns, Seed, Threshold, parse_columns


def evaluate(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|PREDICTIONS.csv",
            help="A run, or any CSV with image, subject, label and probability.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for metrics.json and page. Default: evaluation/ in the run or by the CSV."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Model of the predictions, a run or model.onnx: for subjects in the images' names "
            "and words for the classes."
        ),
    ] = None,
    columns: Columns = None,
    threshold: Threshold = None,
    score: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE:NAME", help="A score of your own; may be given repeatedly."),
    ] = None,
    n_bootstrap: Bootstraps = 2000,
    seed: Seed = 0,
) -> None:
    """Score predictions by person, beside the baselines, and write a page."""
    from leukoscope.io.runs import find_predictions

    find_predictions(target)  # before anything heavy loads
    from leukoscope.cli.tables import print_evaluation
    from leukoscope.workflow.evaluation import evaluate_predictions

    evaluation, page = evaluate_predictions(
        target,
        out,
        model=model,
        columns=parse_columns(columns),
        threshold=threshold,
        scores=score or (),
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
    print_evaluation(evaluation, page)
