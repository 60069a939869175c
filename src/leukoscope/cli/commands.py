"""Shared by commands: `--quiet`, `--verbose` and `--force`, and old names that still work."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand

from leukoscope.cli.interrupts import INTERRUPTED
from leukoscope.cli.verbosity import set_verbosity
from leukoscope.errors import warn_renamed
from leukoscope.io.files import check_new

__all__ = ["Quiet", "Verbose", "add_command", "warn_of_gone_name", "warn_of_old_name"]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show results and errors only.")]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Also show tracebacks and the output of libraries."),
]

Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]

_RENAMED = {
    "--resamples": ["--n-bootstrap"],
    "--resume": ["--continue"],
    "--sensitive": ["--operating-point", "sensitive"],
}
"""Options of version 0.1 → options now."""


class _Command(TyperCommand):
    """Takes options of version 0.1 too, with a note."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {option for parameter in self.params for option in parameter.opts}
        return super().parse_args(ctx, _rename_options(args, known))


def add_command(
    app: typer.Typer,
    function: Callable[..., None],
    *,
    writes: tuple[str, ...] = (),
    old_name: str | None = None,
) -> None:
    """Make a function a command, with `--quiet`, `--verbose` and, where it writes, `--force`.

    Args:
        app: the command is added to it.
        function: its name and parameters become those of the command.
        writes: parameters that name a file to write; one that is there is kept, unless forced.
        old_name: a hidden name that still works, with a note.
    """
    name = function.__name__.rstrip("_").replace("_", "-")
    app.command(name, cls=_Command)(_add_shared(function, writes))
    if old_name is None:
        return

    @functools.wraps(function)
    def run_by_old_name(**given: Any) -> None:
        prefix = f"{app.info.name} " if isinstance(app.info.name, str) and app.info.name else ""
        prefix = prefix.removeprefix("leukoscope ")
        warn_of_old_name(f"{prefix}{old_name}", f"{prefix}{name}")
        function(**given)

    app.command(old_name, cls=_Command, hidden=True)(_add_shared(run_by_old_name, writes))


def warn_of_old_name(old: str, new: str) -> None:
    """Warn that an old name was used; the command line shows it as one line."""
    words = f"{old} is now called {new}; the old name works until version 1.0."
    warn_renamed(words)


def warn_of_gone_name(name: str, why: str) -> None:
    """Warn that an old name has no effect any more; the command line shows it as one line."""
    words = f"{name} has no effect any more: {why}. It is accepted until version 1.0."
    warn_renamed(words)


def _add_shared(function: Callable[..., None], writes: tuple[str, ...]) -> Callable[..., None]:
    @functools.wraps(function)
    def run(
        *, quiet: bool = False, verbose: bool = False, force: bool = False, **given: Any
    ) -> None:
        set_verbosity(quiet=quiet, verbose=verbose)
        for path in () if force else filter(None, map(given.get, writes)):
            check_new(path)
        try:
            function(**given)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None  # older typers have words of their own for it

    hints = get_type_hints(function, include_extras=True)
    own = [
        parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(function).parameters.items()
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (
            *([("force", Force)] if writes else []),
            *(("quiet", Quiet), ("verbose", Verbose)),
        )
    ]
    run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *added)}
    return run


def _rename_options(args: list[str], known: set[str]) -> list[str]:
    """Old options → new ones, where the command has the new and not the old."""
    found: list[str] = []
    for place, word in enumerate(args):
        if word == "--":
            return found + args[place:]
        old, _, value = word.partition("=")
        new = _RENAMED.get(old)
        if new is None or old in known or new[0] not in known:
            found.append(word)
            continue
        warn_of_old_name(old, " ".join(new))
        found += [f"{new[0]}={value}"] if value else new
    return found
