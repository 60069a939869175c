"""A run folder ↔ its files. The only module that knows their names.

run.json                the resolved request: recipe, split, seed, data, versions
cells.csv               the cells used: image, label, subject, group, official_fold (of the data
                        set, "" where it has none), fold (in which the cell is held out), area, row
history.csv             one row an epoch of each network; fold is its fold, or "final"
predictions.csv         out-of-fold cells, as `predictions` documents
folds/NAME/             one fold: its network (model.keras, model.onnx), network-history.csv, and
                        outputs.csv, the raw outputs of the evaluated cells; checkpoint.npz
                        while it trains
model.keras, model.onnx the network trained on all the cells, calibrated; its network-history.csv
evaluation/             what `leukoscope evaluate` wrote: metrics.json, report.html, model-card.md
exports/                what `leukoscope export` wrote
SHA256SUMS              digests of the tables and networks, as `sha256sum --check` reads them

Runs from before 0.2 are read too: their folds are parts/part_0, …, their column of folds is `part`,
the official folds of their cells.csv are `fold`, and a network's history is part-history.csv.

Every reader here says in one `RunError` which file is damaged and what to do; see `report_damage`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leukoscope.errors import DataError, LeukoscopeError, RunError
from leukoscope.io.digests import differs_from_sum, write_sum
from leukoscope.io.files import read_text, write_text
from leukoscope.io.formulas import restore
from leukoscope.io.locks import check_free
from leukoscope.records import RunRecord

if TYPE_CHECKING:  # a taken folder is refused before anything heavy loads
    import pandas as pd

__all__ = [
    "FINAL",
    "NETWORK_HISTORY",
    "OLD_HISTORY",
    "Network",
    "Run",
    "check_folder",
    "create_run",
    "find_predictions",
    "has_run",
    "open_run",
    "read_run_table",
    "report_damage",
    "write_json",
]

FINAL = "final"
"""Name of the network that is trained on all cells and evaluated on none."""

_AGAIN = (
    "Put it back from a copy, or delete it and continue the run with "
    "`resume`, which writes it again."
)
_CELLS: dict[str, type] = dict.fromkeys(("image", "label", "subject", "group", "fold"), str) | {
    "row": int
}
NETWORK_HISTORY: dict[str, type] = {
    **{"epoch": int, "loss": float, "validation_loss": float, "validation_auc": float},
    **{"learning_rate": float, "seconds": float, "images_per_second": float},
}
"""Columns of a network's history."""

OLD_HISTORY = {"stop_loss": "validation_loss", "stop_auc": "validation_auc"}
"""Columns of a history before version 0.2 → now."""


@dataclass(frozen=True)
class Network:
    """Paths of one network's files."""

    folder: Path

    @property
    def keras(self) -> Path:  # noqa: D102
        return self.folder / "model.keras"

    @property
    def onnx(self) -> Path:  # noqa: D102
        return self.folder / "model.onnx"

    @property
    def checkpoint(self) -> Path:  # noqa: D102
        return self.folder / "checkpoint.npz"

    @property
    def history(self) -> Path:  # noqa: D102
        old = self.folder / "part-history.csv"
        return old if old.exists() else self.folder / "network-history.csv"

    @property
    def outputs(self) -> Path:  # noqa: D102
        return self.folder / "outputs.csv"


@dataclass(frozen=True)
class Run:
    """Paths within one run folder."""

    folder: Path

    @property
    def record(self) -> Path:  # noqa: D102
        return self.folder / "run.json"

    @property
    def cells(self) -> Path:  # noqa: D102
        return self.folder / "cells.csv"

    @property
    def history(self) -> Path:  # noqa: D102
        return self.folder / "history.csv"

    @property
    def predictions(self) -> Path:  # noqa: D102
        return self.folder / "predictions.csv"

    @property
    def evaluation(self) -> Path:  # noqa: D102
        return self.folder / "evaluation"

    @property
    def exports(self) -> Path:  # noqa: D102
        return self.folder / "exports"

    def find_network(self, name: str) -> Network:
        """The files of a fold's network; those of the final one are in the run folder itself."""
        if name == FINAL:
            return Network(self.folder)
        old = self.folder / "parts" / _name_before(name)
        return Network(old if old.exists() else self.folder / "folds" / name)

    def read_history(self) -> pd.DataFrame:
        """One row an epoch of each network: its fold, epoch, loss and more.

        Raises:
            RunError: the file is missing or damaged.
        """
        return read_run_table(self.history, {"fold": str, **NETWORK_HISTORY})

    def read_cells(self) -> pd.DataFrame:
        """The cells used, as at the top of this module.

        Raises:
            RunError: the file is missing or damaged.
        """
        return read_run_table(self.cells, _CELLS, rows=self.read_record().data.cells)

    def find_model(self) -> Path:
        """The ONNX file of the final network.

        Raises:
            RunError: the run made no final network.
        """
        path = self.find_network(FINAL).onnx
        if not path.exists():
            folds = self.folder / ("parts" if (self.folder / "parts").exists() else "folds")
            raise RunError(
                f"{self.folder}: this run has no final model (it was cross-validation only, or has "
                f"not ended). Finish it, or name one file, such as {folds}/…/model.onnx."
            )
        return path

    def read_record(self) -> RunRecord:
        """The content of run.json.

        Raises:
            RunError: it cannot be read, or is not such a record.
        """
        wanted = "a run.json that `leukoscope train` wrote; put it back from a copy, or train again"
        text = read_text(self.record, wanted, RunError)
        return RunRecord.from_json(text, str(self.record))

    def write_record(self, record: RunRecord) -> None:
        """Write run.json, whole."""
        write_text(self.record, record.to_json())

    @contextmanager
    def keep_digest(self, path: Path) -> Iterator[None]:
        """Within it, a file of the run is written; then its digest is kept, for `report_damage`."""
        name = path.relative_to(self.folder).as_posix()
        write_sum(self.folder, name, None)  # the old one, lest a kill leaves it with a new file
        yield
        write_sum(self.folder, name, path)


def create_run(folder: Path, record: RunRecord, *, resume: bool) -> Run:
    """Create the folder of a run, or resume one that was begun with the same settings.

    Args:
        folder: of the run.
        record: the run's settings and data; becomes run.json.
        resume: continue an existing run.

    Raises:
        RunError: the folder is not empty, and `resume` is false or it is another run.
    """
    run = Run(folder)
    if has_run(folder, resume=resume):
        _check_same(run, record)
        return run
    try:
        folder.mkdir(parents=True, exist_ok=True)
        run.write_record(record)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror}).") from error
    return run


def check_folder(folder: Path, *, resume: bool) -> None:
    """Refuse a folder that no run can be made or continued in; fast, as a command's first act.

    Raises:
        RunError: somebody writes to it, or as `has_run`.
    """
    check_free(folder)
    has_run(folder, resume=resume)


def has_run(folder: Path, *, resume: bool) -> bool:
    """Whether there is a run to continue.

    Raises:
        RunError: the folder holds something else, or a run and `resume` is false.
    """
    if not folder.exists() or (folder.is_dir() and not _is_taken(folder)):
        return False
    if not Run(folder).record.exists():
        raise RunError(f"{folder}: not empty, and not a run. Choose another `out`.")
    if not resume:
        raise RunError(
            f"{folder}: a run is there already. Continue it with `resume`, or choose another `out`."
        )
    return True


def _is_taken(folder: Path) -> bool:
    """Whether it holds more than the leftovers of a killed writer."""
    return any(not item.name.startswith(".") for item in folder.iterdir())


def _check_same(run: Run, record: RunRecord) -> None:
    """Refuse to continue a run with what is not its own; measured limits may differ."""
    began = run.read_record()
    before, now = began.data.read, record.data.read
    if before and now:
        for name in (field.name for field in fields(before) if field.compare):
            was, wanted = getattr(before, name), getattr(now, name)
            if was != wanted:
                raise RunError(_describe_other(run, f"{name} ({was!r}, not {wanted!r})"))
    record = replace(record, data=replace(record.data, read=before))
    for name in ("recipe", "split", "seed", "data"):
        if getattr(began, name) != getattr(record, name):
            raise RunError(_describe_other(run, name))
    for name in ("reader", "crop", "name_pattern"):
        if getattr(began.dataset, name) != getattr(record.dataset, name):
            raise RunError(_describe_other(run, name))


def _describe_other(run: Run, name: str) -> str:
    return (
        f"{run.folder}: the run there was begun with another {name} (see its run.json). Continue "
        "it with the same, or choose another `out`."
    )


def open_run(folder: Path) -> Run:
    """Open an existing run.

    Raises:
        RunError: the folder is not a run.
    """
    run = Run(folder)
    if not run.record.exists():
        raise RunError(f"{folder}: not a run of `leukoscope train` (it holds no run.json).")
    return run


def find_predictions(path: Path) -> Path:
    """The predictions of a run, or the table itself.

    Raises:
        DataError: no such file.
        RunError: the folder is not a run, not all of its folds are trained, or its table is
            damaged.
    """
    if not path.exists():
        raise DataError(f"{path}: no such run or table. Check the path.")
    if not path.is_dir():
        return path
    run = open_run(path)
    if not run.predictions.exists():
        raise RunError(
            f"{path}: not all folds are trained yet. Continue the run: train again with `resume`."
        )
    folds = run.read_record().split.folds
    _check_predictions(run.predictions, sum(fold.evaluated for fold in folds))
    return run.predictions


def _check_predictions(path: Path, cells: int) -> None:
    """Refuse predictions of which something is missing; without pandas, as a command's first act.

    Raises:
        RunError: a column, a row or a value is missing or no longer what it was.
    """
    columns = ("image", "subject", "label", "probability")
    expected = f"a CSV of {cells:,} cells with the columns {', '.join(columns)}"
    with report_damage(path, expected, _AGAIN):
        rows = _read_rows(path)
        if len(rows) != cells:
            raise ValueError(f"{len(rows):,} cells")
        _check_columns(columns, rows[0])
        for number, row in enumerate(rows, start=1):
            named = all(row[name] for name in columns)
            if not (named and 0 <= float(row["probability"]) <= 1):
                raise ValueError(f"row {number} without a name, or a probability from 0 to 1")


def _read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV that `write_table` wrote, as text.

    Raises:
        ValueError: it is cut off, or a row has not as many fields as the first line.
    """
    text = path.read_text("utf-8-sig")
    if not text.endswith("\n"):
        raise ValueError("a file that ends within a line" if text else "an empty file")
    lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    for number, line in enumerate(lines):
        if len(line) != len(lines[0]):
            raise ValueError(f"{len(line)} fields in row {number}, not {len(lines[0])}")
    if len(lines) < 2:
        raise ValueError("no row")
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


@contextmanager
def report_damage(path: Path, expected: str, fix: str) -> Iterator[None]:
    """Within it, a file of a run is read; whatever goes wrong becomes one sentence.

    Args:
        path: of the file.
        expected: what it should be, in words.
        fix: what to do, as a sentence.

    Raises:
        RunError: anything but a `LeukoscopeError` was raised, such as by the library that reads it;
            or the file's digest is not the one that the run keeps.

    >>> with report_damage(Path("run/cells.csv"), "a CSV", "Put it back."):
    ...     int("x")
    Traceback (most recent call last):
    leukoscope.errors.RunError: run/cells.csv: damaged. Expected a CSV; ...
    """
    try:
        if differs_from_sum(path):
            raise ValueError("other bytes than were written (by their SHA-256)")
        yield
    except (LeukoscopeError, ImportError):
        raise
    except FileNotFoundError as error:
        fix = fix.replace("delete it and ", "")
        raise RunError(f"{path}: missing. Expected {expected}. {fix}") from error
    except Exception as error:  # each library has its own
        words = " ".join(str(error).split()) or type(error).__name__
        words = words if len(words) < 200 else f"{words[:200]}…"
        if isinstance(error, KeyError):
            words = f"no {words}"
        raise RunError(f"{path}: damaged. Expected {expected}; received: {words}. {fix}") from error


def read_run_table(
    path: Path, columns: Mapping[str, type], fix: str = _AGAIN, *, rows: int | None = None
) -> pd.DataFrame:
    """Read a CSV of a run, with columns of today's names.

    Args:
        path: of the file.
        columns: that it must have → str, int, float or bool; others are kept as they are.
        fix: what to do where it is damaged, as a sentence.
        rows: how many it must have, where that is known.

    Returns:
        Text columns without NaN, float columns with NaN where a field is empty.

    Raises:
        RunError: missing, damaged, or a column or a row is not there or of another type.
    """
    import pandas as pd

    text = [name for name, kind in columns.items() if kind is str]
    text += ["fold", "part", "pixel_hash"]  # where they are there
    with report_damage(path, f"a CSV with the columns {', '.join(columns)}", fix):
        found = _read_rows(path)
        if rows is not None and len(found) != rows:
            raise ValueError(f"{len(found):,} rows, not {rows:,}")
        table: pd.DataFrame = pd.read_csv(
            path,
            dtype=dict.fromkeys(text, str),
            keep_default_na=False,
            na_values={name: [""] for name in found[0] if name not in text},
            encoding="utf-8-sig",
        )
        for name in table.columns.intersection(text):
            table[name] = table[name].map(restore)
        if "part" in table:  # before version 0.2
            table = table.rename(columns={"fold": "official_fold"}).rename(columns={"part": "fold"})
        table = table.rename(columns=OLD_HISTORY)
        _check_columns(columns, table)
        for name in (name for name, kind in columns.items() if kind is bool):
            if table[name].dtype != bool:  # pandas would take any word for true
                raise ValueError(f"column {name} is not True or False")
        return table.astype({name: kind for name, kind in columns.items() if kind is not str})


def _check_columns(columns: Iterable[str], found: Container[str]) -> None:
    missing = [name for name in columns if name not in found]
    if missing:
        raise ValueError(f"no column {', '.join(missing)}")


def _name_before(fold: str) -> str:
    """What a run from before 0.2 calls the folder of a fold."""
    dealt = re.fullmatch(r"kfold_(\d+)", fold)
    return f"part_{int(dealt[1]) - 1}" if dealt else fold


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, whole."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
