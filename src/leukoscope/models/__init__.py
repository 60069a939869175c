"""Settings → an uncompiled Keras model: uint8 crops in, probability of leukaemic out.

Cropping, averaging and scaling are its first layers, so that no caller can forget them.
"""

from __future__ import annotations

import logging
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from leukoscope.errors import MissingExtraError
from leukoscope.quiet import hold_back

try:
    with hold_back():
        import keras
except ImportError as error:
    raise MissingExtraError("Keras with TensorFlow", "train") from error

from leukoscope.models.build import (
    BACKBONES,
    Backbone,
    add_novelty,
    build_model,
    calibrate_model,
    cut_features,
    cut_head,
)

sys.dont_write_bytecode = True  # TensorFlow leaves that of code it generates in /tmp
logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of retracing, as we train

__all__ = [
    "BACKBONES",
    "Backbone",
    "add_novelty",
    "build_model",
    "calibrate_model",
    "cut_features",
    "cut_head",
    "keras",
]
