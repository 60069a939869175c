"""Options shared by several commands, and the parsing of their values."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leukoscope.arguments import RANGES
from leukoscope.errors import SettingsError

if TYPE_CHECKING:
    from leukoscope.datasets.reader import ReadOptions

__all__ = [
    "ARGUMENTS",
    "Bootstraps",
    "Classes",
    "Columns",
    "Frame",
    "Images",
    "Labels",
    "Model",
    "OperatingPoint",
    "Point",
    "Reader",
    "Seed",
    "Set",
    "SubjectFrom",
    "Threshold",
    "name_options",
    "parse_changes",
    "parse_columns",
    "read_options",
]


class OperatingPoint(StrEnum):
    """Which of a model's thresholds is used for the call."""

    BALANCED = "balanced"
    SENSITIVE = "sensitive"


_NAMED_ELSE = {
    "frame_px": "--frame",
    "groups_csv": "--groups",
    "labels_csv": "--labels",
    "resume": "--continue",
}
ARGUMENTS = _NAMED_ELSE | {
    name: f"--{name.replace('_', '-')}"
    for name in (
        *("calibrate", "classes", "columns", "device", "force", "model", "n_bootstrap"),
        *("operating_point", "out", "port", "recipe", "split", "subject_from", "threshold"),
        *("allow_host", "allow_origin", "root_path"),
    )
}
"""Argument in Python → option of the command line, for errors."""


def _limit(name: str) -> dict[str, Any]:
    """The range of an option: that of the argument in Python."""
    return {"min": RANGES[name].low, "max": RANGES[name].high}


Images = Annotated[list[Path], typer.Argument(help="Images, folders or zips.", show_default=False)]
Model = Annotated[
    Path | None, typer.Option(help="A run or model.onnx. Default: the shipped model.")
]
Point = Annotated[
    OperatingPoint,
    typer.Option(
        "--operating-point",
        help="Threshold of the call: balanced (sensitivity + specificity is largest), or "
        "sensitive (meant to find 95% of the leukaemic cells).",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        **_limit("threshold"),
        help="Probability from which a cell is leukaemic. Default: table's, or 0.5.",
    ),
]
Bootstraps = Annotated[
    int, typer.Option(**_limit("n_bootstrap"), help="Bootstrap resamples, of people.")
]
Seed = Annotated[int, typer.Option(**_limit("seed"), help="Random seed.")]
Reader = Annotated[
    str,
    typer.Option(
        help="Layout of the data: cnmc, folders, table_csv, your own as package.module:name, or "
        "auto, which detects it."
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", help="CSV with the columns image, label and, where known, subject."),
]
SubjectFrom = Annotated[
    str,
    typer.Option(
        metavar="folder:N|PATTERN",
        help="Where subjects are in the images' paths: folder:1 is the first folder, folder:-1 "
        "the one that holds the image; or a regular expression with one group.",
        show_default=False,
    ),
]
Classes = Annotated[
    str,
    typer.Option(
        metavar="WORD=CLASS,…",
        help="The data's own words for the classes, such as Early=leukaemic,Benign=normal.",
        show_default=False,
    ),
]
Frame = Annotated[
    int | None,
    typer.Option(
        "--frame",
        **_limit("frame_px"),
        help="Side in pixels of the central square that holds the cell. Default: measured.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="OURS=THEIRS,…",
        help="Column names of the CSV, such as image=filename,probability=prob_all.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting of the recipe, such as training.epochs=3. May be repeated.",
    ),
]


def parse_columns(text: str | None) -> dict[str, str]:
    """`image=filename,probability=prob` → our name → the name in the file.

    Raises:
        SettingsError: not of this form.
    """
    found = {}
    for pair in (text or "").split(","):
        ours, mark, theirs = (word.strip() for word in pair.partition("="))
        if text and not (mark and ours and theirs):
            raise SettingsError(
                f"--columns {text}: {pair.strip()!r} is not a pair. Expected OURS=THEIRS, such as "
                "image=filename,probability=prob_all."
            )
        if ours:
            found[ours] = theirs
    return found


def parse_changes(pairs: Iterable[str] | None) -> dict[str, Any]:
    """`training.epochs=3` → key → value, written as in a recipe file; quotes may be left out.

    Raises:
        SettingsError: a pair without "=".
    """
    found = {}
    for pair in pairs or ():
        key, mark, text = (word.strip() for word in pair.partition("="))
        if not (mark and key):
            raise SettingsError(f"--set {pair}: expected KEY=VALUE, such as training.epochs=3.")
        try:
            found[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[key] = text
    return found


def name_options(message: str) -> str:
    """An error's arguments, in backticks as in Python, as options of the command line.

    >>> name_options("Choose another `out`, or `resume`.")
    'Choose another --out, or --continue.'
    """
    return re.sub(r"`([a-z_]+)`", lambda found: ARGUMENTS.get(found[1], found[0]), message)


def read_options(
    reader: str, labels: Path | None, subject_from: str, classes: str, frame: int | None
) -> ReadOptions:
    """How to read a data set, from its options."""
    from leukoscope.datasets.reader import ReadOptions, parse_classes

    return ReadOptions(reader, labels, subject_from, parse_classes(classes), frame)
