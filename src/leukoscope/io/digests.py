"""Files are kept with their SHA-256, as `sha256sum` writes it: to find what a disk has changed.

A file of a cache has its own beside it; those of a run are in one file, SHA256SUMS.

A digest costs a few milliseconds a megabyte at most, and finds what a parser does not: a flipped
bit in pixels or in a number. It finds no forgery: who can change a file can change its digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from leukoscope.errors import warn_notice
from leukoscope.io.files import write_text

__all__ = ["differs_from_sum", "is_whole", "keep_whole", "write_digest", "write_sum"]

_SUMS = "SHA256SUMS"
_DEPTH = 3  # folders from a file of a run up to its SHA256SUMS


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


def write_sum(root: Path, name: str, path: Path | None) -> None:
    """Keep the SHA-256 of a file in the SHA256SUMS of its run, in place of the one before.

    Args:
        root: folder of the run.
        name: of the file, from there.
        path: of the file; without one, its digest is forgotten.
    """
    sums = _read_sums(root)
    if path is None and name not in sums:
        return
    sums = {key: sums[key] for key in sums if key != name}
    if path is not None:
        sums[name] = _compute_digest(path)
    write_text(root / _SUMS, "".join(f"{sums[key]}  {key}\n" for key in sorted(sums)))


def differs_from_sum(path: Path) -> bool:
    """Whether a file of a run is there, but not what its SHA256SUMS says; False without one."""
    for root in path.parents[:_DEPTH]:
        kept = _read_sums(root).get(path.relative_to(root).as_posix())
        if kept and path.is_file():
            return kept != _compute_digest(path)
    return False


def _read_sums(root: Path) -> dict[str, str]:
    """Name → digest; lines that are none are left out."""
    try:
        lines = (root / _SUMS).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.split("  ", 1) for line in lines)
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}


def _name_digest(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _compute_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
