"""One writer a folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leukoscope.errors import RunError, warn_notice

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["check_free", "lock_folder"]

_NAME = ".lock"
_TRIES, _PAUSE = 5, 0.1  # whoever only looks holds it for a moment too


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a folder for the block; it is made where it is missing, and gone if it stays empty.

    The lock is on a hidden file in it that says who holds it. It is the system's, so it ends with
    the process, and what a killed one left behind holds nobody up.

    Raises:
        RunError: another process, or another thread of this one, holds it; or it cannot be written.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        handle = _take(folder)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror}).") from error
    try:
        yield
    finally:
        if handle is not None:
            (folder / _NAME).unlink(missing_ok=True)
            os.close(handle)
        with contextlib.suppress(OSError):  # not empty
            for place in made:
                place.rmdir()


def check_free(folder: Path) -> None:
    """Refuse a folder that somebody writes to; fast, so that it can be a command's first act.

    Raises:
        RunError: as `lock_folder`.
    """
    if fcntl is None:
        return
    with contextlib.suppress(OSError), (folder / _NAME).open("rb") as file:
        _lock(folder, file.fileno(), fcntl.LOCK_SH)


def _take(folder: Path) -> int | None:
    """A handle that holds the lock; None where the file system has none."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            locked = fcntl is not None and _lock(folder, handle, fcntl.LOCK_EX)
            if not locked:
                warn_notice(
                    f"{folder}: there are no locks on its file system, so a second process that "
                    "writes there goes unnoticed. Let only one write there at a time."
                )
                (folder / _NAME).unlink(missing_ok=True)
                os.close(handle)
                return None
            if _is_named(handle, folder / _NAME):
                os.ftruncate(handle, 0)
                os.pwrite(handle, _describe_us().encode(), 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # who held it before us has just removed the file


def _lock(folder: Path, handle: int, kind: int) -> bool:
    """Whether the lock was taken; False where there are none."""
    for last in (*[False] * (_TRIES - 1), True):
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if last:
                who = os.pread(handle, 500, 0).decode(errors="replace") or "another process"
                raise RunError(
                    f"{folder}: {who} is writing there. Wait until it has ended, or end it; then "
                    "try again. Or choose another folder."
                ) from error
            time.sleep(_PAUSE)
        except OSError:
            return False
        else:
            return True
    raise AssertionError


def _is_named(handle: int, path: Path) -> bool:
    """Whether the name still points to the file that is open."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _describe_us() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {platform.node() or 'this computer'}, since {since},"
