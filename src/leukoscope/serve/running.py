"""The socket, and uvicorn on it."""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from leukoscope.errors import SettingsError
from leukoscope.inference.model import Classifier
from leukoscope.serve.access import Proxy, is_loopback
from leukoscope.serve.app import build_app
from leukoscope.serve.limits import Limits
from leukoscope.serve.memory import limit_memory

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
    proxy: Proxy,
    on_start: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until interrupted.

    Args:
        classifier: the network.
        host: address to bind.
        port: to bind; 0 takes a free one.
        token: required; None for no token.
        limits: of requests.
        proxy: in front of the server. Only what it tells of its clients from this machine, or from
            an address in FORWARDED_ALLOW_IPS, is trusted.
        on_start: called with the server's address once it is reachable.

    Raises:
        SettingsError: the address cannot be bound.
    """
    limit_memory()
    bound = _bind(host, port)
    app = build_app(classifier, limits, token=token, loopback=is_loopback(host), proxy=proxy)
    config = uvicorn.Config(
        app,
        http=_TimedProtocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        forwarded_allow_ips=os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1"),
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
    """Closes a connection on which nothing goes on: uvicorn itself would wait forever.

    That is one whose request head does not come, whose refused body goes on coming, or whose client
    does not read the response. While a request is answered, it is left alone.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.waits_since = self.loop.time()
        if len(self.connections) >= (self.limit_concurrency or math.inf):
            self._close_idle()
        self._look_again(None)

    def _close_idle(self) -> None:
        """Make room for this connection: close the one that has waited longest for a request."""
        idle = [other for other in self.connections if other is not self and _waits(other)]
        if idle:
            oldest = min(idle, key=lambda other: getattr(other, "waits_since", 0.0))
            self.connections.discard(oldest)
            oldest.transport.abort()

    def _look_again(self, seen: Any) -> None:
        self._watch = self.loop.call_later(_SILENT_SECONDS, self._look, seen)

    def _look(self, seen: Any) -> None:
        unread = self.transport.get_write_buffer_size()
        now = (id(self.cycle), unread) if _waits(self) or unread else None
        if now is not None and now == seen:
            self.transport.abort()
        else:
            self._look_again(now)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)


def _waits(connection: Any) -> bool:
    """Whether no request is being received or answered on a connection."""
    return connection.cycle is None or connection.cycle.response_complete
