"""Keras → ONNX.

`keras.Model.export(format="onnx")` (Keras 3.15, TensorFlow 2.21) silently wrote networks that
normalise by the batch's own statistics. Tracing `model(x, training=False)` through tf2onnx does
not, and every export is compared with Keras on real inputs all the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import CROP_PX
from leukoscope.errors import MissingExtraError, ModelError
from leukoscope.inference.model import METADATA_KEY, OUTPUTS, Classifier
from leukoscope.inference.novelty import Novelty
from leukoscope.io.files import move_into_place
from leukoscope.records import ModelMetadata

__all__ = ["MAX_DIFFERENCE", "export_onnx"]

MAX_DIFFERENCE = 1e-4
"""Largest difference of any probability between Keras and the export."""

_MAX_SHARE = 0.01  # by which a novelty may differ: it is held to a limit, not read as a number
_OPSET = 17


def export_onnx(
    model: Any,
    novelty: Novelty,
    path: Path,
    metadata: ModelMetadata,
    crops: UInt8Array,
    expected: npt.NDArray[np.float64],
) -> float:
    """Write a Keras model as ONNX, if it answers as Keras does.

    Args:
        model: keras.Model with the TensorFlow backend: uint8 crops in, probability out.
        novelty: of its features, 1 at the limit; becomes the second output.
        path: of the .onnx file.
        metadata: kept in the file, see `records`.
        crops: uint8 (n, 225, 225, 3), at least 200 of them where the data has so many.
        expected: float64 (n, 2), what Keras says of them: probability and novelty.

    Returns:
        The largest difference of any probability.

    Raises:
        ModelError: a probability differs by more than 1e-4, or a novelty by more than 1%; no file
            is written.
        MissingExtraError: tf2onnx is not installed.
    """
    with move_into_place(path) as part:
        part.write_bytes(_convert(model, novelty, metadata))
        gap = np.abs(Classifier(part).predict_batch(crops) - expected)
        difference = float(gap[:, 0].max(initial=0))
        share = float((gap[:, 1] / np.maximum(expected[:, 1], 1)).max(initial=0))
        if not (difference < MAX_DIFFERENCE and share < _MAX_SHARE):
            raise ModelError(
                f"{path.name}: the exported network differs from Keras by {difference:.2g} in a "
                f"probability (at most {MAX_DIFFERENCE} is allowed) and by {share:.2%} in a "
                f"novelty (at most {_MAX_SHARE:.0%}), so it was not written. "
                "Install the versions of keras, tensorflow and tf2onnx that the run names."
            )
    return difference


def _convert(model: Any, novelty: Novelty, metadata: ModelMetadata) -> bytes:
    try:
        import onnx
        import tensorflow as tf
        import tf2onnx

        from leukoscope.models import add_novelty
    except ImportError as error:
        raise MissingExtraError("tf2onnx with TensorFlow", "train") from error
    signature = [tf.TensorSpec((None, CROP_PX, CROP_PX, 3), tf.uint8, name="crops")]
    whole = add_novelty(model, novelty.kernel, novelty.bias)

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def traced(crops: Any) -> dict[str, Any]:
        return dict(zip(OUTPUTS, whole(crops, training=False), strict=True))

    proto, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=_OPSET)
    onnx.helper.set_model_props(proto, {METADATA_KEY: metadata.to_json()})
    return bytes(proto.SerializeToString())
