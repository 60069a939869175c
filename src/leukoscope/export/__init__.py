"""Trained Keras model → exported file, compared with Keras before it gets its final name."""

from leukoscope.export.base import (
    EXPORTERS,
    MAX_DIFFERENCE,
    Exporter,
    export_model,
    find_exporter,
)
from leukoscope.export.onnx import export_onnx

__all__ = [
    "EXPORTERS",
    "MAX_DIFFERENCE",
    "Exporter",
    "export_model",
    "export_onnx",
    "find_exporter",
]
