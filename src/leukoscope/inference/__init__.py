"""Crops → probabilities, calls and warnings, by ONNX Runtime: what all other rooms ask."""
