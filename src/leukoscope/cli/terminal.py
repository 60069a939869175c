"""Keep the output of libraries off the terminal: it goes to a file, shown after a crash."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import logging
import os
import sys
import threading
import time
import warnings
from io import RawIOBase, TextIOWrapper
from typing import TextIO

from leukoscope.quiet import open_store, read_store

__all__ = ["show_kept_at_exit", "silence_libraries", "wants_everything"]

_MOST_KEPT = 1_000_000
_store: int | None = None


def wants_everything() -> bool:
    """Whether the environment asks for the libraries' output: LEUKOSCOPE_VERBOSE=1."""
    return os.environ.get("LEUKOSCOPE_VERBOSE", "0") not in ("", "0")


def silence_libraries(verbose: bool) -> None:
    """Keep `sys.stderr` on the terminal, and turn file descriptor 2 away from it.

    Whatever a library writes on the descriptor from now on, at its import or hours later, goes to
    an anonymous file; so do Python's warnings and the log lines of libraries.

    Args:
        verbose: leave everything as it is.
    """
    global _store  # noqa: PLW0603 - a process has one descriptor 2
    ours = None if verbose else _copy_stderr()
    if ours is None:
        return
    _store = open_store()
    os.dup2(_store, 2)
    sys.stderr = ours
    sys.__stderr__ = ours  # type: ignore[misc]  # where rich asks for the terminal's width
    faulthandler.enable(ours)
    _silence_python(os.fdopen(_store, "w", 1, "utf-8", "backslashreplace", closefd=False))
    threading.Thread(target=_keep_small, args=(_store,), daemon=True).start()


def show_kept_at_exit() -> None:
    """Show the libraries' output after the traceback: it may hold the reason."""
    atexit.register(_show_kept)


def _copy_stderr() -> TextIOWrapper | None:
    """A `sys.stderr` on a descriptor of its own; None where we may not redirect it."""
    if sys.stderr is None:  # closed; a file opened later must not get its number
        return os.fdopen(os.dup(os.open(os.devnull, os.O_WRONLY)), "w", encoding="utf-8")
    try:
        if sys.stderr.fileno() != 2:
            return None  # a program that calls us has its own
        sys.stderr.flush()
        kept = os.dup(2)
    except (AttributeError, OSError, ValueError):
        return None
    unbuffered = isinstance(getattr(sys.stderr, "buffer", None), RawIOBase)  # python -u
    binary = os.fdopen(kept, "wb", 0 if unbuffered else -1, closefd=False)
    return TextIOWrapper(
        binary,
        sys.stderr.encoding,
        sys.stderr.errors,
        line_buffering=True,
        write_through=unbuffered,
    )


def _silence_python(kept: TextIO) -> None:
    """Log lines and warnings of Python libraries go to the same file."""
    handler = logging.StreamHandler(kept)  # the root's: libraries then add none of their own
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    logging.getLogger().addHandler(handler)
    if logging.lastResort:
        logging.getLogger("asyncio").addHandler(logging.lastResort)  # errors of our own server
    if sys.warnoptions:
        return  # -W or PYTHONWARNINGS: the user wants to see them

    def keep(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        (file or kept).write(warnings.formatwarning(message, category, filename, lineno, line))

    warnings.showwarning = keep


def _keep_small(store: int) -> None:
    """A server runs for months, and a decoder may complain of each image."""
    while True:
        time.sleep(60)
        with contextlib.suppress(OSError):
            if os.fstat(store).st_size > _MOST_KEPT:
                os.lseek(store, 0, os.SEEK_SET)
                os.ftruncate(store, 0)


def _show_kept() -> None:
    said = read_store(_store).decode(errors="replace").strip() if _store is not None else ""
    if said:
        with contextlib.suppress(OSError):
            print(f"\nEarlier output of libraries:\n{said}", file=sys.stderr)
