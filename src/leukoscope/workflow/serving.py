"""One model → a server, until interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from leukoscope.errors import MissingExtraError
from leukoscope.workflow.prediction import open_classifier

__all__ = ["serve_model"]


def serve_model(
    model: Path | None,
    host: str,
    port: int,
    *,
    token: str | None,
    on_start: Callable[[str, str | None], None],
) -> None:
    """Serve a model.

    Args:
        model: a run folder or an ONNX file; the shipped model where left out.
        host: address to bind.
        port: to bind; 0 takes a free one.
        token: to ask for; where left out, one is made if others than this machine can connect.
        on_start: called with our address and the token that is asked for, or None.

    Raises:
        LeukoscopeError: no such model, the address cannot be bound, or the extra is missing.
    """
    try:
        from leukoscope.serve import Limits, choose_token, run_server
    except ModuleNotFoundError as error:
        raise MissingExtraError((error.name or "fastapi").split(".")[0], "serve") from error
    asked = choose_token(host, token)
    run_server(
        open_classifier(model),
        host,
        port,
        token=asked,
        limits=Limits(),
        on_start=lambda address: on_start(address, asked),
    )
