"""All commands, and what an error becomes: one line and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from io import TextIOWrapper

import typer

from leukoscope import __version__
from leukoscope.cli import (
    aggregate,
    data,
    demo,
    evaluate,
    explain,
    export,
    predict,
    serve,
    simulate,
    train,
)
from leukoscope.cli.commands import Quiet, Verbose, add_command
from leukoscope.cli.interrupts import (
    INTERRUPTED,
    get_way_on,
    is_interrupted,
    say_interrupted,
    set_way_on,
)
from leukoscope.cli.options import name_options
from leukoscope.cli.terminal import show_kept_at_exit, silence_libraries, wants_everything
from leukoscope.cli.verbosity import asks_for_all, is_verbose, set_verbosity, show_notes
from leukoscope.errors import LeukoscopeError, describe_os_error, find_full_disk, is_of_user
from leukoscope.machine import keep_library_files

__all__ = ["app", "run"]

app = typer.Typer(
    name="leukoscope",
    help="Leukaemic or normal? Train, evaluate and use networks for single-cell images, with "
    "scores on people not seen in training. Research use only; not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data.app, name="data")
for command in (
    demo.demo,
    simulate.simulate,
    train.train,
    evaluate.evaluate,
    explain.explain,
    serve.serve,
):
    add_command(app, command)
add_command(app, export.export, writes=("out",))
add_command(app, predict.predict, writes=("out",))
add_command(app, aggregate.aggregate, writes=("out",), old_name="summarise")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"leukoscope {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    del version
    set_verbosity(quiet=quiet, verbose=verbose)


def run() -> None:
    """Run a command; a `LeukoscopeError` is one line and exit code 2, Ctrl-C one line and 130."""
    keep_library_files()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # code pages lack letters of names and tables
            stream.reconfigure(errors="backslashreplace")
    silence_libraries(verbose=wants_everything() or asks_for_all(sys.argv))
    show_notes()
    set_way_on()
    try:
        _run_app()
    except BaseException as error:
        if not is_interrupted():
            _end(error)
            raise
    if is_interrupted():  # a library may have made something else of it
        say_interrupted()
        sys.exit(INTERRUPTED)


def _run_app() -> None:
    try:
        app()
    finally:
        if not is_interrupted() and sys.stdout is not None:
            sys.stdout.flush()  # now, as Python itself would end with a notice if it fails


def _end(error: BaseException) -> None:
    """What is shown of an error; returns where Python should show it."""
    if not isinstance(error, Exception):
        return  # a command's own exit code
    if isinstance(error, BrokenPipeError):
        _drop_output()
        sys.exit(1)  # the reader of our output has gone
    full = find_full_disk(error)
    if isinstance(error, LeukoscopeError):
        _fail(name_options(str(error)))
    if full is not None:
        way_on = f". {get_way_on()}" if get_way_on() else " and run it again."
        _fail(f"{describe_os_error(full, _find_stream())} Free some space{way_on}")
    if isinstance(error, OSError):
        _fail(describe_os_error(error, _find_stream()))
    if not is_of_user(error):  # no output of libraries explains that
        show_kept_at_exit()


def _find_stream() -> str:
    """Standard output, if what was written there cannot be brought to its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _drop_output()
        return "Standard output"
    return "A file"


def _drop_output() -> None:
    """Let Python end without a notice that the rest of our output could not be written."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _fail(message: str) -> None:
    """One line and exit code 2; called while an exception is handled."""
    if is_verbose():
        import traceback

        traceback.print_exc()
    typer.secho(f"Error: {message}", fg=typer.colors.RED, err=True)
    sys.exit(2)
