"""Crops → what a frozen backbone makes of them, computed once and kept beside the crops."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from leukoscope.arrays import UInt8Array
from leukoscope.catalogue import Catalogue
from leukoscope.io.digests import keep_whole
from leukoscope.io.files import move_into_place
from leukoscope.models import BACKBONES, build_model, cut_features
from leukoscope.registry import is_import_path
from leukoscope.settings import ModelSettings, Recipe

__all__ = ["compute_features", "read_features"]

_FORMAT = 1
_BATCH = 16


def compute_features(
    recipe: Recipe, crops: UInt8Array, progress: Callable[[int, int], None] | None = None
) -> npt.NDArray[np.float32]:
    """What the untrained part of a frozen recipe makes of every crop of the store.

    Args:
        recipe: its network's weights are the pretrained ones.
        crops: the store, uint8 (n, 225, 225, 3).
        progress: called with (done, total).

    Returns:
        float32 (n, features).
    """
    model = cut_features(build_model(recipe.model))
    found = []
    for start in range(0, len(crops), _BATCH):
        batch = np.asarray(crops[start : start + _BATCH])
        found.append(np.asarray(model.predict_on_batch(batch), np.float32))
        if progress:
            progress(min(start + _BATCH, len(crops)), len(crops))
    return np.concatenate(found)


def read_features(
    recipe: Recipe, catalogue: Catalogue, progress: Callable[[int, int], None] | None = None
) -> npt.NDArray[np.float32]:
    """Features of all crops, computed once for a backbone and kept beside the crops.

    Args:
        recipe: one with a frozen backbone.
        catalogue: of the crops.
        progress: called with (done, total) while they are computed.

    Returns:
        float32 (n, features), rows as in the catalogue.
    """
    model = dataclasses.replace(recipe.model, hidden=0, dropout=0.0)
    key = f"{_FORMAT} {model} {_hash_own_code(model)}".strip()
    path = catalogue.folder / f"features-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"

    def make() -> None:
        features = compute_features(recipe, catalogue.crops, progress)
        with move_into_place(path) as part, part.open("wb") as file:
            np.save(file, features)

    keep_whole(path, make)
    return np.asarray(np.load(path))


def _hash_own_code(model: ModelSettings) -> str:
    """Of the module of a user's own backbone, whose features change with its code; else ""."""
    if not is_import_path(model.architecture):
        return ""
    source = sys.modules[BACKBONES.find(model.architecture).__module__].__file__
    return hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else ""
