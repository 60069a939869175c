"""A seed → a simulated cohort on disk in the Kaggle layout, with true labels and planted faults."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
from sklearn.metrics import roc_auc_score

from leukoscope.errors import FULL_DISK, DataError
from leukoscope.io.tables import write_table
from leukoscope.notices import SIMULATED_FILE
from leukoscope.simulate.draw import LATENTS, photograph_cell
from leukoscope.simulate.faults import plant_faults
from leukoscope.simulate.plan import CellFile, CohortSettings, check_settings, plan_files
from leukoscope.simulate.prepare import UInt8Array, prepare_cell

__all__ = ["Cohort", "draw_cells", "open_cohort", "simulate_cohort"]

_DEFAULT = CohortSettings()
_TEXT: dict[str, Any] = dict.fromkeys(("image", "subject", "other"), str)


@dataclass(frozen=True)
class Cohort:
    """The cohort as written.

    Attributes:
        root: the folder, laid out as Kaggle's C-NMC.
        truth: a row a file: image, label, subject, smear, cell, fold, the latents as drawn,
            area_px (pixels of the file), best_probability (from the latents, without shortcuts).
        planted: a row a fault: kind, image, other (the second image, or empty).
        best_auc: AUC of the best probability, over the drawn cells.
        area_auc: AUC of the cell's area alone, over the same cells.
    """

    root: Path
    truth: pd.DataFrame
    planted: pd.DataFrame
    best_auc: float
    area_auc: float


def simulate_cohort(
    out: Path,
    settings: CohortSettings = _DEFAULT,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Cohort:
    """Draw a cohort into a folder.

    Args:
        out: a folder that does not exist yet, or is empty. It appears when all is written.
        settings: size, seed and faults.
        workers: threads; by default one per processor. The result does
            not depend on it.
        progress: called with the number of files written and the number to write.

    Raises:
        SettingsError: too few subjects or cells, or more faults than cells can carry.
        DataError: the folder is taken, or cannot be written.
    """
    check_settings(settings)
    files, planted = plant_faults(plan_files(settings), settings)
    with _open_folder(out) as folder:
        areas = _write_files(folder, files, workers, progress)
        truth = _list_truth(files, areas)
        write_table(folder / "planted.csv", planted)
        write_table(folder / "truth.csv", truth)
        (folder / SIMULATED_FILE).write_text(
            f"Drawn by leukoscope simulate with seed {settings.seed}; no real cell is in here.\n",
            encoding="utf-8",
        )
    return _build_cohort(out, settings, truth, planted)


def open_cohort(root: Path, settings: CohortSettings) -> Cohort | None:
    """The cohort that `simulate_cohort` wrote there with these settings; None where it is not."""
    files, _ = plant_faults(plan_files(settings), settings)
    try:
        truth, planted = [
            pd.read_csv(
                root / name, dtype=_TEXT, keep_default_na=False, float_precision="round_trip"
            )
            for name in ("truth.csv", "planted.csv")
        ]
        planned = [(file.image, file.best_probability) for file in files]
        found = list(zip(truth["image"], truth["best_probability"], strict=True))
        if found != planned or not all((root / file.image).exists() for file in files):
            return None
    except (OSError, ValueError, LookupError):
        return None
    return _build_cohort(root, settings, truth, planted)


def _build_cohort(
    root: Path, settings: CohortSettings, truth: pd.DataFrame, planted: pd.DataFrame
) -> Cohort:
    drawn = truth.iloc[: settings.cells]
    leukaemic = drawn["label"] == "leukaemic"
    return Cohort(
        root=root,
        truth=truth,
        planted=planted,
        best_auc=float(roc_auc_score(leukaemic, drawn["best_probability"])),
        area_auc=float(roc_auc_score(leukaemic, drawn["area_px"])),
    )


@contextmanager
def _open_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its name at the end, and is gone after an error."""
    try:
        taken = out.is_file() or (out.is_dir() and any(out.iterdir()))
    except OSError as error:
        raise DataError(f"{out}: cannot be read ({error.strerror}).") from error
    if taken:
        raise DataError(
            f"{out}: expected a folder that is empty or does not exist yet; "
            "it holds files. Choose another, or empty it."
        )
    folder = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        folder.mkdir(parents=True)
        yield folder
        if out.is_dir():
            out.rmdir()
        folder.rename(out)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and error.errno not in FULL_DISK:
            raise DataError(f"{out}: cannot be written ({error.strerror}).") from error
        if isinstance(error, OSError):
            error.filename = str(out)
        raise


def _write_files(
    folder: Path,
    files: list[CellFile],
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> list[int]:
    """Draw and write all files; returns the area of each cell in pixels."""
    for parent in {Path(f.image).parent for f in files}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
    areas = []
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1)
    try:
        for area in pool.map(lambda file: _write_file(folder, file), files):
            areas.append(area)
            if progress:
                progress(len(areas), len(files))
    finally:
        pool.shutdown(cancel_futures=True)
    return areas


def draw_cells(settings: CohortSettings) -> Iterator[tuple[str, UInt8Array]]:
    """Draw a cohort in memory, without faults: file name and uint8 (450, 450, 3), RGB, each.

    Raises:
        SettingsError: a number is out of its range.
    """
    check_settings(settings)
    for file in plan_files(settings):
        yield Path(file.image).name, _draw(file)


def _draw(file: CellFile) -> UInt8Array:
    return prepare_cell(photograph_cell(file.drawing, file.latents), file.preparation)


def _write_file(folder: Path, file: CellFile) -> int:
    rgb = _draw(file)
    data = cv2.imencode(".bmp", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].data
    (folder / file.image).write_bytes(data[: len(data) // 2] if file.truncated else data)
    return int(cv2.countNonZero(cv2.extractChannel(rgb, 2)))


def _list_truth(files: list[CellFile], areas: list[int]) -> pd.DataFrame:
    """One row a file."""
    return pd.DataFrame(
        {
            "image": f.image,
            "label": "leukaemic" if f.subject.leukaemic else "normal",
            "subject": f.subject.name,
            "smear": f.smear,
            "cell": f.cell,
            "fold": f.subject.fold,
            **dict(zip(LATENTS, f.latents, strict=True)),
            "area_px": area,
            "best_probability": f.best_probability,
        }
        for f, area in zip(files, areas, strict=True)
    )
