"""Crops → probabilities, calls and warnings, by ONNX Runtime; used by all other packages."""
