"""Keras → ONNX.

`keras.Model.export(format="onnx")` (Keras 3.15, TensorFlow 2.21) silently wrote networks that
normalise by the batch's own statistics. Tracing `model(x, training=False)` through tf2onnx does
not, and every export is compared with Keras on real inputs all the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leukoscope.errors import MissingExtraError, ModelError
from leukoscope.files import move_into_place
from leukoscope.inference import METADATA_KEY, Classifier
from leukoscope.pixels import CROP_PX, UInt8Array

__all__ = ["MAX_DIFFERENCE", "export_onnx"]

MAX_DIFFERENCE = 1e-4
"""Largest difference of any probability between Keras and the export."""

_OPSET = 17


def export_onnx(
    model: Any,
    path: Path,
    metadata: dict[str, Any],
    crops: UInt8Array,
    expected: npt.NDArray[np.float64],
) -> float:
    """Write a Keras model as ONNX, if it answers as Keras does.

    Args:
        model: keras.Model with the TensorFlow backend: uint8 crops in, probability out.
        path: of the .onnx file.
        metadata: kept in the file, as `inference` documents.
        crops: uint8 (n, 225, 225, 3), at least 200 of them where the data has so many.
        expected: float64 (n,), what Keras says of them, computed in float64.

    Returns:
        The largest difference of any probability.

    Raises:
        ModelError: the export differs by more than 1e-4; no file is written.
        MissingExtraError: tf2onnx is not installed.
    """
    with move_into_place(path) as part:
        part.write_bytes(_convert(model, metadata))
        found = Classifier(part).predict(crops)
        difference = float(np.abs(found - expected).max(initial=0))
        if not difference < MAX_DIFFERENCE:
            raise ModelError(
                f"{path.name}: the exported network differs from Keras by {difference:.2g} in a "
                f"probability (at most {MAX_DIFFERENCE} is allowed), so it was not written. "
                "Install the versions of keras, tensorflow and tf2onnx that the run names."
            )
    return difference


def _convert(model: Any, metadata: dict[str, Any]) -> bytes:
    try:
        import onnx
        import tensorflow as tf
        import tf2onnx
    except ImportError as error:
        raise MissingExtraError("tf2onnx with TensorFlow", "train") from error
    signature = [tf.TensorSpec((None, CROP_PX, CROP_PX, 3), tf.uint8, name="crops")]
    traced = tf.function(lambda crops: model(crops, training=False), input_signature=signature)
    proto, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=_OPSET)
    onnx.helper.set_model_props(proto, {METADATA_KEY: json.dumps(metadata)})
    return bytes(proto.SerializeToString())
