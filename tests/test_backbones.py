"""One contract for every architecture: built in, a user's own, or of keras.applications."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra train")

from leukoscope.arrays import UInt8Array
from leukoscope.errors import SettingsError
from leukoscope.models import BACKBONES, build_model, cut_features, cut_head, keras
from leukoscope.settings import ModelSettings, parse_recipe

pytestmark = pytest.mark.train

OWN = """
import keras

def build(images, pretrained):
    x = keras.layers.Rescaling(1 / 255)(images)
    return keras.layers.Conv2D(4, 3, 2, name="own" if pretrained else "own_untrained")(x)

def build_flat(images, pretrained):
    return keras.layers.GlobalAveragePooling2D()(images)

def build_row(images, pretrained):
    return keras.ops.mean(images, axis=2)

def build_nothing(images, pretrained):
    return None

def build_broken(images):
    return images
"""


@pytest.fixture
def own_nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_nets_of_test.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def crops() -> UInt8Array:
    """Three cells, and a black crop."""
    y, x = np.mgrid[:225, :225] - 112.0
    light = np.random.default_rng(0).uniform(60, 200, (3, 225, 225, 3))
    cells = np.where((np.hypot(x, y) < 50)[None, ..., None], light, 0)
    return np.concatenate([cells, np.zeros((1, 225, 225, 3))]).astype(np.uint8)


def build(architecture: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_model(ModelSettings(architecture=architecture, crop_px=160, input_px=80))


def predict(model: keras.Model, crops: UInt8Array) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model(crops, training=False)))


@pytest.mark.parametrize(
    "name",
    [
        *(
            pytest.param(name, marks=pytest.mark.slow) if name in ("lite0", "texture") else name
            for name in BACKBONES.names()
        ),
        "own_nets_of_test:build",
        "own_nets_of_test:build_flat",
    ],
)
def test_contract(name: str, crops: UInt8Array, own_nets: None, tmp_path: Path) -> None:
    model = build(name)
    answers = predict(model, crops)
    assert answers.shape == (4, 1) and answers.dtype == np.float32
    assert ((answers > 0) & (answers < 1)).all()  # of a black crop too
    alone = np.concatenate([predict(model, crops[row : row + 1]) for row in range(4)])
    np.testing.assert_allclose(alone, answers, atol=1e-5)  # a cell's neighbours change nothing

    features = predict(cut_features(model), crops)
    assert features.ndim == 2 and np.isfinite(features).all()
    assert not np.allclose(features[0], features[3])  # the cell is seen
    np.testing.assert_allclose(predict(cut_head(model), features), answers, atol=1e-6)

    model.compile("sgd", "binary_crossentropy")
    assert np.isfinite(model.train_on_batch(crops, np.array([[0.0], [1], [0], [1]])))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(predict(again, crops), predict(model, crops))


def test_what_is_built_in_is_found_by_its_file() -> None:
    assert BACKBONES.names() == ["compact", "lite0", "texture"]


def test_a_users_own_one_is_passed_whether_to_use_pretrained_weights(own_nets: None) -> None:
    for pretrained, layer in ((True, "own"), (False, "own_untrained")):
        model = build_model(
            ModelSettings(architecture="own_nets_of_test:build", pretrained=pretrained)
        )
        assert model.get_layer(layer)


def test_a_recipe_names_an_own_one(own_nets: None) -> None:
    recipe = parse_recipe('[model]\narchitecture = "own_nets_of_test:build"', "mine")
    assert build_model(recipe.model).name == "leukoscope_own_nets_of_test_build"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("compct", "Expected compact, lite0, texture, a network of keras.* Did you mean compact"),
        ("own_nets_of_test:build_nothing", "gives NoneType.* Expected a feature map"),
        ("own_nets_of_test:build_row", r"gives \(None, 96, 3\).* Expected a feature map"),
        ("own_nets_of_test:build_broken", r"build_broken cannot be built \(TypeError: .*argument"),
    ],
)
def test_invalid_architectures_are_refused(name: str, words: str, own_nets: None) -> None:
    with pytest.raises(SettingsError, match=words):
        build_model(ModelSettings(architecture=name))
