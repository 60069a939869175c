"""The reverse proxy in front of the server: where it is found, and by which names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from leukoscope.errors import SettingsError

__all__ = ["Proxy", "is_loopback", "read_host", "read_proxy"]

_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True)
class Proxy:
    """What a browser sees in place of the server's own address.

    Attributes:
        root_path: prefix of all paths there, such as "/leukoscope"; "" without.
        hosts: names accepted as Host besides those of this machine, in lower case.
        origins: origins of pages that may use the server besides its own, such as
            "https://cells.example.org".
    """

    root_path: str = ""
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()


def read_proxy(root_path: str, hosts: Iterable[str], origins: Iterable[str]) -> Proxy:
    """Check what a user gave.

    Raises:
        SettingsError: not a path, not a name of a host, or not an origin.
    """
    root = f"/{root_path.strip('/')}" if root_path.strip("/") else ""
    if not _PATH.fullmatch(root) or {".", ".."} & set(root.split("/")):
        raise SettingsError(
            f"{root_path!r} as `root_path`. Expected a path of letters, digits and -._~, such as "
            "/leukoscope."
        )
    return Proxy(
        root, frozenset(map(_check_host, hosts)), frozenset(_check_origin(text) for text in origins)
    )


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def read_host(header: str) -> str | None:
    """Name in a Host header, in lower case, without its port."""
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def _check_host(text: str) -> str:
    name = read_host(text)
    if name is None or not _HOST.fullmatch(text):
        raise SettingsError(
            f"{text!r} as `allow_host`. Expected one name without scheme, port or wildcard, such "
            "as cells.example.org; give it again for each other name."
        )
    return name


def _check_origin(text: str) -> str:
    parts = re.fullmatch(r"(https?)://([^/]+)/?", text.lower())
    if parts is None or not _HOST.fullmatch(re.sub(r":\d{1,5}$", "", parts[2])):
        raise SettingsError(
            f"{text!r} as `allow_origin`. Expected scheme, name and, if it is not the usual one, "
            "port, such as https://cells.example.org; give it again for each other origin."
        )
    usual = ":443" if parts[1] == "https" else ":80"  # browsers leave it out
    return f"{parts[1]}://{parts[2].removesuffix(usual)}"
