"""The command line: one file a command, heavy imports inside the command.

interrupts what Ctrl-C does
program    all commands, and what an error becomes
terminal   the output of libraries, kept off the terminal
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leukoscope.cli.interrupts import catch_interrupts

if TYPE_CHECKING:
    from leukoscope.cli.program import app

__all__ = ["app", "main"]


def main() -> None:
    """Run a command; Ctrl-C is one line from here on, while everything else still loads."""
    catch_interrupts()
    from leukoscope.cli.program import run

    run()


def __getattr__(name: str) -> Any:
    """Load the commands on first use (PEP 562)."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from leukoscope.cli.program import app

    return app
