"""The graph around an architecture: preprocessing before it, the head after it."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import FunctionType

import keras
import numpy as np
import numpy.typing as npt

from leukoscope.cells.crop import CROP_PX
from leukoscope.errors import LeukoscopeError, SettingsError
from leukoscope.registry import Registry
from leukoscope.settings import ModelSettings

__all__ = [
    "BACKBONES",
    "Backbone",
    "add_novelty",
    "build_model",
    "calibrate_model",
    "cut_features",
    "cut_head",
]

_FEATURES, _ANSWER = "features", "probability_leukaemic"

Backbone = Callable[[keras.KerasTensor, bool], keras.KerasTensor]
"""(images, pretrained) → a feature map (batch, rows, columns, channels), or features (batch, n).

Images are float32 (batch, size, size, 3), RGB, 0 to 255, the cell on black. What is pretrained
starts from weights that are fetched or installed; a backbone without such weights ignores the flag.
"""

BACKBONES = Registry[Backbone](
    "architecture",
    "leukoscope.models",
    "BACKBONE",
    also="a network of keras.applications such as MobileNetV3Small",
)
"""Each in its own module here, or a user's own by import path."""


def build_model(settings: ModelSettings) -> keras.Model:
    """Build one network, float32 or whatever Keras's dtype policy says.

    Returns:
        A flat functional model: uint8 (batch, 225, 225, 3), RGB → float32 (batch, 1), probability
        of leukaemic.

    Raises:
        SettingsError: an architecture that does not exist, or a size that it cannot take.
        MissingExtraError: pretrained weights that are not installed.
    """
    crops = keras.Input((CROP_PX, CROP_PX, 3), dtype="uint8", name="crops")
    images = _prepare(crops, settings)
    features = _apply_backbone(settings, images)
    policy = keras.config.dtype_policy().name
    full = "float32" if policy.startswith("mixed") else policy  # the output is never rounded
    ready = len(features.shape) == 2
    if not ready:
        features = keras.layers.GlobalAveragePooling2D(dtype=full)(features)
    x = keras.layers.Activation("linear", name=_FEATURES, dtype=full)(features)
    for layer in _list_head(settings, full, standardise=ready):
        x = layer(x)
    name = re.sub(r"\W", "_", f"leukoscope_{settings.architecture}").lower()
    return keras.Model(crops, x, name=name)


def _list_head(
    settings: ModelSettings, dtype: str, *, standardise: bool
) -> list[keras.layers.Layer]:
    """The layers between the features and the output."""
    layers = keras.layers
    found: list[keras.layers.Layer] = []
    if standardise:
        found.append(
            layers.BatchNormalization(
                momentum=0.95, center=False, scale=False, name="standardise", dtype=dtype
            )
        )
    if settings.hidden:
        found += [
            layers.Dropout(settings.dropout, seed=1, name="dropout_features", dtype=dtype),
            layers.Dense(settings.hidden, activation="relu", name="hidden", dtype=dtype),
        ]
    return [
        *found,
        layers.Dropout(settings.dropout, seed=0, name="dropout", dtype=dtype),
        layers.Dense(1, activation="sigmoid", name=_ANSWER, dtype=dtype),
    ]


def cut_features(model: keras.Model) -> keras.Model:
    """The part of a network before its head: crops → features, float32 (batch, n)."""
    return keras.Model(model.input, model.get_layer(_FEATURES).output, name="features_of_crops")


def cut_head(model: keras.Model) -> keras.Model:
    """The part after the features, sharing its layers with the whole: training one trains both."""
    start = model.get_layer(_FEATURES)
    inputs = keras.Input(start.output.shape[1:])
    x = inputs
    for layer in model.layers[model.layers.index(start) + 1 :]:
        x = layer(x)
    return keras.Model(inputs, x, name="head")


def calibrate_model(model: keras.Model, slope: float, intercept: float) -> None:
    """Put a calibration into the last layer, so that it is part of the network.

    Args:
        model: from `build_model`; changed in place. Its logit becomes slope × logit + intercept.
        slope: above 0.
        intercept: added to the logit.
    """
    answer = model.get_layer(_ANSWER)
    kernel, bias = answer.get_weights()
    answer.set_weights([slope * kernel, slope * bias + intercept])


def add_novelty(
    model: keras.Model, kernel: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]
) -> keras.Model:
    """The same network with a second output: how far a crop lies from the training cells.

    Args:
        model: from `build_model`; shared, not changed.
        kernel: (features, components), as `novelty.Novelty` documents.
        bias: (components,).

    Returns:
        uint8 crops → float32 (batch, 1), probability of leukaemic; float32 (batch, 1), novelty.
    """
    features = model.get_layer(_FEATURES).output
    project = keras.layers.Dense(kernel.shape[1], name="novelty_components", dtype="float32")
    components = project(features)
    project.set_weights([kernel, bias])
    distance = keras.ops.norm(components, axis=1, keepdims=True)
    return keras.Model(model.input, [model.output, distance], name=model.name)


def _prepare(crops: keras.KerasTensor, settings: ModelSettings) -> keras.KerasTensor:
    """Central square at the input size; float, 0 to 255."""
    margin = CROP_PX - settings.crop_px
    before = margin // 2
    edges = (before, margin - before)
    x = keras.layers.Rescaling(1.0, name="to_float")(crops)
    x = keras.layers.Cropping2D((edges, edges), name="centre")(x)
    if settings.crop_px == settings.input_px:
        return x
    if settings.crop_px % settings.input_px == 0:
        return keras.layers.AveragePooling2D(settings.crop_px // settings.input_px, name="size")(x)
    return keras.layers.Resizing(settings.input_px, settings.input_px, name="size")(x)


def _apply_backbone(settings: ModelSettings, images: keras.KerasTensor) -> keras.KerasTensor:
    name = settings.architecture
    if _is_application(name):
        return _apply_keras_application(name, images, settings.pretrained)
    try:
        features = BACKBONES.find(name)(images, settings.pretrained)
    except LeukoscopeError:
        raise
    except Exception as error:  # a user's own may raise any error
        raise SettingsError(
            f"The architecture {name} cannot be built ({type(error).__name__}: {error}). Expected "
            "a function (images, pretrained) → a feature map, or features."
        ) from error
    if not isinstance(features, keras.KerasTensor) or len(features.shape) not in (2, 4):
        found = getattr(features, "shape", type(features).__name__)
        raise SettingsError(
            f"The architecture {name} gives {found}. Expected a feature map (batch, rows, columns, "
            "channels) or features (batch, n) made of its images."
        )
    return features


def _is_application(name: str) -> bool:
    return isinstance(getattr(keras.applications, name, None), FunctionType)


def _apply_keras_application(
    name: str, images: keras.KerasTensor, pretrained: bool
) -> keras.KerasTensor:
    module = keras.applications
    options = {"include_top": False, "input_tensor": images}
    try:
        backbone = getattr(module, name)(weights="imagenet" if pretrained else None, **options)
    except Exception as error:  # Keras passes on whatever its downloader raises
        raise SettingsError(
            f"The ImageNet weights of {name} could not be fetched ({type(error).__name__}). "
            "Connect to the network, or set pretrained = false in the recipe."
        ) from error
    return backbone.output
