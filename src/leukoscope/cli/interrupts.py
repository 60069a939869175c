"""Ctrl-C: one line of ours and exit code 130, whatever is loading or running.

Loads next to nothing, as it comes before everything else.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

__all__ = [
    "INTERRUPTED",
    "accept_interrupt",
    "catch_interrupts",
    "get_way_on",
    "is_interrupted",
    "say_interrupted",
    "set_way_on",
]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

_state = {"interrupted": False, "running": False}
_words = {"way on": ""}


def catch_interrupts() -> None:
    """Handle Ctrl-C from now on, unless it is ignored, as for a command in the background."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def is_interrupted() -> bool:
    """Whether Ctrl-C was pressed: whatever a library makes of it is no error then."""
    return _state["interrupted"]


def accept_interrupt() -> None:
    """Ctrl-C was how the command is meant to end."""
    _state["interrupted"] = False


def set_way_on(words: str = "") -> None:
    """From here on a command runs; store how it can be continued when it is ended early."""
    _state["running"] = True
    _words["way on"] = words


def get_way_on() -> str:
    """How the command can be continued, as a sentence; "" where it is to be run again."""
    return _words["way on"]


def say_interrupted() -> None:
    """The line for Ctrl-C, on the terminal in any state: also while something else is printed."""
    try:
        stream = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return
    line = " ".join(filter(None, ("Interrupted.", _words["way on"])))
    try:
        os.write(stream, f"{line}\n".encode(errors="replace"))
    except OSError:
        return


def _interrupt(_: int, frame: FrameType | None) -> None:
    """End at once while libraries load, which may swallow an exception, and when asked again."""
    if _state["interrupted"] or not _state["running"] or _is_importing(frame):
        say_interrupted()
        os._exit(INTERRUPTED)
    _state["interrupted"] = True
    raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
