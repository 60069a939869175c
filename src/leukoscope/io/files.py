"""Text files are read with one kind of error; all files are written whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from leukoscope.errors import FULL_DISK, DataError, DiskFullError, LeukoscopeError

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = [
    "check_new",
    "describe_unreadable",
    "move_into_place",
    "read_bytes",
    "read_text",
    "sync",
    "write_bytes",
    "write_text",
]


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


def read_bytes(path: Path, expected: str) -> bytes:
    """Read a file that a user names. Raises `DataError` as `read_text`."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise DataError(describe_unreadable(path, error, expected)) from error


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


_NAME_LETTERS = 40  # of a file's name in its temporary name: file systems allow 255 bytes
_DAY = 86_400
_DESCRIPTOR = re.compile(r"(?:/dev|/proc/self)/fd/(\d+)|/dev/std(out|err)")
_LINKS = 40  # followed at most, as Linux does


@contextmanager
def move_into_place(path: Path) -> Iterator[Path]:
    """Give a temporary path; what the block writes there gets the name `path` when it succeeds.

    A symbolic link stays, and the file that it names is written. Into a device, a pipe or a path
    below /dev or /proc the bytes are written, as those cannot be replaced. An existing file keeps
    its permissions. What an earlier writer of `path` left behind when it was killed is removed.

    Raises:
        DiskFullError: there is no space left.
        OSError: as writing does, and for a folder.

    After an error nothing is left behind, and the file is what it was.
    """
    target = _find_target(path)
    if target is None:
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder, path.name)
            yield part
            with part.open("rb") as written, _open_node(path) as node:
                shutil.copyfileobj(written, node)
        return
    with _name_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part, handle = _create_part(target)
    try:
        with _name_errors(target, part):
            yield part
            part.chmod(_find_mode(target))
            sync(part)
            part.replace(target)
            sync(target.parent)
    finally:
        if handle is not None:
            os.close(handle)
        part.unlink(missing_ok=True)


def check_new(path: Path) -> None:
    """Refuse to write over a file. Raises `DataError`, also for a folder."""
    try:
        target = _find_target(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}. Expected the name of a file.") from error
    if target and target.exists():
        raise DataError(f"{path}: it is there already. Expected a new name, or `force`.")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, in UTF-8."""
    with move_into_place(path) as part:
        part.write_text(text, encoding="utf-8")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole."""
    with move_into_place(path) as part:
        part.write_bytes(data)


def _find_target(path: Path) -> Path | None:
    """The file to replace, behind all symbolic links; None where bytes are to be written into it.

    Raises:
        OSError: a folder, or links in a circle.
    """
    for _ in range(_LINKS):
        if path.absolute().parts[1:2] in (("dev",), ("proc",)):
            return None
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    else:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    return path if path.is_file() or not path.exists() else None


def _open_node(path: Path) -> BinaryIO:
    """A device or a pipe to write into; standard output and error where they are by now."""
    number = _DESCRIPTOR.fullmatch(str(path.absolute()))
    if number is None:
        return path.open("ab")
    if number[1]:
        return os.fdopen(os.dup(int(number[1])), "wb")
    stream = sys.stdout if number[2] == "out" else sys.stderr
    stream.flush()
    return os.fdopen(os.dup(stream.fileno()), "wb")


def _create_part(target: Path) -> tuple[Path, int | None]:
    """A temporary file beside the target, and a handle that locks it while it is written."""
    prefix = f".{target.name[:_NAME_LETTERS]}-"
    _remove_abandoned(target.parent, prefix, target.suffix)
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=target.suffix, dir=target.parent)
    if fcntl is None:
        os.close(handle)
        return Path(name), None
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return Path(name), handle


def _remove_abandoned(folder: Path, prefix: str, suffix: str) -> None:
    """Remove temporary files that no writer holds: those of writers that were killed."""
    shape = re.compile(re.escape(prefix) + "[a-z0-9_]{8}" + re.escape(suffix))
    for entry in os.scandir(folder):
        if shape.fullmatch(entry.name):
            with contextlib.suppress(OSError):
                if _is_abandoned(Path(entry.path)):
                    Path(entry.path).unlink()


def _is_abandoned(part: Path) -> bool:
    if fcntl is None:
        return time.time() - part.stat().st_mtime > _DAY
    with part.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def _find_mode(target: Path) -> int:
    """Permissions of the file that is replaced, or those of a new one."""
    with contextlib.suppress(FileNotFoundError):
        return target.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def sync(path: Path) -> None:
    """Bring a file's bytes, or a folder's names, to the disk, where its system can.

    A file's before its name points to them, and the name after: power may fail in between.

    Raises:
        OSError: a file's bytes could not be written.
    """
    if not path.is_dir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return
    with contextlib.suppress(OSError):  # Windows opens no folder, some systems sync none
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _name_errors(target: Path, part: Path | None = None) -> Iterator[None]:
    """Within it a file is written: errors name it, and a full disk gets words, whichever library
    ran into it."""
    try:
        yield
    except DiskFullError:
        raise
    except OSError as error:
        number = error.errno
        if number is None and part is not None:  # NumPy leaves it out
            number = _find_limit(part)
        if number in FULL_DISK:
            free = f"{_find_free(target) / 1e6:,.1f} MB free"
            raise DiskFullError(number, f"{FULL_DISK[number]}, {free}", str(target)) from error
        named = Path(os.fsdecode(error.filename or "")).name
        hidden = f".{target.name[:_NAME_LETTERS]}-"
        if error.errno and (not named or named.startswith(hidden)):
            error.filename, error.filename2 = str(target), None
        raise


def _find_limit(part: Path) -> int | None:
    """Why a file cannot grow, as the system's number; None where it can."""
    try:
        with part.open("ab") as file:
            file.write(bytes(65_536))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno
    return None


def _find_free(target: Path) -> int:
    """Bytes that are left for a file."""
    folder = next(folder for folder in target.absolute().parents if folder.exists())
    return shutil.disk_usage(folder).free
