"""Every error that Leukoscope raises on purpose.

LeukoscopeError
├── DataError          a folder, zip, table or image is not what was expected
├── SplitError         a split cannot be made, or would leak
├── SettingsError      a recipe or an option is wrong
├── RunError           a run folder is missing, taken or incomplete
├── ModelError         a file is not a Leukoscope model, or not of this version
└── MissingExtraError  a command needs a package that is not installed

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

__all__ = [
    "DataError",
    "LeukoscopeError",
    "MissingExtraError",
    "ModelError",
    "RenamedWarning",
    "RunError",
    "SettingsError",
    "SplitError",
    "describe_install",
    "describe_os_error",
    "find_full_disk",
    "warn_renamed",
]


_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your share of the disk is used up",
    errno.EFBIG: "it is larger than a file may be here",
}
"""Why a file cannot be written whole, by the system's number."""


class LeukoscopeError(Exception):
    """Root of all errors raised on purpose."""


class RenamedWarning(FutureWarning):
    """An old name was used; it works until version 1.0."""


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
    if full := _FULL.get(error.errno or 0):
        return f"{file} cannot be written: {full}."
    return (
        f"{file} cannot be read or written ({error.strerror or error}). "
        "Check the path and the free space."
    )


def find_full_disk(error: BaseException | None) -> OSError | None:
    """The error of a full disk behind an error, whatever a library made of it; None without."""
    told = None
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
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
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("leukoscope."):
        level, frame = level + 1, frame.f_back
    warnings.warn(words, RenamedWarning, stacklevel=level)
