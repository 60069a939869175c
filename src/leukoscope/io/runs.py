"""A run folder ↔ its parts. The only module that knows its file names.

run.json                the resolved request: recipe, split, seed, data, versions
cells.csv               the cells used: image, label, subject, group, fold, area, row, part
history.csv             one row an epoch of each part
predictions.csv         out-of-fold cells, as `predictions` documents
parts/NAME/             one fold: its network (model.keras, model.onnx), part-history.csv, and
                        outputs.csv, the raw outputs of the evaluated cells; checkpoint.npz
                        while it trains
model.keras, model.onnx the network trained on all the cells, calibrated; its part-history.csv
evaluation/             what `leukoscope evaluate` wrote: metrics.json, report.html, model-card.md
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leukoscope.errors import DataError, RunError
from leukoscope.io.files import read_text, write_text
from leukoscope.records import RunRecord

if TYPE_CHECKING:  # a taken folder is refused before anything heavy loads
    pass

__all__ = [
    "FINAL",
    "Part",
    "Run",
    "check_folder",
    "create_run",
    "find_predictions",
    "open_run",
    "write_json",
]

FINAL = "final"
"""Name of the part that is trained on all cells and evaluated on none."""


@dataclass(frozen=True)
class Part:
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
        return self.folder / "part-history.csv"

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

    def find_part(self, name: str) -> Part:
        """One part's files; those of the final network are in the run folder itself."""
        return Part(self.folder if name == FINAL else self.folder / "parts" / name)

    def find_model(self) -> Path:
        """The ONNX file of the final network.

        Raises:
            RunError: the run made no final network.
        """
        path = self.find_part(FINAL).onnx
        if not path.exists():
            raise RunError(
                f"{self.folder}: this run has no final model (it was cross-validation only, or has "
                "not ended). Finish it, or name one file, such as "
                f"{self.folder / 'parts'}/…/model.onnx."
            )
        return path

    def read_record(self) -> RunRecord:
        """The content of run.json.

        Raises:
            RunError: it cannot be read, or is not such a record.
        """
        text = read_text(self.record, "the record of a run", RunError)
        return RunRecord.from_json(text, str(self.record))

    def write_record(self, record: RunRecord) -> None:
        """Write run.json, whole."""
        write_text(self.record, record.to_json())


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
    if check_folder(folder, resume=resume):
        _check_same(run, record)
        return run
    try:
        folder.mkdir(parents=True, exist_ok=True)
        run.write_record(record)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror}).") from error
    return run


def check_folder(folder: Path, *, resume: bool) -> bool:
    """Whether there is a run to continue; fast, so that it can be checked first.

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
        RunError: the folder is not a run, or not all of its folds are trained.
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
    return run.predictions


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, whole."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
