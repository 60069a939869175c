"""Every error that Leukoscope raises on purpose.

LeukoscopeError
├── DataError          a folder, zip, table or image is not what was expected
├── SplitError         a split cannot be made, or would leak
├── SettingsError      a recipe or an option is wrong
├── RunError           a run folder is missing, taken or incomplete
├── ModelError         a file is not a Leukoscope model, or not of this version
└── MissingExtraError  a command needs a package that is not installed

NoticeWarning          something was made again, or cannot be promised; the work goes on
RenamedWarning         an old name of an option, a setting or a column was used

Each message is one sentence or two: what was expected, what was received, how to fix it.
An argument is named as in Python, in backticks, such as `out`. The command line catches the root,
puts the names of its options in (`cli.options.name_options`), prints it and exits with code 2.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "FULL_DISK",
    "DataError",
    "DiskFullError",
    "LeukoscopeError",
    "MissingExtraError",
    "ModelError",
    "NoticeWarning",
    "RenamedWarning",
    "RunError",
    "SettingsError",
    "SplitError",
    "call_users_code",
    "describe_install",
    "describe_os_error",
    "find_full_disk",
    "is_of_user",
    "warn_notice",
    "warn_renamed",
]


FULL_DISK = {
    number: words
    for name, words in (
        ("ENOSPC", "the disk is full"),
        ("EDQUOT", "your share of the disk is used up"),
        ("EFBIG", "it is larger than a file may be here"),
    )
    if (number := getattr(errno, name, None))
}
"""Why a file cannot be written whole, by the system's number."""


class LeukoscopeError(Exception):
    """Root of all errors raised on purpose."""


class DiskFullError(OSError):
    """No space, quota or allowed file size is left: names the file, why, and what is free."""


class RenamedWarning(FutureWarning):
    """An old name was used; it works until version 1.0."""


class NoticeWarning(UserWarning):
    """Something was made again, or cannot be promised; the work goes on."""


class DataError(LeukoscopeError):
    """A folder, zip, table or image is not what was expected."""


class SplitError(LeukoscopeError):
    """A split cannot be made, or would put one person on both sides."""


class SettingsError(LeukoscopeError):
    """A recipe or an option is wrong."""


class RunError(LeukoscopeError):
    """A run folder is missing, taken or incomplete."""


class ModelError(LeukoscopeError):
    """A file is not a Leukoscope model, is damaged, or has another version."""


class MissingExtraError(LeukoscopeError):
    """A command needs an optional package that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"This needs {package}, which is not installed. {describe_install(extra)}")


def describe_install(extra: str = "") -> str:
    """How to install Leukoscope, which is on no package index.

    Args:
        extra: of optional packages, such as "train".

    >>> describe_install("train")
    'In a clone of Leukoscope, run: pip install ".[train]"'
    """
    what = f'".[{extra}]"' if extra else "."
    return f"In a clone of Leukoscope, run: pip install {what}"


def describe_os_error(error: OSError, unnamed: str = "A file") -> str:
    """Which file it is, why it cannot be read or written, and what to check.

    Args:
        error: as the system raised it.
        unnamed: what to call a file whose name the error does not know.
    """
    file = error.filename2 or error.filename or unnamed
    if isinstance(error, DiskFullError):
        return f"{file} cannot be written: {error.strerror}."
    if full := FULL_DISK.get(error.errno or 0):
        return f"{file} cannot be written: {full}."
    return (
        f"{file} cannot be read or written ({error.strerror or error}). "
        "Check the path and the free space."
    )


def find_full_disk(error: BaseException | None) -> OSError | None:
    """The error of a full disk behind an error, whatever a library made of it; None without."""
    told = None
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            return error
        if told is None and os.strerror(errno.ENOSPC) in str(error):
            told = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        error = error.__cause__ or error.__context__
    return told


def warn_renamed(words: str) -> None:
    """Warn of an old name, at the line outside of this package that used it.

    Args:
        words: which name it was, and what it is called now.
    """
    _warn(words, RenamedWarning)


def warn_notice(words: str) -> None:
    """Say in a line what was repaired, or cannot be promised; the work goes on.

    Args:
        words: a sentence that names the file.
    """
    _warn(words, NoticeWarning)


@contextmanager
def call_users_code() -> Iterator[None]:
    """Within it, a function of the user's is called, and what it raises stays what it is.

    An `OSError` of ours becomes a `DataError` that names our file (`arguments.check_arguments`),
    and below a fault of ours the command line shows the output of libraries.
    """
    try:
        yield
    except Exception as error:
        vars(error)[_OF_USER] = True
        raise


def is_of_user(error: Exception) -> bool:
    """Whether a function of the user's raised it."""
    return _OF_USER in vars(error)


_OF_USER = "_leukoscope_of_user"


def _warn(words: str, category: type[Warning]) -> None:
    level, frame = 3, sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("leukoscope."):
        level, frame = level + 1, frame.f_back
    warnings.warn(words, category, stacklevel=level)
