"""leukoscope export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run.", show_default=False)],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="onnx, or an export format of your own as package.module:name.",
        ),
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="File to write. Default: exports/model.… in the run.")
    ] = None,
) -> None:
    """Write a run's network in another format, compared with Keras first."""
    from leukoscope.exporters import find_exporter
    from leukoscope.io.runs import open_run

    open_run(run)  # before anything heavy loads
    find_exporter(format_)
    from leukoscope.cli.progress import console
    from leukoscope.workflow.exporting import export_run

    found = export_run(run, format_, out)
    for sentence in found.sentences:
        console.print(sentence, markup=False, soft_wrap=True)
    typer.echo(found.path)
