"""The socket, and uvicorn on it."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from leukoscope.errors import SettingsError
from leukoscope.inference.model import Classifier
from leukoscope.serve.app import build_app
from leukoscope.serve.guard import is_loopback
from leukoscope.serve.limits import Limits

__all__ = ["choose_token", "run_server"]

_SILENT_SECONDS = 15.0


def choose_token(host: str, token: str | None) -> str | None:
    """The required token: the one given, else a new one; None on loopback without one given."""
    if token is not None:
        if not token.strip() or not token.isascii() or not token.isprintable():
            raise SettingsError("Expected a token of plain letters, digits and signs.")
        return token.strip()
    return None if is_loopback(host) else secrets.token_urlsafe(24)


def run_server(
    classifier: Classifier,
    host: str,
    port: int,
    *,
    token: str | None,
    limits: Limits,
    on_start: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until interrupted.

    Args:
        classifier: the network.
        host: address to bind.
        port: to bind; 0 takes a free one.
        token: required; None for no token.
        limits: of requests.
        on_start: called with the server's address once it is reachable.

    Raises:
        SettingsError: the address cannot be bound.
    """
    bound = _bind(host, port)
    app = build_app(classifier, limits, token=token, loopback=is_loopback(host))
    config = uvicorn.Config(
        app,
        http=_TimedProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=4 * limits.requests,
        timeout_graceful_shutdown=5,
    )
    shown = f"[{host}]" if ":" in host else host
    on_start(f"http://{shown}:{bound.getsockname()[1]}/")
    try:
        uvicorn.Server(config).run(sockets=[bound])
    except KeyboardInterrupt:
        pass  # uvicorn has shut down, and re-raises the signal
    finally:
        bound.close()


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # named as TCP: asyncio sets TCP_NODELAY on such only, and without it a response waits 40 ms
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"Host {host!r} is not an address of this machine.") from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise SettingsError(
            f"{host}:{port} cannot be bound ({error.strerror}). Give another `port`."
        ) from error
    bound.listen(512)
    return bound


class _TimedProtocol(H11Protocol):
    """Closes a connection whose request head does not come: uvicorn itself would wait forever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_again(None)

    def _look_again(self, seen: Any) -> None:
        self._watch = self.loop.call_later(_SILENT_SECONDS, self._look, seen)

    def _look(self, seen: Any) -> None:
        waiting = self.conn.their_state is h11.IDLE
        if waiting and seen == ("waiting", id(self.cycle)):
            self.transport.close()
        else:
            self._look_again(("waiting", id(self.cycle)) if waiting else None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)
