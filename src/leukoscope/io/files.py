"""Text files are read with one kind of error; all files are written whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leukoscope.errors import DataError, LeukoscopeError

__all__ = ["describe_unreadable", "move_into_place", "read_text", "write_bytes", "write_text"]


def read_text(path: Path, expected: str, kind: type[LeukoscopeError] = DataError) -> str:
    """Read a text file that a user names: UTF-8, with or without a byte order mark.

    Args:
        path: of the file.
        expected: what it should hold, in words, for errors.
        kind: of the error.

    Raises:
        LeukoscopeError: of that kind: no such file, a folder, unreadable, or not text.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise kind(describe_unreadable(path, error, expected)) from error
    if "\0" in text:
        raise kind(f"{path}: not text. Expected {expected}.")
    return text


def describe_unreadable(path: Path, error: Exception, expected: str) -> str:
    """Why a file that a user named cannot be read, in a sentence, and what was expected."""
    if path.is_dir():
        reason = "a folder"
    elif isinstance(error, FileNotFoundError | NotADirectoryError):
        reason = "no such file"
    elif isinstance(error, UnicodeDecodeError):
        reason = "not text in UTF-8"
    else:
        reason = f"cannot be read ({getattr(error, 'strerror', None) or str(error).strip()})"
    return f"{path}: {reason}. Expected {expected}."


@contextmanager
def move_into_place(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it there when the block succeeds.

    Raises:
        OSError: as writing does; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~_read_umask())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, in UTF-8."""
    with move_into_place(path) as part:
        part.write_text(text, encoding="utf-8")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole."""
    with move_into_place(path) as part:
        part.write_bytes(data)


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
