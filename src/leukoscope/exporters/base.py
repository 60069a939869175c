"""The exporter interface, and the comparison with Keras that every export must pass.

A new one is one module here that sets EXPORTER, or a user's own by import path; `leukoscope export`
and `lk.export` use it then. Training writes ONNX the same way, for the one engine that predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leukoscope.arrays import UInt8Array
from leukoscope.errors import LeukoscopeError, ModelError, SettingsError
from leukoscope.inference.novelty import Novelty
from leukoscope.io.files import move_into_place
from leukoscope.records import ModelMetadata
from leukoscope.registry import Registry

__all__ = [
    "EXPORTERS",
    "MAX_DIFFERENCE",
    "MAX_SHARE",
    "Exporter",
    "compute_share",
    "export_model",
    "find_exporter",
]

MAX_DIFFERENCE = 1e-4
"""Largest difference of any probability between Keras and the export."""

MAX_SHARE = 0.01
"""Share by which a novelty may differ: it is held to a limit, not read as a number."""


@dataclass(frozen=True)
class Exporter:
    """One export format.

    Attributes:
        name: of the format, shown to users.
        suffix: of its files, such as ".onnx".
        convert: (keras.Model, novelty, metadata) → the bytes of a file that predicts
            probability and novelty and holds the metadata.
        answer: (file, uint8 crops (n, 225, 225, 3)) → float64 (n, 2), probability and novelty, by
            the runtime that users will use.
    """

    name: str
    suffix: str
    convert: Callable[[Any, Novelty, ModelMetadata], bytes]
    answer: Callable[[Path, UInt8Array], npt.NDArray[np.float64]]


EXPORTERS = Registry[Exporter]("export format", "leukoscope.exporters", "EXPORTER")
"""Each in its own module here, or a user's own by import path."""


def find_exporter(name: str) -> Exporter:
    """The exporter of a name or an import path.

    Raises:
        SettingsError: there is none, or it is not an `Exporter` whose suffix begins with a dot.
    """
    found = EXPORTERS.find(name)
    if not isinstance(found, Exporter):
        raise SettingsError(
            f"The export format {name} is of type {type(found).__name__}. Expected an Exporter of "
            "leukoscope.exporters."
        )
    if not found.suffix.startswith("."):
        raise SettingsError(
            f"The export format {name} has the suffix {found.suffix!r}. Expected one that begins "
            'with a dot, such as ".onnx".'
        )
    return found


def export_model(
    exporter: Exporter,
    model: Any,
    novelty: Novelty,
    path: Path,
    metadata: ModelMetadata,
    crops: UInt8Array,
    expected: npt.NDArray[np.float64],
) -> float:
    """Write a Keras model in another format, if its predictions agree with those of Keras.

    Args:
        exporter: from `find_exporter`.
        model: keras.Model with the TensorFlow backend: uint8 crops in, probability out.
        novelty: of its features, 1 at the limit; becomes the second output.
        path: of the file.
        metadata: kept in the file, see `records`.
        crops: uint8 (n, 225, 225, 3), at least 200 of them where the data has so many.
        expected: float64 (n, 2), Keras's probability and novelty of them; NaN for a novelty that
            is not to be compared.

    Returns:
        The largest difference of any probability.

    Raises:
        ModelError: a probability differs by 1e-4 or more, or a novelty by 1% or more; no file is
            written.
        SettingsError: the exporter fails, or gives something else than it should.
        MissingExtraError: a package of the exporter is not installed.

    Example:
        export_model(find_exporter("onnx"), model, novelty, path, metadata, crops, expected)
    """
    with move_into_place(path) as part:
        part.write_bytes(_convert(exporter, model, novelty, metadata))
        gap = np.abs(_answer(exporter, part, crops) - expected)
        difference = float(gap[:, 0].max(initial=0))
        share = compute_share(gap[:, 1], expected[:, 1])
        if not (difference < MAX_DIFFERENCE and share < MAX_SHARE):
            raise ModelError(
                f"{path.name}: the exported network ({exporter.name}) differs from Keras by "
                f"{difference:.2g} in a probability (less than {MAX_DIFFERENCE} is allowed) and by "
                f"{share:.2%} in a novelty (less than {MAX_SHARE:.0%}), so it was not written. "
                "Install the versions of keras and the other packages that run.json names."
            )
    return difference


def compute_share(gap: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> float:
    """The largest difference of a novelty, as a share of it, or of 1 where it is less.

    Args:
        gap: float64 (n,), the differences.
        expected: float64 (n,); where it is NaN, none is expected.
    """
    known = ~np.isnan(expected)
    return float((gap[known] / np.maximum(expected[known], 1)).max(initial=0))


def _convert(exporter: Exporter, model: Any, novelty: Novelty, metadata: ModelMetadata) -> bytes:
    with _blame(exporter, "convert", "the bytes of a file"):
        found = exporter.convert(model, novelty, metadata)
        if not isinstance(found, bytes):
            raise TypeError(f"it returned {type(found).__name__}")
        return found


def _answer(exporter: Exporter, path: Path, crops: UInt8Array) -> npt.NDArray[np.float64]:
    with _blame(exporter, "answer", f"an array ({len(crops)}, 2), probability and novelty"):
        found = np.asarray(exporter.answer(path, crops), np.float64)
        if found.shape != (len(crops), 2):
            raise ValueError(f"it returned an array {found.shape}")
        return found


@contextmanager
def _blame(exporter: Exporter, function: str, expected: str) -> Iterator[None]:
    """What an exporter raises, which may be anything, becomes one sentence."""
    try:
        yield
    except LeukoscopeError:
        raise
    except Exception as error:
        raise SettingsError(
            f"The export format {exporter.name}: its `{function}` failed ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:300]}). Expected {expected}; fix the exporter, or "
            "install what it needs."
        ) from error
