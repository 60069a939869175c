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
from leukoscope.exporters.base import Exporter
from leukoscope.inference.model import METADATA_KEY, OUTPUTS, Classifier
from leukoscope.inference.novelty import Novelty
from leukoscope.inference.seal import seal
from leukoscope.records import ModelMetadata

__all__ = ["EXPORTER", "read_novelty"]

_OPSET = 17
_NOVELTY = "novelty_components"  # the layer that `models.add_novelty` adds


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
    return seal(proto.SerializeToString())


def _answer(path: Path, crops: UInt8Array) -> npt.NDArray[np.float64]:
    return Classifier(path).predict_batch(crops)


EXPORTER = Exporter("ONNX", ".onnx", _convert, _answer)


def read_novelty(path: Path) -> Novelty:
    """The novelty of an ONNX file that this exporter wrote: its second output's matrix and offset.

    A run keeps it nowhere else: the Keras file is the network that was trained, without it.

    Raises:
        MissingExtraError: a package is not installed.
        LookupError, ValueError: it has none.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingExtraError("onnx", "train") from error
    graph = onnx.load(path).graph
    weights = {found.name: found for found in graph.initializer}
    found = {
        node.op_type: numpy_helper.to_array(weights[name]).astype(np.float64)
        for node in graph.node
        if _NOVELTY in node.name and node.op_type in ("MatMul", "Add")
        for name in node.input
        if name in weights
    }
    return Novelty(found["MatMul"], found["Add"].ravel())
