"""Probabilities ↔ the predictions table, the only input of evaluation.

One row is one cell. Columns:

    image             name of the image
    subject           the person's name in the data set, as text ("07" stays "07")
    label             the true label: "leukaemic" or "normal"
    probability       of leukaemic, 0 to 1

and, where known:

    cell              names the cell within the image; "" where the image is the cell. Image and
                      cell together are unique in the table
    group             the person: subjects joined because they share a cell; default: the subject
    fold              the fold in which the cell was held out (`part` is read as `fold`); folds are
                      held out in turn, so a person in two of them was seen in training
    split             name of the split
    threshold         the probability from which the cell is called leukaemic, chosen on other
                      people; default 0.5
    sensitive_threshold  the same, chosen so that 95% of the leukaemic cells are found
    conformal_call         leukaemic or normal where the other class is ruled out, else uncertain
    novelty           how far the cell lies from the training cells; beyond 1 it is novel
    context_probability  of leukaemic, from all cells of the subject together
    context_threshold  the probability from which the cell is called leukaemic so
    leaky             whether the network that scored the cell was trained on its person, or on
                      the same pixels under another name
    area              pixels of the crop that the cell covers
    area_probability  of leukaemic from the area alone, fitted on the training subjects
    area_threshold    the probability from which the area alone calls a cell leukaemic
    pixel_hash        hash of the decoded pixels, to find one cell under two names

Other columns are kept. Names of version 0.1 (`sure_call`) are read too, and another program's table
may have its own, where `columns` says which are ours. The table is renamed and checked once, on
input: `read_predictions` for a file, `normalise_predictions` for a table in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from leukoscope.datasets.cnmc import CNMC
from leukoscope.datasets.registry import parse_known_name
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError
from leukoscope.io.tables import read_table, write_table
from leukoscope.labels import LABELS, LEUKAEMIC, NORMAL, parse_label

__all__ = [
    "check_predictions",
    "normalise_answers",
    "normalise_labels",
    "normalise_predictions",
    "read_answers",
    "read_predictions",
    "rename_columns",
    "set_threshold",
    "write_predictions",
]

_REQUIRED = ("image", "subject", "label", "probability")
_THRESHOLDS = ("threshold", "sensitive_threshold", "area_threshold", "context_threshold")
_TEXT = (
    *("image", "cell", "subject", "label", "group", "fold", "part", "split", "leaky", "pixel_hash"),
    "conformal_call",
)
_SHARES = ("probability", "area_probability", "context_probability", *_THRESHOLDS)
_RENAMED = {"sure_call": "conformal_call", "part": "fold"}
"""Columns of version 0.1, and other words for ours → ours."""
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def read_predictions(path: Path, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read a CSV of predictions, bring it to the columns above and check it.

    Args:
        path: the CSV.
        columns: column names of the CSV: our name → its name.

    Raises:
        DataError: no such file, not a CSV, a column that it does not have, or as
            `check_predictions`.
    """
    table = _read_csv(path, columns)
    try:
        return normalise_predictions(table)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _read_csv(path: Path, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    theirs = dict(columns or {})
    text = {theirs.get(column, column): str for column in (*_TEXT, *_RENAMED)}
    numbers = {theirs.get(column, column): [""] for column in (*_SHARES, "area", "novelty")}
    table = read_table(path, ", ".join(_REQUIRED), dtype=text, na_values=numbers)
    try:
        return rename_columns(table, theirs)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def rename_columns(table: pd.DataFrame, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Rename columns to ours: those that `columns` maps, then those of version 0.1.

    Args:
        table: not changed.
        columns: our name → its name in the table; takes the place of one that bears our name.

    Raises:
        DataError: a column that the table does not have.
    """
    columns = columns or {}
    missing = [theirs for theirs in columns.values() if theirs not in table]
    if missing:
        raise DataError(
            f"No column {missing[0]!r}. Expected one of "
            f"{_list_few([str(column) for column in table.columns])}."
        )
    meant = {ours: table[theirs] for ours, theirs in columns.items()}
    table = table.drop(columns=list(set(columns.values()))).assign(**meant)
    return table.rename(
        columns={old: new for old, new in _RENAMED.items() if old in table and new not in table}
    )


def read_answers(
    path: Path,
    threshold: float | None = None,
    columns: Mapping[str, str] | None = None,
    spec: DatasetSpec | None = None,
) -> pd.DataFrame:
    """Read any CSV with probabilities, with labels or without, such as `leukoscope predict` writes.

    Rows of images that could not be read are dropped. A missing subject is taken from the image's
    name; rows without one are dropped, and their number is in `attrs["without_subject"]`.

    Args:
        path: a CSV with image and probability, and where known subject, label, group, fold, call,
            threshold.
        threshold: probability from which a cell counts as called leukaemic; by default from the
            column call, else the column threshold, else 0.5.
        columns: column names of the CSV: our name → its name.
        spec: of the data set, for subjects in the images' names; default: C-NMC's.

    Returns:
        The columns above (label only where the file has it), and called: bool.

    Raises:
        DataError: no such file, not a CSV, no subject to be found, or as `check_predictions`.
    """
    return normalise_answers(_read_csv(path, columns), threshold, spec, str(path))


def normalise_answers(
    table: pd.DataFrame,
    threshold: float | None = None,
    spec: DatasetSpec | None = None,
    name: str = "table",
) -> pd.DataFrame:
    """As `read_answers`, of a table in memory, which is left as it is; `name` is for errors."""
    table = rename_columns(table)
    if not {"image", "probability"} <= set(table.columns):
        raise DataError(
            f"{name}: expected the columns image and probability (and where known subject, label, "
            f"group, fold); received {_list_few([str(c) for c in table.columns])}."
        )
    if "call" in table:
        table = table[table["probability"].notna() | table["call"].isin(LABELS)]
    if table.empty:
        raise DataError(f"{name}: no cell with a probability. Expected one row a cell.")
    if "subject" in table:
        whose = table["subject"].astype(str).str.strip() != ""
    else:
        whose = table["image"].map(lambda image: parse_known_name(str(image), spec) is not None)
    if not whose.any():
        raise DataError(
            f"{name}: the cells have no subject. Expected a column subject, or names like "
            f"{_describe_names(spec)}; received {table['image'].iloc[0]!r}. "
            "Add the column, or rename the files."
        )
    without, table = int((~whose).sum()), table[whose]
    unlabelled = "label" not in table
    try:
        table = normalise_predictions(table.assign(label=NORMAL) if unlabelled else table, spec)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    if threshold is None and "call" in table and table["call"].isin(LABELS).all():
        called = table["call"] == LEUKAEMIC
    else:
        called = table["probability"] >= set_threshold(table, threshold)["threshold"]
    found = table.drop(columns="label" if unlabelled else []).assign(called=called)
    found.attrs["without_subject"] = without
    return found


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Check a table and write it as CSV; a reader never sees half a file. Raises `DataError`."""
    check_predictions(table)
    write_table(path, table)


def normalise_predictions(table: pd.DataFrame, spec: DatasetSpec | None = None) -> pd.DataFrame:
    """Bring a table to the names, classes and types above, then check it.

    A missing subject is taken from the image's name, as `spec` or C-NMC has them.

    Returns:
        A new table; the one received is not changed.

    Raises:
        DataError: as `check_predictions`.
    """
    table = rename_columns(table.reset_index(drop=True).copy())
    if "subject" not in table and "image" in table:
        names = [parse_known_name(str(image), spec) for image in table["image"]]
        if names and all(names):
            table["subject"] = [name.subject for name in names if name]
    _check_columns(table)
    table["label"] = normalise_labels(table["label"])
    for column in ("image", "cell", "subject", "group", "fold", "split"):
        if column in table:
            table[column] = table[column].astype(str).where(table[column].notna(), "")
    for column in (*_SHARES, "area", "novelty"):
        if column in table:
            table[column] = _to_numbers(table, column)
    if "leaky" in table:
        table["leaky"] = _to_flags(table["leaky"])
    check_predictions(table)
    return table


def set_threshold(table: pd.DataFrame, threshold: float | None) -> pd.DataFrame:
    """Give every row a threshold: the one received, else the row's own, else 0.5."""
    if threshold is None and "threshold" in table:
        return table
    return table.assign(threshold=0.5 if threshold is None else threshold)


def normalise_labels(labels: pd.Series) -> pd.Series:
    """Bring all/hem, leukemic/healthy and 1/0, in any case, to "leukaemic"/"normal".

    Raises:
        DataError: another class, with the values seen.
    """
    known = labels.map(parse_label)
    if bool(known.isna().any()):
        unknown = sorted(set(labels.astype(str)[known.isna()]))
        raise DataError(
            "Column label: expected leukaemic or normal (also all/hem, 1/0); "
            f"received {_list_few([repr(word) for word in unknown])}."
        )
    return known


def check_predictions(table: pd.DataFrame) -> None:
    """Check a table against the contract at the top of this module.

    Tables of one class, and of no rows, pass: evaluation reports what they leave undefined.

    Raises:
        DataError: missing columns, unknown classes, empty or repeated names, or a probability
            that is not a number from 0 to 1, each with the first row at fault.
    """
    _check_columns(table)
    unknown = sorted(set(table["label"].astype(str)) - set(LABELS))
    if unknown:
        raise DataError(
            f"Column label: expected {LEUKAEMIC} or {NORMAL}; "
            f"received {_list_few([repr(word) for word in unknown])}."
        )
    for column in ("image", "subject", "group"):
        if column in table:
            words = table[column].astype(str).str.strip()
            _check_rows(table, column, table[column].notna() & (words != ""), "a name")
    key = [column for column in ("image", "cell") if column in table]
    _check_rows(table, "image", ~table.duplicated(key), f"every {' and '.join(key)} once")
    probabilities = _to_numbers(table, "probability")
    _check_rows(table, "probability", probabilities.between(0, 1), "a number from 0 to 1")
    for column in ("threshold", "sensitive_threshold"):
        if column in table:
            fine = _to_numbers(table, column).between(0, 1)
            _check_rows(table, column, fine, "a number from 0 to 1")
    for column in ("area_probability", "area_threshold", "context_probability"):
        if column in table:
            shares = _to_numbers(table, column)
            fine = shares.isna() | shares.between(0, 1)
            _check_rows(table, column, fine, "a number from 0 to 1")
    if "area" in table:
        areas = _to_numbers(table, "area")
        _check_rows(table, "area", areas.isna() | areas.between(0, 1e9), "pixels, 0 or more")


def _describe_names(spec: DatasetSpec | None) -> str:
    known = {named.naming: None for named in (spec, CNMC) if named and named.naming}
    return " or ".join(known)


def _check_columns(table: pd.DataFrame) -> None:
    missing = [column for column in _REQUIRED if column not in table]
    if missing:
        hint = (
            f" A subject is read from names like {CNMC.naming} only."
            if missing == ["subject"]
            else ""
        )
        raise DataError(
            f"Expected the columns {', '.join(_REQUIRED)}; "
            f"received {_list_few([str(c) for c in table.columns]) or 'none'} "
            f"(missing: {', '.join(missing)}).{hint}"
        )


def _check_rows(table: pd.DataFrame, column: str, fine: pd.Series, expected: str) -> None:
    faults = (~fine.to_numpy(dtype=bool)).nonzero()[0]
    if len(faults):
        first = int(faults[0])
        row = table.iloc[first]
        more = f" ({len(faults)} such rows)" if len(faults) > 1 else ""
        raise DataError(
            f"Column {column}: expected {expected}; received {str(row[column])!r} "
            f"in row {first + 1} (image {str(row['image'])!r}){more}."
        )


def _to_numbers(table: pd.DataFrame, column: str) -> pd.Series:
    """Numbers as float64; a word that is no number raises, an empty entry is NaN."""
    numbers = pd.to_numeric(table[column], errors="coerce").astype("float64")
    words = table[column].notna() & numbers.isna()
    _check_rows(table, column, ~words, "a number")
    return numbers


def _to_flags(flags: pd.Series) -> pd.Series:
    known = flags.astype(str).str.strip().str.lower().map(_FLAGS)
    if bool(known.isna().any()):
        raise DataError(
            "Column leaky: expected true or false; "
            f"received {_list_few(sorted(set(flags.astype(str)[known.isna()])))}."
        )
    return known.astype(bool)


def _list_few(words: list[str], limit: int = 8) -> str:
    return ", ".join(words[:limit]) + (f" and {len(words) - limit} more" if words[limit:] else "")
