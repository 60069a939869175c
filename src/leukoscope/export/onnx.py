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
from leukoscope.errors import MissingExtraError
from leukoscope.export.base import Exporter, export_model
from leukoscope.inference.model import METADATA_KEY, OUTPUTS, Classifier
from leukoscope.inference.novelty import Novelty
from leukoscope.records import ModelMetadata

__all__ = ["EXPORTER", "export_onnx"]

_OPSET = 17


def export_onnx(
    model: Any,
    novelty: Novelty,
    path: Path,
    metadata: ModelMetadata,
    crops: UInt8Array,
    expected: npt.NDArray[np.float64],
) -> float:
    """Write a Keras model as ONNX, if its predictions agree: `export_model` for ONNX."""
    return export_model(EXPORTER, model, novelty, path, metadata, crops, expected)


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


def _answer(path: Path, crops: UInt8Array) -> npt.NDArray[np.float64]:
    return Classifier(path).predict_batch(crops)


EXPORTER = Exporter("ONNX", ".onnx", _convert, _answer)
