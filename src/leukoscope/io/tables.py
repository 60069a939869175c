"""CSV files ↔ tables: read with one kind of error, written whole.

A spreadsheet runs an entry that begins with =, +, - or @ as a formula. So text that begins with
one of these is written with an apostrophe before it, which reading takes off again (OWASP, "CSV
Injection"). Numbers are written as they are.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from leukoscope.errors import DataError
from leukoscope.io.files import move_into_place

__all__ = ["defuse", "read_table", "restore", "write_table"]

_FORMULA = re.compile(r"'*[=+\-@\t\r＝＋－＠]")  # full-width: East Asia


def defuse(text: str) -> str:
    """Text as it is written into a CSV: never a formula.

    >>> defuse("=1+1.png"), defuse("cell.png")
    ("'=1+1.png", 'cell.png')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def restore(text: str) -> str:
    """The text that `defuse` was given.

    >>> restore("'=1+1.png"), restore("'tis.png")
    ('=1+1.png', "'tis.png")
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def read_table(path: Path, expected: str, **options: Any) -> pd.DataFrame:
    """Read a CSV in UTF-8, with or without a byte order mark; an empty entry stays "".

    Args:
        path: of the file.
        expected: its columns, in words, for errors.
        options: of `pandas.read_csv`.

    Raises:
        DataError: no such file, or not a CSV.
    """
    try:
        table: pd.DataFrame = pd.read_csv(
            path, keep_default_na=False, encoding="utf-8-sig", **options
        )
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: expected a CSV with the columns {expected}; received a file that cannot be "
            f"parsed ({str(error).strip()})."
        ) from error
    return _map_text(table, restore)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV whole, lines ending in a line feed, formulas defused."""
    with move_into_place(path) as part:
        _map_text(table, defuse).to_csv(part, index=False, lineterminator="\n")


def _map_text(table: pd.DataFrame, change: Any) -> pd.DataFrame:
    """Change every text of a table, its column names too."""

    def change_text(entry: Any) -> Any:
        return change(entry) if isinstance(entry, str) else entry

    changed = table.copy(deep=False)
    for name in changed.columns:
        if not pd.api.types.is_numeric_dtype(changed[name]):
            changed[name] = changed[name].map(change_text)
    return changed.rename(columns=change_text)
