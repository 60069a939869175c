"""A line that counts, where somebody looks: in a terminal or a notebook, never in a pipe."""

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
def show_progress(title: str, wanted: bool | None = None) -> Iterator[Callable[[int, int], None]]:
    """Give a callback (done, total) that keeps one line on standard error up to date.

    Args:
        title: what is counted.
        wanted: whether to show it; where somebody looks, if left out.
    """
    shown = is_interactive() if wanted is None else wanted
    last = 0.0
    drawn = False

    def update(done: int, total: int) -> None:
        nonlocal last, drawn
        now = time.monotonic()
        if shown and (done == total or now - last >= _EVERY):
            last, drawn = now, True
            show_line(f"{title}: {done:,} of {total:,}")

    try:
        yield update
    finally:
        if drawn:
            sys.stderr.write("\n")
            sys.stderr.flush()


def show_line(words: str) -> None:
    """Write over the line that stands."""
    sys.stderr.write(f"\r{words[:_WIDTH]:<{_WIDTH}}")
    sys.stderr.flush()
