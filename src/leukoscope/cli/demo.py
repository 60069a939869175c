"""leukoscope demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder for all output.")] = Path("leukoscope-demo"),
) -> None:
    """Run all steps once on simulated cells: under four minutes on two cores."""
    from leukoscope.cli.progress import TrainingDisplay, console
    from leukoscope.cli.tables import print_audit, print_evaluation
    from leukoscope.workflow.demonstration import DEMO, run_demo

    with TrainingDisplay.open(out / "run") as display:
        result = run_demo(
            out,
            on_stage=lambda words: console.print(f"[bold]{words}[/bold]"),
            on_network=display.start_network,
            on_step=display.show_step,
        )
    print_audit(result.audit, [result.audit_page])
    print_evaluation(result.evaluation, result.report)
    typer.echo(
        f"All of this was simulated: {DEMO.cells:,} cells drawn by the program. The best "
        f"possible AUC on these people is {result.best_auc:.3f}.\n\n"
        'With real cells (C-NMC 2019, Kaggle\'s "Leukemia Classification"):\n'
        "  leukoscope data audit kaggle --html audit.html\n"
        "  leukoscope train kaggle --out run\n"
        "  leukoscope evaluate run\n"
        "  leukoscope predict CELL.bmp --model run"
    )
