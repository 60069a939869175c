"""Trained Keras model → ONNX, compared with Keras before it gets its final name."""

from leukoscope.export.onnx import MAX_DIFFERENCE, export_onnx

__all__ = ["MAX_DIFFERENCE", "export_onnx"]
