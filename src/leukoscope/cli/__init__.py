"""The command line: one file a command, heavy imports inside the command."""

from __future__ import annotations

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
from leukoscope.cli.options import name_options
from leukoscope.cli.terminal import show_kept_at_exit, silence_libraries, wants_everything
from leukoscope.cli.verbosity import asks_for_all, is_verbose, set_verbosity, show_notes
from leukoscope.errors import LeukoscopeError, describe_os_error
from leukoscope.machine import keep_library_files

__all__ = ["app", "main"]

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


def main() -> None:
    """Run a command; a `LeukoscopeError` is one line and exit code 2."""
    keep_library_files()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # code pages lack letters of names and tables
            stream.reconfigure(errors="backslashreplace")
    silence_libraries(verbose=wants_everything() or asks_for_all(sys.argv))
    show_notes()
    try:
        app()
    except LeukoscopeError as error:
        _fail(name_options(str(error)))
    except BrokenPipeError:
        sys.exit(1)  # the reader of our output has gone
    except OSError as error:
        _fail(describe_os_error(error))
    except Exception:
        show_kept_at_exit()
        raise


def _fail(message: str) -> None:
    """One line and exit code 2; called while an exception is handled."""
    if is_verbose():
        import traceback

        traceback.print_exc()
    typer.secho(f"Error: {message}", fg=typer.colors.RED, err=True)
    sys.exit(2)
