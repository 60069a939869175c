"""leukoscope serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[
        str, typer.Option(help="Address to bind; others than this machine's need the token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    model: Annotated[
        Path | None, typer.Option(help="A run or model.onnx; else the model shipped with us.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="LEUKOSCOPE_TOKEN", help="To ask for; made and printed where one is needed."
        ),
    ] = None,
) -> None:
    """A web page and a REST API, both offline: drop in cells, see answers, take a summary away."""
    from leukoscope.cli.progress import console
    from leukoscope.notices import RESEARCH_ONLY
    from leukoscope.workflow.serving import serve_model

    def show_address(address: str, asked: str | None) -> None:
        console.print(f"Leukoscope: {address}" + (f"#token={asked}" if asked else ""), markup=False)
        if asked:
            console.print(f"API: Authorization: Bearer {asked}", markup=False)
        console.print(f"{RESEARCH_ONLY} Ctrl-C ends it.")

    serve_model(model, host, port, token=token, on_start=show_address)
    console.print("Ended.")
