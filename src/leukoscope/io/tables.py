"""CSV files ↔ tables: read with one kind of error, written whole, without formulas."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from leukoscope.errors import DataError
from leukoscope.io.files import move_into_place, read_bytes
from leukoscope.io.formulas import defuse, restore

__all__ = ["parse_table", "read_table", "write_table"]


_SEPARATORS = (",", ";", "\t")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[ \t]*\r?\n')  # the first, in spreadsheets


def read_table(
    path: Path,
    expected: str,
    *,
    text: Collection[str] | None = None,
    numbers: Collection[str] = (),
    known: Iterable[str] = (),
) -> pd.DataFrame:
    """Read a CSV, as `parse_table`. Raises DataError also where there is no such file."""
    data = read_bytes(path, f"a CSV with the columns {expected}")
    return parse_table(data, str(path), expected, text=text, numbers=numbers, known=known)


def parse_table(
    data: bytes,
    name: str,
    expected: str,
    *,
    text: Collection[str] | None = None,
    numbers: Collection[str] = (),
    known: Iterable[str] = (),
) -> pd.DataFrame:
    """Parse a CSV as programs and spreadsheets write them.

    UTF-8 or UTF-16; commas, semicolons or tabs between entries, and with the latter two also
    commas in numbers; blank rows are left out.

    Args:
        data: the file.
        name: of the file, for errors.
        expected: its columns, in words, for errors.
        text: columns that stay text, an empty entry as ""; by default all. Others become numbers
            where all of their entries are.
        numbers: columns of numbers whose empty entries are NaN.
        known: columns that are also found in upper case or between blanks.

    Raises:
        DataError: not a CSV, or a column twice.
    """
    try:
        words = data.decode("utf-16" if data[:2] in _UTF16 else "utf-8-sig")
        separator = _find_separator(words)
        table = _parse(words, separator, known)
    except (csv.Error, ValueError) as error:  # pandas' own among them
        raise DataError(
            f"{name}: expected a CSV in UTF-8 with the columns {expected}; received a file that "
            f"cannot be parsed ({str(error).strip()})."
        ) from error
    twice = [column for column, times in Counter(table.columns).items() if times > 1]
    if twice:
        raise DataError(f"{name}: the column {twice[0]} is there twice. Expected each once.")
    for column in table.columns:
        if text is None or column in text:
            table[column] = table[column].map(restore)
        else:
            table[column] = _to_numbers(table[column], column in numbers, comma=separator != ",")
    return table.rename(columns=restore)


def _find_separator(text: str) -> str:
    first, _, _ = text.partition("\n")
    if told := _SEPARATOR_LINE.match(text):
        return told[1]
    return max(_SEPARATORS, key=re.sub(r'"[^"]*"', "", first).count)


def _parse(text: str, separator: str, known: Iterable[str]) -> pd.DataFrame:
    """All entries as text, without blank rows."""
    told = _SEPARATOR_LINE.match(text)
    stream = io.StringIO(text[told.end() if told else 0 :], newline="")
    header = next((row for row in csv.reader(stream, delimiter=separator) if any(row)), None)
    if header is None:
        raise pd.errors.EmptyDataError("it is empty")
    spelled = {column.casefold(): column for column in known}
    names = [spelled.get(column.strip().casefold(), column.strip()) for column in header]
    table: pd.DataFrame = pd.read_csv(
        stream,
        sep=separator,
        header=None,
        names=range(len(names)),
        index_col=False,
        dtype=str,
        keep_default_na=False,
    )
    table = table[~(table.isna() | (table == "")).all(axis=1)].fillna("")
    return table.set_axis(names, axis=1).reset_index(drop=True)


def _to_numbers(entries: pd.Series, may_be_empty: bool, *, comma: bool) -> pd.Series:
    """Text → numbers where all entries are; else text."""
    points = entries.str.replace(",", ".", regex=False) if comma else entries
    found = pd.to_numeric(points.replace("", "nan") if may_be_empty else points, errors="coerce")
    empty = entries.str.strip().str.lower().isin(["nan", *([""] if may_be_empty else [])])
    is_text = (found.isna() & ~empty).any() or (empty.all() and not may_be_empty)
    return entries.map(restore) if is_text else found


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV whole, lines ending in a line feed, formulas defused."""
    changed = table.copy(deep=False)
    for name in changed.columns:
        if not pd.api.types.is_numeric_dtype(changed[name]):
            changed[name] = changed[name].map(_defuse_entry)
    with move_into_place(path) as part:
        changed.rename(columns=_defuse_entry).to_csv(part, index=False, lineterminator="\n")


def _defuse_entry(entry: Any) -> Any:
    return defuse(entry) if isinstance(entry, str) else entry
