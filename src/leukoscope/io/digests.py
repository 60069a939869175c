"""What can be made again is kept with its SHA-256 beside it, as `sha256sum` writes it.

A digest costs a few milliseconds a megabyte at most, and finds what a parser does not: a flipped
bit in pixels or in a number. It finds no forgery: who can change a file can change its digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from leukoscope.errors import warn_notice
from leukoscope.io.files import write_text

__all__ = ["is_whole", "keep_whole", "write_digest"]


def write_digest(path: Path) -> None:
    """Keep the SHA-256 of a file beside it, as NAME.sha256."""
    write_text(_name_digest(path), f"{_compute_digest(path)}  {path.name}\n")


def is_whole(path: Path) -> bool:
    """Whether a file is there and what it was when its digest was written."""
    try:
        kept = _name_digest(path).read_bytes().split(b" ")[0]
        return kept == _compute_digest(path).encode()
    except OSError:
        return False


def keep_whole(path: Path, make: Callable[[], None]) -> None:
    """Make a file of a cache where it is missing; where it is damaged too, with a notice.

    Args:
        path: of the file.
        make: writes it.
    """
    if is_whole(path):
        return
    if path.exists():
        warn_notice(f"{path}: damaged, so it is made again.")
    make()
    write_digest(path)


def _name_digest(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _compute_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
