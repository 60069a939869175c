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
    model             name of the model file that predicted: its recipe and its digest
    leaky             whether the network that scored the cell was trained on its person, or on
                      the same pixels under another name
    area              pixels of the crop that the cell covers
    area_probability  of leukaemic from the area alone, fitted on the training subjects
    area_threshold    the probability from which the area alone calls a cell leukaemic
    pixel_hash        hash of the decoded pixels, to find one cell under two names

Other columns are kept. Names of version 0.1 (`sure_call`) are read too, and another program's table
may have its own, where `columns` says which are ours. The table is renamed and checked once, on
input: `read_predictions` for a file, `normalise_predictions` for a table in memory.

A `spec` says how the data set names subjects and classes. A table without one is read by what the
known data sets have (`datasets.registry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from leukoscope.datasets.registry import (
    describe_names,
    find_claim,
    find_subject,
    list_class_words,
    parse_known_label,
)
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError
from leukoscope.io.tables import read_table, write_table
from leukoscope.labels import LABELS, LEUKAEMIC, NORMAL
from leukoscope.registry import suggest

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
    *("conformal_call", "model"),
)
_SHARES = ("probability", "area_probability", "context_probability", *_THRESHOLDS)
_RENAMED = {"sure_call": "conformal_call", "part": "fold"}
"""Columns of version 0.1, and other words for ours → ours."""
_OWN_RULE = " Name the model that predicted in `model` where its data set has a rule of its own."
_ADD_LABEL = " Add the true labels as the column label."
_OWN_WORDS = " Name the model that predicted in `model` where its data set has words of its own."
_COLUMNS = tuple(
    dict.fromkeys((*_REQUIRED, *_TEXT, *_SHARES, "area", "novelty", "call", "warnings"))
)
"""All columns that are read, by our names."""
_ROUNDING = 1e-5
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def read_predictions(
    path: Path,
    columns: Mapping[str, str] | None = None,
    spec: DatasetSpec | None = None,
) -> pd.DataFrame:
    """Read a CSV of predictions, bring it to the columns above and check it.

    Args:
        path: the CSV.
        columns: column names of the CSV: our name → its name.
        spec: of the data set, where it is known.

    Raises:
        DataError: no such file, not a CSV, a column that it does not have, or as
            `check_predictions`.
    """
    table = _read_csv(path, columns)
    try:
        return normalise_predictions(table, spec)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _read_csv(path: Path, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    theirs = dict(columns or {})
    text = [theirs.get(column, column) for column in (*_TEXT, *_RENAMED)]
    numbers = [theirs.get(column, column) for column in (*_SHARES, "area", "novelty")]
    table = read_table(
        path, ", ".join(_REQUIRED), text=text, numbers=numbers, known=[*text, *numbers]
    )
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
        DataError: a name that is none of ours, or a column that the table does not have.
    """
    columns = columns or {}
    twice = [str(column) for column in table.columns[table.columns.duplicated()]]
    if twice:
        raise DataError(f"Column {twice[0]!r} is in the table twice. Expected each column once.")
    for ours in columns:
        if ours not in _COLUMNS:
            raise DataError(
                f"Unknown column {ours!r} on the left in `columns`. Expected one of "
                f"{', '.join(_COLUMNS)}.{suggest(ours, _COLUMNS)}"
            )
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

    Rows of images that could not be read are dropped. Where no row has a subject, it is taken from
    the images' paths; rows without one are dropped, their number in `attrs["without_subject"]`.

    Args:
        path: a CSV with image and probability, and where known subject, label, group, fold, call,
            threshold.
        threshold: probability from which a cell counts as called leukaemic; by default from the
            column call, else the column threshold, else 0.5.
        columns: column names of the CSV: our name → its name.
        spec: of the data set, where it is known.

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
    table = table.assign(subject=_find_subjects(table, spec))
    whose = table["subject"] != ""
    if not whose.any():
        raise DataError(
            f"{name}: the cells have no subject. Expected a column subject{_describe_else(spec)}; "
            f"received {str(table['image'].iloc[0])!r}. Add the column, or rename the files."
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

    Where no row has a subject, it is taken from the images' paths. Words for the classes are those
    of `spec`, or of the known data sets.

    Returns:
        A new table; the one received is not changed.

    Raises:
        DataError: as `check_predictions`.
    """
    table = rename_columns(table.reset_index(drop=True).copy())
    if "image" in table and all(subjects := _find_subjects(table, spec).tolist()):
        table["subject"] = subjects
    _check_columns(table, spec)
    table["label"] = normalise_labels(table["label"], spec)
    for column in ("image", "cell", "subject", "group", "fold", "split"):
        if column in table:
            table[column] = table[column].astype(str).where(table[column].notna(), "")
    for column in (*_SHARES, "area", "novelty"):
        if column in table:
            table[column] = _to_numbers(table, column)
    for column in {*_SHARES} & {*table.columns}:  # float32 and rounding go a little beyond
        table[column] = table[column].mask(table[column].between(-_ROUNDING, 0), 0.0)
        table[column] = table[column].mask(table[column].between(1, 1 + _ROUNDING), 1.0)
    if "leaky" in table:
        table["leaky"] = _to_flags(table["leaky"])
    _check_claims(table, spec)
    check_predictions(table)
    return table


def set_threshold(table: pd.DataFrame, threshold: float | None) -> pd.DataFrame:
    """Give every row a threshold: the one received, else the row's own, else 0.5."""
    if threshold is None and "threshold" in table:
        return table
    return table.assign(threshold=0.5 if threshold is None else threshold)


def normalise_labels(labels: pd.Series, spec: DatasetSpec | None = None) -> pd.Series:
    """Bring leukemic/healthy, 1/0 and words of the data, in any case, to "leukaemic"/"normal".

    Raises:
        DataError: another class, with the values seen.
    """
    known = labels.map(lambda word: parse_known_label(word, spec))
    if bool(known.isna().any()):
        unknown = sorted(set(labels[known.isna()].map(str)))
        words = ", ".join(["1", "0", *(spec.class_words if spec else list_class_words())])
        raise DataError(
            f"Column label: expected {LEUKAEMIC} or {NORMAL} (also {words}); "
            f"received {_list_few([repr(word) for word in unknown])}."
            + ("" if spec else _OWN_WORDS)
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
    unknown = sorted(set(table["label"].map(str)) - set(LABELS))
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


def _find_subjects(table: pd.DataFrame, spec: DatasetSpec | None) -> pd.Series:
    """Of every row, as text, "" where unknown: the column's or, where it is empty, the paths'."""
    if "subject" in table:
        given = table["subject"].astype(str).where(table["subject"].notna(), "")
        if (given.str.strip() != "").any():
            return given.where(given.str.strip() != "", "")
    return table["image"].map(lambda image: find_subject(str(image), spec)).astype(str)


def _check_claims(table: pd.DataFrame, spec: DatasetSpec | None) -> None:
    """Refuse labels that most names of both classes contradict: these are exchanged."""
    claims = table["image"].map(lambda image: find_claim(str(image), spec))
    wrong = (claims != "") & (claims != table["label"])
    shares = wrong[claims != ""].groupby(table["label"]).mean()
    if len(shares) == len(LABELS) and (shares > 1 / 2).all():
        first = table[wrong].iloc[0]
        raise DataError(
            f"Column label: {wrong.sum():,} of {(claims != '').sum():,} labels contradict the "
            f"image's name, such as {first['label']} for {first['image']!r}. Expected 1 for "
            "leukaemic and 0 for normal; programs that number folders by the alphabet do not."
        )


def _describe_else(spec: DatasetSpec | None) -> str:
    names = describe_names(spec)
    return f", or names like {names}" if names else ""


def _check_columns(table: pd.DataFrame, spec: DatasetSpec | None = None) -> None:
    missing = [column for column in _REQUIRED if column not in table]
    if missing:
        names = describe_names(spec) if missing == ["subject"] else ""
        hint = f" A subject is read from names like {names} only." if names else ""
        hint += _OWN_RULE if hint and spec is None else ""
        raise DataError(
            f"Expected the columns {', '.join(_REQUIRED)}; "
            f"received {_list_few([str(c) for c in table.columns]) or 'none'} "
            f"(missing: {', '.join(missing)}).{hint}{_ADD_LABEL if missing == ['label'] else ''}"
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
            f"received {_list_few(sorted(set(flags[known.isna()].map(str))))}."
        )
    return known.astype(bool)


def _list_few(words: list[str], limit: int = 8) -> str:
    return ", ".join(words[:limit]) + (f" and {len(words) - limit} more" if words[limit:] else "")
