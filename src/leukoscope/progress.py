"""A progress line on standard error, in a terminal or a notebook, never in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["is_interactive", "show_line", "show_progress"]

_EVERY = 0.1  # seconds
_WIDTH = 78


def is_interactive() -> bool:
    """Whether standard error is a terminal, or a notebook's output."""
    if "ipykernel" in sys.modules and "IPython" in sys.modules:
        return True
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def show_line(wanted: bool | None = None) -> Iterator[Callable[[str, bool], None]]:
    """Give a callback (words, last) that keeps one line on standard error up to date.

    Args:
        wanted: whether to show it; by default in terminals and notebooks. Updates within a tenth
            of a second of the previous are not shown, unless they are the last.
    """
    shown = is_interactive() if wanted is None else wanted
    before: float | None = None

    def show(words: str, last: bool) -> None:
        nonlocal before
        now = time.monotonic()
        if shown and (last or before is None or now - before >= _EVERY):
            before = now
            sys.stderr.write(f"\r{words[:_WIDTH]:<{_WIDTH}}")
            sys.stderr.flush()

    try:
        yield show
    finally:
        if before is not None:
            sys.stderr.write("\n")
            sys.stderr.flush()


@contextmanager
def show_progress(title: str, wanted: bool | None = None) -> Iterator[Callable[[int, int], None]]:
    """Give a callback (done, total) that keeps a line "title: done of total" up to date."""
    with show_line(wanted) as show:
        yield lambda done, total: show(f"{title}: {done:,} of {total:,}", done == total)
