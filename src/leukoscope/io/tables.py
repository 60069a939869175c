"""CSV files ↔ tables: read with one kind of error, written whole."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from leukoscope.errors import DataError
from leukoscope.io.files import describe_unreadable, move_into_place

__all__ = ["read_table", "write_table"]


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
    except (OSError, UnicodeDecodeError, EOFError, zipfile.BadZipFile) as error:
        wanted = f"a CSV with the columns {expected}"
        raise DataError(describe_unreadable(path, error, wanted)) from error
    except ValueError as error:  # among them, pandas' own
        raise DataError(
            f"{path}: expected a CSV with the columns {expected}; received a file that cannot be "
            f"parsed ({str(error).strip()})."
        ) from error
    return table


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV whole, lines ending in a line feed."""
    with move_into_place(path) as part:
        table.to_csv(part, index=False, lineterminator="\n")
