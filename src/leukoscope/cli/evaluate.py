"""leukoscope evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|PREDICTIONS.csv",
            help="A run, or any CSV with image, subject, label and probability.",
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for metrics.json and page.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Probability from which a cell is leukaemic; else the table's, or ½."
        ),
    ] = None,
    n_bootstrap: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,
) -> None:
    """Score predictions by person, beside the baselines, and write a page."""
    from leukoscope.cli.tables import print_evaluation
    from leukoscope.workflow.evaluation import evaluate_predictions

    evaluation, page = evaluate_predictions(
        target, out, threshold=threshold, n_bootstrap=n_bootstrap, seed=seed
    )
    print_evaluation(evaluation, page)
