"""One model → a server, until interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    root_path: str = "",
    allow_hosts: Iterable[str] = (),
    allow_origins: Iterable[str] = (),
    on_start: Callable[[str, str | None], None],
) -> None:
    """Serve a model.

    Args:
        model: a run folder or an ONNX file; by default the shipped model.
        host: address to bind.
        port: to bind; 0 takes a free one.
        token: required; by default one is generated if other machines can connect.
        root_path: prefix of all paths behind a reverse proxy, such as "/leukoscope".
        allow_hosts: names accepted as Host besides those of this machine.
        allow_origins: origins of pages that may use the server besides its own.
        on_start: called with the server's address and the required token, or None.

    Raises:
        LeukoscopeError: no such model, the address cannot be bound, or the extra is missing.
    """
    try:
        from leukoscope.serve import Limits, choose_token, read_proxy, run_server
    except ModuleNotFoundError as error:
        raise MissingExtraError((error.name or "fastapi").split(".")[0], "serve") from error
    proxy = read_proxy(root_path, allow_hosts, allow_origins)
    asked = choose_token(host, token)
    run_server(
        open_classifier(model),
        host,
        port,
        token=asked,
        limits=Limits(),
        proxy=proxy,
        on_start=lambda address: on_start(address, asked),
    )
