"""One contract for every export format: built in, or a user's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra train")

import onnx

from leukoscope import __version__
from leukoscope.datasets.cnmc import CNMC
from leukoscope.errors import ModelError, NoticeWarning, SettingsError
from leukoscope.exporters import EXPORTERS, export_model, find_exporter
from leukoscope.exporters.onnx import EXPORTER, read_novelty
from leukoscope.inference.model import METADATA_KEY, Classifier, find_shipped_model
from leukoscope.inference.novelty import Novelty, fit_novelty
from leukoscope.inference.seal import has_digest, is_broken
from leukoscope.labels import LABELS
from leukoscope.models import build_model, cut_features, keras
from leukoscope.records import Decision, ModelMetadata
from leukoscope.settings import ModelSettings, Recipe
from leukoscope.training.network import export_network

pytestmark = pytest.mark.train

OWN = """
import tempfile
from pathlib import Path

import keras
import numpy as np
from leukoscope.exporters import Exporter
from leukoscope.models import add_novelty

def convert(model, novelty, metadata):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        add_novelty(model, novelty.kernel, novelty.bias).save(path)
        return path.read_bytes() + metadata.to_json().encode()

def answer(path, crops):
    model = keras.saving.load_model(path, compile=False)
    return np.column_stack(model.predict_on_batch(crops)).astype(float)

def answer_wrongly(path, crops):
    return answer(path, crops) + [1e-3, 0]

keras_file = Exporter("Keras", ".keras", convert, answer)
wrong = Exporter("Wrong", ".keras", convert, answer_wrongly)
text = Exporter("Text", ".txt", lambda *given: "text", answer)
blind = Exporter("Blind", ".keras", convert, lambda path, crops: crops.mean(axis=(1, 2, 3)))
broken = Exporter("Broken", ".keras", lambda *given: 1 / 0, answer)
dotless = Exporter("Dotless", "keras", convert, answer)
"""

CROPS = np.random.default_rng(0).integers(0, 255, (8, 225, 225, 3), np.uint8)
METADATA = ModelMetadata(LABELS, 225, Decision(threshold=0.4), CNMC, "test", "", __version__)


@pytest.fixture
def own_exporters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_exporters_of_test.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained() -> tuple[keras.Model, Novelty, np.ndarray]:
    """A network, its novelty, and the outputs of Keras for CROPS."""
    keras.utils.set_random_seed(0)
    model = build_model(ModelSettings(crop_px=160, input_px=32))
    model(CROPS, training=True)
    features = np.asarray(cut_features(model).predict_on_batch(CROPS))
    novelty = fit_novelty(features[:5])
    probability = np.asarray(model.predict_on_batch(CROPS), np.float64)
    return model, novelty, np.column_stack([probability, novelty.compute(features)])


@pytest.mark.parametrize("name", [*EXPORTERS.names(), "own_exporters_of_test:keras_file"])
def test_contract(name: str, own_exporters: Path, trained: tuple) -> None:
    model, novelty, expected = trained
    exporter, out = find_exporter(name), own_exporters / "out"
    path = out / f"model{exporter.suffix}"
    difference = export_model(exporter, model, novelty, path, METADATA, CROPS, expected)
    assert exporter.name and exporter.suffix.startswith(".")
    assert difference < 1e-4 and list(out.iterdir()) == [path]
    answers = exporter.answer(path, CROPS[:3])
    assert answers.shape == (3, 2) and answers.dtype == np.float64
    np.testing.assert_allclose(answers[:, 0], expected[:3, 0], atol=1e-4)
    np.testing.assert_allclose(answers[:, 1], expected[:3, 1], rtol=1e-2)
    assert METADATA.dataset.name.encode() in path.read_bytes()  # the facts are in the file
    path.unlink()
    for wrong in ([2e-4, 0], [0, 0.5]):
        with pytest.raises(ModelError, match=f"{exporter.name}.* differs from Keras"):
            export_model(exporter, model, novelty, path, METADATA, CROPS, expected + wrong)
    assert list(out.iterdir()) == []


def test_onnx_is_built_in_and_its_novelty_can_be_read_again(tmp_path: Path, trained: tuple) -> None:
    assert "onnx" in EXPORTERS.names() and find_exporter("onnx") is EXPORTER
    model, novelty, expected = trained
    export_model(EXPORTER, model, novelty, tmp_path / "m.onnx", METADATA, CROPS, expected)
    again = read_novelty(tmp_path / "m.onnx")
    np.testing.assert_allclose(again.kernel, novelty.kernel, rtol=1e-6)
    np.testing.assert_allclose(again.bias, novelty.bias, rtol=1e-6)


def test_a_users_own_one_that_predicts_incorrectly_writes_nothing(
    own_exporters: Path, trained: tuple
) -> None:
    model, novelty, expected = trained
    exporter, path = find_exporter("own_exporters_of_test:wrong"), own_exporters / "out" / "m.keras"
    with pytest.raises(ModelError, match=r"\(Wrong\) differs from Keras by 0\.001"):
        export_model(exporter, model, novelty, path, METADATA, CROPS, expected)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text", "Text: its `convert` failed .TypeError: it returned str.*the bytes of a file"),
        ("blind", r"Blind: its `answer` failed .*array \(8,\).*Expected an array \(8, 2\)"),
        ("broken", "Broken: its `convert` failed .ZeroDivisionError"),
    ],
)
def test_a_users_own_one_that_fails_is_named(
    name: str, words: str, own_exporters: Path, trained: tuple
) -> None:
    model, novelty, expected = trained
    exporter, path = find_exporter(f"own_exporters_of_test:{name}"), own_exporters / "out" / "m"
    with pytest.raises(SettingsError, match=words):
        export_model(exporter, model, novelty, path, METADATA, CROPS, expected)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("onxn", "Unknown export format 'onxn'. Expected onnx, or your own.*Did you mean onnx"),
        ("own_exporters_of_test:dotless", "suffix 'keras'.*begins with a dot"),
        ("own_exporters_of_test:convert", "of type function. Expected an Exporter"),
    ],
)
def test_invalid_exporters_are_refused(name: str, words: str, own_exporters: Path) -> None:
    with pytest.raises(SettingsError, match=words):
        find_exporter(name)


# --- a network that learned nothing


@pytest.mark.parametrize("passed", [1e-4, 1e-2])
def test_an_unlearned_network_is_no_export_fault(passed: float, tmp_path: Path) -> None:
    """Its features are constant, or differ by what float32 rounds."""
    keras.utils.set_random_seed(0)
    settings = ModelSettings(crop_px=160, input_px=32)
    model = build_model(settings)
    for layer in model.layers:  # as training can leave them: nothing of the image gets through
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(np.full(layer.gamma.shape, passed))
            layer.beta.assign(np.full(layer.beta.shape, 0.3))
    novelty = fit_novelty(np.asarray(cut_features(model).predict_on_batch(CROPS)))
    path, recipe = tmp_path / "m.onnx", Recipe(model=settings)
    with pytest.warns(NoticeWarning, match=r"m.onnx: .* has not learned .* no meaning"):
        difference = export_network(EXPORTER, recipe, model, novelty, path, METADATA, CROPS)
    assert difference < 1e-4
    expected = np.asarray(model.predict_on_batch(CROPS)).ravel()
    assert np.allclose(Classifier(path).predict(CROPS), expected, atol=1e-5)

    path.unlink()
    wrong = replace(
        EXPORTER, answer=lambda path, crops: np.add(EXPORTER.answer(path, crops), [0.1, 0])
    )
    with pytest.raises(ModelError, match=r"0\.1 in a probability"):
        export_network(wrong, recipe, model, novelty, path, METADATA, CROPS)
    assert not path.exists()


def test_a_wrong_novelty_of_a_network_that_learned_is_refused(
    trained: tuple, tmp_path: Path
) -> None:
    model, novelty, _ = trained
    wrong = replace(EXPORTER, answer=lambda path, crops: EXPORTER.answer(path, crops) * [1, 1.2])
    recipe = Recipe(model=ModelSettings(crop_px=160, input_px=32))
    with pytest.raises(ModelError, match=r"20\.00% in a novelty"):
        export_network(wrong, recipe, model, novelty, tmp_path / "m.onnx", METADATA, CROPS)


# --- the digest of a model file


def test_every_flipped_byte_of_a_model_is_found(trained: tuple, tmp_path: Path) -> None:
    model, novelty, _ = trained
    data, path = EXPORTER.convert(model, novelty, METADATA), tmp_path / "m.onnx"
    random = np.random.default_rng(0)
    places = {*random.integers(0, len(data), 60), *range(len(data) - 165, len(data))}
    for place in places:
        found = bytearray(data)
        found[place] ^= 1 << random.integers(8)
        if is_broken(bytes(found)):
            continue
        path.write_bytes(found)  # of the seal itself, which reading finds
        with pytest.raises(ModelError, match="put it back from a copy"):
            Classifier(path)
    for place in (0, len(data) // 2):  # ONNX Runtime cannot read the first, and reads the second
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(ModelError, match=r"m.onnx: damaged: its bytes are not .* SHA-256"):
            Classifier(path)


def test_a_model_of_before_digests_is_read_as_before_and_the_shipped_one_has_one(
    trained: tuple, tmp_path: Path
) -> None:
    model, novelty, _ = trained
    data = EXPORTER.convert(model, novelty, METADATA)
    old, new = tmp_path / "old.onnx", tmp_path / "new.onnx"
    new.write_bytes(data)
    proto = onnx.load(new)
    entries = [entry for entry in proto.metadata_props if entry.key == METADATA_KEY]
    del proto.metadata_props[:]
    proto.metadata_props.extend(entries)
    old.write_bytes(proto.SerializeToString())
    assert len(old.read_bytes()) < len(data) and not is_broken(old.read_bytes())
    assert Classifier(old).metadata == Classifier(new).metadata == METADATA
    assert np.array_equal(
        Classifier(old).predict_batch(CROPS), Classifier(new).predict_batch(CROPS)
    )
    shipped = find_shipped_model().read_bytes()
    assert has_digest(shipped) and not is_broken(shipped)
