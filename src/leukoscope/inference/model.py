"""Crops → probabilities, by ONNX Runtime: the only forward pass outside training.

The network takes uint8 crops and has two outputs, float32 (n, 1): `probability`, of leukaemic, and
`novelty`, the distance from the training cells in units of the one that 5% of the cells of unseen
people exceed. A model file is an ONNX network with one JSON text in its metadata, under the key
"leukoscope":

    format       4
    classes      ["normal", "leukaemic"], the order of the codes 0 and 1
    crop_px      225, side of the uint8 RGB crops that it takes
    threshold    the probability from which a cell is called leukaemic
    sensitive_threshold  the same, chosen so that 95% of the leukaemic cells are found
    conformal_lower  the probability from which leukaemic is in the prediction set
    conformal_upper    the probability up to which normal is in it
    calibration  slope and intercept that the last layer's logit was given, for the record
    recipe       name of the recipe
    fingerprint  of the training data
    expected     what to expect on new people: scores with intervals, in words and numbers
    subjects     the line on the mean logit of a person's cells, as `summarise.SubjectLine`, and how
                 calls of subjects did on new people; null where it is not known
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import CROP_PX
from leukoscope.errors import ModelError
from leukoscope.inference.decision import Decision
from leukoscope.labels import LABELS
from leukoscope.machine import count_workers

__all__ = ["FORMAT", "METADATA_KEY", "OUTPUTS", "Classifier", "find_shipped_model"]

FORMAT = 4
METADATA_KEY = "leukoscope"
OUTPUTS = ("probability", "novelty")

_BATCH = 8  # as fast as 32 on CPUs, in a third of the memory
_DECIDED = ("threshold", "sensitive_threshold", "conformal_lower", "conformal_upper")


class Classifier:
    """A network that is ready to answer.

    Attributes:
        metadata: the JSON object above.
        decision: thresholds, and when a call is sure.
    """

    def __init__(self, path: Path) -> None:
        """Load a model file.

        Raises:
            ModelError: no such file, not one of ours, or of another format.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = count_workers()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises classes of its own for each fault
            raise ModelError(
                f"{path}: not a model file that can be read. Expected a model.onnx that "
                "`leukoscope train` wrote."
            ) from error
        self.metadata: dict[str, Any] = _read_metadata(self._session, path)
        self.decision = Decision(**{name: float(self.metadata[name]) for name in _DECIDED})
        self._input = self._session.get_inputs()[0].name

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
            crops: uint8 (n, 225, 225, 3), RGB, as `pixels.cut_crop` cuts them.

        Returns:
            float64 (n,), 0 to 1. A crop's answer does not depend on the others.
        """
        return self.answer(crops)[:, 0]

    def answer(self, crops: UInt8Array) -> npt.NDArray[np.float64]:
        """As `predict`, with the novelty: float64 (n, 2)."""
        found = [np.zeros((0, 2))]
        for start in range(0, len(crops), _BATCH):
            batch = {self._input: np.asarray(crops[start : start + _BATCH])}
            found.append(np.hstack(self._session.run(list(OUTPUTS), batch)))
        return np.concatenate(found)


def _read_metadata(session: Any, path: Path) -> dict[str, Any]:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    try:
        metadata = json.loads(text or "")
        fits = metadata["classes"] == list(LABELS) and metadata["crop_px"] == CROP_PX
        fits &= {output.name for output in session.get_outputs()} >= set(OUTPUTS)
        same_format = metadata["format"] == FORMAT
        complete = not same_format or all(float(metadata[name]) >= 0 for name in _DECIDED)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: an ONNX file, but not a Leukoscope model. Expected a model.onnx that "
            "`leukoscope train` wrote."
        ) from error
    if not (fits and same_format and complete):
        raise ModelError(
            f"{path}: a model of format {metadata['format']} with {metadata['crop_px']} px crops. "
            f"Expected format {FORMAT} with {CROP_PX} px; train it again, or use the version of "
            "leukoscope that wrote it."
        )
    return dict(metadata)


def find_shipped_model() -> Path:
    """The model that comes with the package.

    Raises:
        ModelError: the package was installed without it.
    """
    path = Path(str(resources.files("leukoscope") / "shipped" / "default.onnx"))
    if not path.exists():
        raise ModelError(
            "This installation has no model of its own. Give one with --model RUN, or reinstall."
        )
    return path
