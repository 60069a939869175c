"""Access control, and the headers of every response."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leukoscope.serve.access import Proxy, is_loopback, read_host
from leukoscope.serve.limits import RefusedError
from leukoscope.serve.metrics import Metrics

__all__ = ["Guard", "refuse"]

# The page shows pictures of the user's files (blob:), and connects to this server only.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


_BODY_UNREAD = (408, 411, 413, 415, 503)


def refuse(error: RefusedError) -> JSONResponse:
    """One sentence, as every error of the API is."""
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    if error.status in _BODY_UNREAD:
        headers["Connection"] = "close"
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"detail": str(error)}, error.status, headers)


@dataclass
class Guard:
    """Checks a request before the application sees it, and counts the response.

    Attributes:
        app: the application.
        metrics: the counters.
        token: required at /v1 and /metrics; None where nobody else can reach the server.
        loopback: whether only names of this machine are accepted as Host: a page of another site
            whose name was made to point here (DNS rebinding) sends its own.
        proxy: further names, and the prefix of all paths.
    """

    app: ASGIApp
    metrics: Metrics
    token: str | None
    loopback: bool
    proxy: Proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "websocket":  # not supported
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, method = self._strip(scope["path"]), scope["method"]
        started, status = time.monotonic(), 500

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                if "GET" in headers.get("allow", ""):
                    headers["allow"] += ", HEAD"
            elif method == "HEAD":
                message["body"] = b""
            await send(message)

        inner = dict(scope, path=self.proxy.root_path + path, root_path=self.proxy.root_path)
        if method == "HEAD":  # whatever has a GET: its headers, without the body
            inner["method"] = "GET"
        try:
            self._check(scope, path)
            app = self.app if path else RedirectResponse(f"{self.proxy.root_path}/")
            await app(inner, receive, send_guarded)
        except RefusedError as error:
            await refuse(error)(inner, receive, send_guarded)
        finally:
            self.metrics.count_request(path, status, time.monotonic() - started)

    def _strip(self, path: str) -> str:
        """The path without the proxy's prefix, whether or not the proxy has removed it."""
        root = self.proxy.root_path
        return path.removeprefix(root) if f"{path}/".startswith(f"{root}/") else path

    def _check(self, scope: Scope, path: str) -> None:
        headers = Headers(scope=scope)
        host = read_host(headers.get("host", ""))
        if (self.loopback or self.proxy.hosts) and not (
            host and (is_loopback(host) or host in self.proxy.hosts)
        ):
            raise RefusedError(
                421,
                "Expected this machine's own name as Host, such as localhost or 127.0.0.1, or one "
                "that the server was started with (option allow-host).",
            )
        origin = headers.get("origin")
        own = origin is None or urlsplit(origin).netloc == headers.get("host")
        if not own and origin not in self.proxy.origins:
            raise RefusedError(
                403,
                "Pages of other sites may not use this server, unless it was started with their "
                "origin (option allow-origin).",
            )
        if self.token is not None and path.startswith(("/v1", "/metrics")):
            kind, _, sent = headers.get("authorization", "").partition(" ")
            fits = hmac.compare_digest(sent.strip().encode(), self.token.encode())
            if kind.lower() != "bearer" or not fits:
                raise RefusedError(401, "Expected the header Authorization: Bearer <token>.")
