"""Arguments of public functions, checked by their names at the door.

One word has one meaning in all functions, so one table holds what each argument may be. The command
line takes its ranges from here. Arguments of several kinds (images, model, data set, predictions)
are checked where they are told apart, with `refuse_argument`.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

from leukoscope.errors import DataError, SettingsError, describe_os_error, is_of_user

__all__ = [
    "RANGES",
    "Range",
    "check_arguments",
    "describe_value",
    "is_path",
    "refuse_argument",
    "simplify_number",
]

P = ParamSpec("P")
R = TypeVar("R")

_SHOWN = 60  # characters of a value in an error


@dataclass(frozen=True)
class Range:
    """The values that a number may have, both ends included; `high` is None where there is none."""

    low: int | float
    high: int | float | None

    def __str__(self) -> str:
        return f"{self.low} or more" if self.high is None else f"{self.low} to {self.high}"

    def holds(self, value: float) -> bool:
        """Whether a number is within; NaN never is."""
        return bool(self.low <= value and (self.high is None or value <= self.high))


RANGES = {
    "folds": Range(2, None),
    "frame_px": Range(16, 4096),
    "n_bootstrap": Range(100, 1_000_000),
    "seed": Range(0, 2**32 - 1),
    "threshold": Range(0.0, 1.0),
    "turns": Range(1, 360),
}
"""Argument → its range; a range of float takes whole numbers too."""


def is_path(value: object) -> bool:
    """Whether it is text or a path-like object that can name a file; "" and bytes cannot."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    return isinstance(text, str) and bool(text.strip()) and "\0" not in text


def _is_texts(value: object) -> bool:
    return isinstance(value, Collection) and all(isinstance(item, str) for item in value)


def _names_columns(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and _is_texts(value)
        and all(isinstance(theirs, str | int) for theirs in value.values())
    )


_PATH = ("a path, as text or Path", is_path)
_TEXT = ("text", lambda value: isinstance(value, str))
_FLAG = ("True or False", lambda value: isinstance(value, bool))
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("path", "out", "folder", "labels_csv", "groups_csv"), _PATH),
    **dict.fromkeys(("html", "json"), _PATH),
    **dict.fromkeys(
        ("reader", "subject_from", "split", "device", "operating_point", "format"), _TEXT
    ),
    **dict.fromkeys(("progress", "final", "resume"), _FLAG),
    "classes": (
        'words of the data and their classes, such as {"Early": "leukaemic"}',
        lambda value: (
            isinstance(value, Mapping) and _is_texts(value) and _is_texts(list(value.values()))
        ),
    ),
    "columns": (
        'our names of columns and those of the table, such as {"image": "filename"}',
        _names_columns,
    ),
    "scores": (
        'import paths, such as ["package.module:name"]',
        _is_texts,
    ),
    "tensorboard": (
        "a folder, or True for one in the run",
        lambda value: isinstance(value, bool) or is_path(value),
    ),
    "callbacks": (
        "functions in a list, such as [print]",
        lambda value: (
            isinstance(value, Collection)
            and not isinstance(value, str)
            and all(map(callable, value))
        ),
    ),
}
"""Argument → what it is, in words, and whether a value is that; None is for those that default to
it."""


def check_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function: each argument that this module knows is checked first.

    NumPy's numbers become Python's, so that they can be written as JSON. A file that cannot be
    written is a `DataError`; what a user's own function raises stays as it is.

    Raises:
        SettingsError: when the function is called with an argument of another type or out of
            range; it names the argument and what was expected.

    >>> @check_arguments
    ... def shuffle(seed: int = 0) -> int:
    ...     return seed
    >>> shuffle(seed=-1)
    Traceback (most recent call last):
    leukoscope.errors.SettingsError: seed = -1. Expected a whole number, 0 to 4294967295.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:  # a missing or unknown argument: Python's own error names the function
            return function(*args, **kwargs)
        for name, value in bound.arguments.items():
            if value is not None or signature.parameters[name].default is not None:
                bound.arguments[name] = _check_argument(name, value)
        try:
            return function(*bound.args, **bound.kwargs)
        except OSError as error:
            if is_of_user(error):
                raise
            raise DataError(describe_os_error(error)) from error

    return call


def refuse_argument(name: str, value: object, expected: str) -> SettingsError:
    """The error for an argument of another kind; to be raised.

    Args:
        name: of the argument.
        value: received.
        expected: in words.
    """
    return SettingsError(f"{name} = {describe_value(value)}. Expected {expected}.")


def _check_argument(name: str, value: Any) -> Any:
    if name in RANGES:
        return _check_number(name, value, RANGES[name])
    expected, fits = _KINDS.get(name, ("", None))
    if fits and not fits(value):
        raise refuse_argument(name, value, expected)
    return value


def _check_number(name: str, value: Any, limits: Range) -> int | float:
    whole = isinstance(limits.low, int)
    fits = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    if not fits or not limits.holds(value):
        words = "a whole number" if whole else "a number"
        raise refuse_argument(name, value, f"{words}, {limits}")
    return int(value) if whole else float(value)


def simplify_number(value: Any) -> Any:
    """A number of NumPy as one of Python, which JSON can hold; another value as it is."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def describe_value(value: object) -> str:
    """A value in an error: short text and numbers as they are, else its type."""
    if value is None or isinstance(value, str | bytes | bool | Real):
        text = repr(value)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"
