"""leukoscope serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[
        str, typer.Option(help="Address to bind; other than loopback, a token is required.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8000,
    model: Annotated[
        Path | None, typer.Option(help="A run or model.onnx. Default: the shipped model.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="LEUKOSCOPE_TOKEN", help="Access token; generated where one is needed."
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="Prefix of all paths behind a reverse proxy, such as /leukoscope.",
            show_default=False,
        ),
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Name of a reverse proxy, accepted as Host besides those of this machine. May be "
            "repeated.",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Origin of the page behind a reverse proxy that does not pass its Host on, such "
            "as https://cells.example.org. May be repeated.",
        ),
    ] = None,
) -> None:
    """A web page and a REST API, both offline: drop in cells, see predictions, export a summary."""
    from leukoscope.cli.interrupts import accept_interrupt
    from leukoscope.cli.progress import console
    from leukoscope.notices import RESEARCH_ONLY
    from leukoscope.workflow.serving import serve_model

    def show_address(address: str, asked: str | None) -> None:
        console.print(f"Leukoscope: {address}" + (f"#token={asked}" if asked else ""), markup=False)
        if asked:
            console.print(f"API: Authorization: Bearer {asked}", markup=False)
        elif root_path or allow_host or allow_origin:
            console.print(
                "No token: whoever reaches your proxy can use this server, unless the proxy asks "
                "for a password."
            )
        console.print(f"{RESEARCH_ONLY} Press Ctrl-C to stop.")

    serve_model(
        model,
        host,
        port,
        token=token,
        root_path=root_path,
        allow_hosts=allow_host or (),
        allow_origins=allow_origin or (),
        on_start=show_address,
    )
    accept_interrupt()
    console.print("Ended.")
