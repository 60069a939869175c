"""Image files → the packed store: every cell decoded once, then memory-mapped.

The store is a folder in the cache, one for each data folder: `crops.npy` (uint8 crops) beside
`facts.csv` (what was measured while decoding), each with its digest. It is rebuilt when an image
changes, and when it is not what was written.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import CROP_PX, find_inside
from leukoscope.cells.extract import FINDER, cut_cells
from leukoscope.cells.quality import CellQuality, measure_quality
from leukoscope.datasets.spec import CropSpec
from leukoscope.errors import DataError, warn_notice
from leukoscope.io.digests import is_whole, write_digest
from leukoscope.io.formulas import restore
from leukoscope.io.images import compute_pixel_hash, describe_surprise, try_read_image
from leukoscope.io.sources import Source, compute_stamp
from leukoscope.io.tables import write_table
from leukoscope.machine import count_workers, get_cache_folder

__all__ = ["CellStore", "Progress", "open_store"]

Progress = Callable[[int, int], None]
"""Called with (done, total)."""

_FORMAT = 7
_FILES = ("facts.csv", "crops.npy")
_SEVERAL = "{:,} cells in it, expected one cell in each image of a data set"
_DAY = 86_400
_FACTS_NUMBERS = {name: [""] for name in ("hue", "saturation", "brightness", "sharpness")}
_FACTS_TYPES: dict[str, Any] = {"image": str, "pixel_hash": str, "problem": str}


@dataclass(frozen=True)
class CellStore:
    """The packed cells of one data folder.

    Attributes:
        crops: uint8 (n, 225, 225, 3), RGB, memory-mapped; black where an image cannot be read.
        facts: one row per image in the order of `crops`: image, pixel_hash, width, height,
            problem, and the columns of `quality.CellQuality`, such as area (foreground pixels).
        folder: of the store; what is computed from the crops may be cached in it.
    """

    crops: UInt8Array
    facts: pd.DataFrame
    folder: Path


def open_store(
    root: Path,
    sources: Sequence[Source],
    crop: CropSpec,
    *,
    progress: Progress | None = None,
) -> CellStore:
    """Open the store of a data folder, packing its images first where they are new or changed.

    Args:
        root: the folder or zip that holds the sources; its path names the store.
        sources: what `list_sources` found there.
        crop: how the images become crops.
        progress: called while images are decoded.

    Raises:
        DataError: the cache folder cannot be written.
    """
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    home = get_cache_folder() / "cells" / name
    folder = home / f"{_FORMAT}.{FINDER}-{crop.frame_px}-{compute_stamp(sources)}"
    if folder.exists() and not all(is_whole(folder / file) for file in _FILES):
        warn_notice(f"{folder}: the cell store is damaged, so the images are decoded again.")
        shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        try:
            home.mkdir(parents=True, exist_ok=True)
            _pack(folder, sources, crop, progress)
        except OSError as error:
            raise DataError(
                f"{home}: the cell store cannot be written ({error.strerror or error}). It needs "
                f"{len(sources) * CROP_PX**2 * 3 / 1e9:.1f} GB; free some space or set "
                "LEUKOSCOPE_CACHE to another folder."
            ) from error
        for other in home.iterdir():
            in_work = other.name.startswith("part-") and time.time() - other.stat().st_mtime < _DAY
            if other != folder and not in_work:
                shutil.rmtree(other, ignore_errors=True)
    facts = pd.read_csv(
        folder / "facts.csv", dtype=_FACTS_TYPES, keep_default_na=False, na_values=_FACTS_NUMBERS
    )
    facts["image"] = facts["image"].map(restore)
    return CellStore(np.load(folder / "crops.npy", mmap_mode="r"), facts, folder)


def _pack(
    folder: Path, sources: Sequence[Source], crop: CropSpec, progress: Progress | None
) -> None:
    part = Path(tempfile.mkdtemp(prefix="part-", dir=folder.parent))
    try:
        facts = _fill(part / "crops.npy", sources, crop, progress)
        write_table(part / "facts.csv", pd.DataFrame(facts))
        for file in _FILES:
            write_digest(part / file)
        try:
            part.rename(folder)
        except OSError:
            if not (folder / "facts.csv").exists():  # else another process was first
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fill(
    path: Path, sources: Sequence[Source], spec: CropSpec, progress: Progress | None
) -> list[dict[str, Any]]:
    """Decode all images into the array file; its memory map is closed when this returns."""
    shape = (len(sources), CROP_PX, CROP_PX, 3)
    crops = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    _reserve(path)

    def pack(item: tuple[int, Source]) -> dict[str, Any]:
        return _pack_one(item[1], spec, crops[item[0]])

    facts = []
    with ThreadPoolExecutor(count_workers()) as pool:
        for row in pool.map(pack, enumerate(sources)):
            facts.append(row)
            if progress:
                progress(len(facts), len(sources))
    crops.flush()
    return facts


def _reserve(path: Path) -> None:
    """Allocate the disk space now: a memory map on a full disk would crash the process later."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _pack_one(source: Source, spec: CropSpec, crop: UInt8Array) -> dict[str, Any]:
    row = {"image": source.name, "pixel_hash": "", "width": 0, "height": 0}
    row |= asdict(CellQuality()) | {"problem": ""}
    rgb = try_read_image(source)
    if isinstance(rgb, str):
        return row | {"problem": rgb}
    try:
        return row | _measure(rgb, spec, crop)
    except Exception as error:  # one image never stops the rest
        crop[:] = 0
        return row | {"problem": describe_surprise(error)}


def _measure(rgb: UInt8Array, spec: CropSpec, crop: UInt8Array) -> dict[str, Any]:
    """Cut the one cell of an image into `crop`: column → what is known of it, or the problem."""
    cells = cut_cells(rgb, spec)
    if len(cells) > 1:
        return {"problem": _SEVERAL.format(len(cells))}
    crop[:] = cells[0].crop
    height, width = rgb.shape[:2]
    facts = {"pixel_hash": compute_pixel_hash(rgb), "width": width, "height": height}
    return facts | asdict(measure_quality(crop, find_inside(cells[0].box[:1:-1], spec)))
