"""Verbosity: `--quiet` only results and errors, `--verbose` tracebacks and libraries too.

The only module that decides it. Code that silences libraries asks `asks_for_all` before they load;
commands ask `is_quiet` and `is_verbose` once their options are read.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from leukoscope.errors import NoticeWarning, RenamedWarning

__all__ = ["asks_for_all", "is_quiet", "is_verbose", "set_verbosity", "show_notes"]

_asked = {"quiet": False, "verbose": False}


def set_verbosity(*, quiet: bool = False, verbose: bool = False) -> None:
    """Store what an option asked for; once, before or after the command, is enough."""
    _asked["quiet"] |= quiet
    _asked["verbose"] |= verbose
    if verbose:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"  # read by TensorFlow as it loads


def is_quiet() -> bool:
    """Whether only results and errors are to be shown."""
    return _asked["quiet"]


def is_verbose() -> bool:
    """Whether tracebacks and the libraries' output are to be shown."""
    return _asked["verbose"]


def asks_for_all(words: Sequence[str]) -> bool:
    """Whether a command line has `-v` or `--verbose`, before any option is read."""
    words = words[: words.index("--")] if "--" in words else words
    return bool({"-v", "--verbose"} & set(words))


def show_notes() -> None:
    """Show each notice and each old name as one line, "Note: …", on standard error, and once."""
    for ours in (NoticeWarning, RenamedWarning):
        warnings.simplefilter("always", ours)
    before, seen = warnings.showwarning, set[str]()

    def show(
        message: Warning | str, category: type[Warning], *where: object, **rest: object
    ) -> None:
        if not issubclass(category, (NoticeWarning, RenamedWarning)):
            before(message, category, *where, **rest)  # type: ignore[arg-type]
        elif not is_quiet() and str(message) not in seen:
            seen.add(str(message))
            print(f"Note: {message}", file=sys.stderr)

    warnings.showwarning = show
