"""Crops → probabilities, by ONNX Runtime: the only forward pass outside training.

The network takes uint8 crops and has two outputs, float32 (n, 1): `probability`, of leukaemic, and
`novelty`, the distance from the training cells in units of the one that 5% of the cells of unseen
people exceed. A model file is an ONNX network with one JSON text in its metadata, under the key
"leukoscope": a `records.ModelMetadata`. It ends with its own digest (`seal`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # its calls go out from 1.32 on, unless this
import onnxruntime

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import CROP_PX
from leukoscope.errors import ModelError
from leukoscope.inference.seal import SEAL_KEY, has_digest, is_broken
from leukoscope.machine import count_workers
from leukoscope.records import Decision, ModelMetadata

__all__ = ["METADATA_KEY", "OUTPUTS", "Classifier", "find_shipped_model"]

METADATA_KEY = "leukoscope"
OUTPUTS = ("probability", "novelty")

_BATCH = 8  # as fast as 32 on CPUs, in a third of the memory


class Classifier:
    """A network that is ready to predict; it pickles, with the bytes of its file.

    Attributes:
        metadata: of the model file.
        name: recipe and the first eight digits of the file's SHA-256; no two files share it.
    """

    def __init__(self, path: Path) -> None:
        """Load a model file.

        Raises:
            ModelError: no such file, not a Leukoscope model, damaged, or of another format.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be read ({error.strerror}). Expected a model.onnx that "
                "`leukoscope train` wrote; check the path."
            ) from error
        self._open(data, path)

    def _open(self, data: bytes, path: Path) -> None:
        if is_broken(data):
            raise _refuse_broken(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = count_workers()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
            properties = self._session.get_modelmeta().custom_metadata_map
        except Exception as error:  # ONNX Runtime raises classes of its own for each fault
            raise ModelError(
                f"{path}: not a model file that can be read. Expected a model.onnx that "
                "`leukoscope train` wrote; put it back from a copy, or train again."
            ) from error
        if SEAL_KEY in properties and not has_digest(data):
            raise _refuse_broken(path)
        self.metadata = _read_metadata(self._session, properties, path)
        self.name = f"{self.metadata.recipe}-{hashlib.sha256(data).hexdigest()[:8]}"
        self._input = self._session.get_inputs()[0].name
        self._file = (data, path)

    def __getstate__(self) -> tuple[bytes, Path]:
        return self._file

    def __setstate__(self, state: tuple[bytes, Path]) -> None:
        self._open(*state)

    @property
    def decision(self) -> Decision:
        """Calibration, thresholds and limits of the conformal call."""
        return self.metadata.decision

    @property
    def threshold(self) -> float:
        """The probability from which a cell is called leukaemic."""
        return self.decision.threshold

    @property
    def sensitive_threshold(self) -> float:
        """The same, chosen so that 95% of the leukaemic cells are found."""
        return self.decision.sensitive_threshold

    def predict(self, crops: UInt8Array) -> npt.NDArray[np.float64]:
        """Probability of leukaemic of each crop.

        Args:
            crops: uint8 (n, 225, 225, 3), RGB, as `cells.extract` cuts them.

        Returns:
            float64 (n,), 0 to 1. A crop's probability does not depend on the others.
        """
        return self.predict_batch(crops)[:, 0]

    def predict_batch(self, crops: UInt8Array) -> npt.NDArray[np.float64]:
        """As `predict`, with the novelty: float64 (n, 2)."""
        found = [np.zeros((0, 2))]
        for start in range(0, len(crops), _BATCH):
            batch = {self._input: np.asarray(crops[start : start + _BATCH])}
            found.append(np.hstack(self._session.run(list(OUTPUTS), batch)))
        return np.concatenate(found)

    def give_memory_back(self) -> None:
        """Let go of what forward passes keep for the next ones: some 250 MB, soon taken again."""
        options = onnxruntime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        blank = np.zeros((1, CROP_PX, CROP_PX, 3), np.uint8)
        self._session.run(list(OUTPUTS), {self._input: blank}, options)


def _refuse_broken(path: Path) -> ModelError:
    return ModelError(
        f"{path}: damaged: its bytes are not those that were written (by their SHA-256). Expected "
        "a model.onnx as `leukoscope train` wrote it; put it back from a copy, or train again. The "
        "shipped one comes back when Leukoscope is installed again."
    )


def _read_metadata(session: Any, properties: Mapping[str, str], path: Path) -> ModelMetadata:
    metadata = ModelMetadata.from_json(properties.get(METADATA_KEY) or "null", str(path))
    missing = set(OUTPUTS) - {output.name for output in session.get_outputs()}
    if missing or metadata.crop_px != CROP_PX:
        raise ModelError(
            f"{path}: a model of {metadata.crop_px} px crops"
            + (f" without the output {min(missing)}" if missing else "")
            + f". Expected {CROP_PX} px crops and the outputs {' and '.join(OUTPUTS)}; train it "
            "again."
        )
    return metadata


def find_shipped_model() -> Path:
    """The shipped model.

    Raises:
        ModelError: the package was installed without it.
    """
    path = Path(str(resources.files("leukoscope") / "shipped" / "default.onnx"))
    if not path.exists():
        raise ModelError(
            "This installation has no shipped model. Give a run or an ONNX file as `model`, or "
            "install again."
        )
    return path
