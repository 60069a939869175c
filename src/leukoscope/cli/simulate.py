"""leukoscope simulate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to draw into; must be new or empty.")],
    subjects: Annotated[int, typer.Option(help="People.")] = 24,
    cells: Annotated[int, typer.Option(help="Cells.")] = 1200,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,
    shared: Annotated[int, typer.Option(help="Images under two subject names.")] = 0,
    reprocessed: Annotated[
        int, typer.Option(help="Cells restained and cut out again under another name.")
    ] = 0,
    repeated: Annotated[int, typer.Option(help="Cells twice within one subject.")] = 0,
    mislabelled: Annotated[int, typer.Option(help="Files in the wrong class's folder.")] = 0,
    truncated: Annotated[int, typer.Option(help="Truncated files.")] = 0,
    size_shortcut: Annotated[float, typer.Option(min=0, max=1, help="Strength.")] = 0.0,
    stain_shortcut: Annotated[float, typer.Option(min=0, max=1, help="Strength.")] = 0.0,
) -> None:
    """Draw a cohort of cells with known labels and, optionally, known faults."""
    from leukoscope.cli.progress import show_progress
    from leukoscope.simulate import CohortSettings, Faults, simulate_cohort

    faults = Faults(
        shared_images=shared,
        reprocessed_cells=reprocessed,
        repeated_cells=repeated,
        mislabelled=mislabelled,
        truncated=truncated,
        size_shortcut=size_shortcut,
        stain_shortcut=stain_shortcut,
    )
    settings = CohortSettings(subjects=subjects, cells=cells, seed=seed, faults=faults)
    with show_progress("Drawing cells") as (progress,):
        cohort = simulate_cohort(out, settings, progress=progress)
    typer.echo(
        f"{len(cohort.truth):,} simulated cells in {cohort.root}. Best possible AUC: "
        f"{cohort.best_auc:.3f}; by the cell's area alone: {cohort.area_auc:.3f}."
    )
