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
The command line catches the root, prints the message and exits with code 2.
"""

from __future__ import annotations

__all__ = [
    "DataError",
    "LeukoscopeError",
    "MissingExtraError",
    "ModelError",
    "RenamedWarning",
    "RunError",
    "SettingsError",
    "SplitError",
]


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
        super().__init__(
            f"This command needs {package}, which is not installed. "
            f'Install it with: pip install "leukoscope[{extra}]"'
        )
