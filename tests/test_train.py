"""Training, exact resume, export: on a few simulated cells and a tiny network."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

pytest.importorskip("keras", reason="needs the extra: pip install 'leukoscope[train]'")

import leukoscope as lk
from conftest import FAULTS
from leukoscope import __version__
from leukoscope.catalogue import Catalogue, select_usable
from leukoscope.cli import app
from leukoscope.datasets.cnmc import CNMC
from leukoscope.datasets.reader import ReadOptions
from leukoscope.errors import DataError, DiskFullError, ModelError, RunError, SettingsError
from leukoscope.exporters import export_model, find_exporter
from leukoscope.inference.decision import calibrate
from leukoscope.inference.model import Classifier
from leukoscope.inference.novelty import fit_novelty
from leukoscope.io.locks import lock_folder
from leukoscope.io.runs import OLD_HISTORY, Run, find_predictions, open_run
from leukoscope.labels import LABELS
from leukoscope.models import build_model, calibrate_model, cut_features, cut_head, keras
from leukoscope.models.device import count_threads
from leukoscope.records import Decision, ModelMetadata
from leukoscope.settings import ModelSettings, Recipe, TrainingSettings, read_recipe
from leukoscope.simulate import Cohort, CohortSettings, open_cohort
from leukoscope.splits import choose_stopping
from leukoscope.training.batches import compute_weights, draw_order, iterate_batches
from leukoscope.training.loop import (
    EpochReport,
    build_schedule,
    predict_exactly,
    predict_with_keras,
    run_keras,
    train_model,
)
from leukoscope.workflow import demonstration
from leukoscope.workflow.evaluation import evaluate_predictions
from leukoscope.workflow.prediction import predict_images
from leukoscope.workflow.training import TrainingRequest, train_run
from test_exporters import OWN

pytestmark = pytest.mark.train

ONNX = find_exporter("onnx")

SLOW_TEXTURE = pytest.param("texture", marks=pytest.mark.slow)
SLOW_LITE0 = pytest.param("lite0", marks=pytest.mark.slow)
SLOW_MOBILENET = pytest.param("MobileNetV3Small", marks=pytest.mark.slow)

TINY = """
[model]
crop_px = 160
input_px = 32

[training]
epochs = 3
batch_size = 16
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY)
    return path


FROZEN = """
[model]
architecture = "texture"
crop_px = 160
input_px = 64
hidden = 8

[training]
freeze_backbone = true
epochs = 3
batch_size = 16
"""


@pytest.fixture(scope="module")
def frozen_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "frozen.toml"
    path.write_text(FROZEN)
    return path


@pytest.fixture(scope="module")
def frozen_run(
    cohort: Cohort, frozen_recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("run") / "frozen"
    train_run(TrainingRequest(cohort.root, out, frozen_recipe, folds=2))
    return out


@pytest.fixture(scope="module")
def run_folder(cohort: Cohort, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    train_run(TrainingRequest(cohort.root, out, recipe, folds=2))
    return out


# --- batches


def test_weights_balance_classes_and_people_as_set() -> None:
    table = pd.DataFrame(
        {
            "label": ["leukaemic"] * 90 + ["normal"] * 10,
            "group": ["a"] * 80 + ["b"] * 10 + ["c"] * 10,
        }
    )
    for balance, share in ((0.0, 80 / 90), (1.0, 0.5)):
        weights = pd.Series(compute_weights(table, balance))
        assert weights.sum() == pytest.approx(1)
        sick = weights[table["label"] == "leukaemic"].sum()
        assert sick == pytest.approx(0.5)
        assert weights[table["group"] == "a"].sum() / sick == pytest.approx(share)


def test_an_epoch_draws_every_cell_about_as_often_as_its_weight_says() -> None:
    weights = np.array([0.5, 0.25, 0.125, 0.125])
    counts = np.bincount(draw_order(weights, 0, 0, 80), minlength=4)
    assert np.abs(counts - 80 * weights).max() <= 1
    assert not np.array_equal(draw_order(weights, 0, 0, 80), draw_order(weights, 0, 1, 80))
    assert np.array_equal(draw_order(weights, 0, 1, 80), draw_order(weights, 0, 1, 80))


def test_batches_have_the_correct_labels(catalogue: Catalogue) -> None:
    table = select_usable(catalogue)
    order = draw_order(compute_weights(table, 1.0), 0, 0)
    off = Recipe().augment
    batches = list(iterate_batches(catalogue.crops, table, order, off, batch=16, seed=0, epoch=0))
    assert len(batches) == len(table) // 16
    labels = np.concatenate([labels for _, labels in batches]).ravel()
    expected = (table["label"].to_numpy()[order] == "leukaemic")[: len(labels)]
    assert np.array_equal(labels, expected.astype(np.float32))
    assert all(crops.dtype == np.uint8 and crops.any() for crops, _ in batches)


# --- the network

CROPS = np.random.default_rng(0).integers(0, 255, (8, 225, 225, 3), np.uint8)


def build_lively(name: str) -> keras.Model:
    """An untrained network with another batch's statistics, whose outputs spread over 0 to 1."""
    keras.utils.set_random_seed(0)
    model = build_model(ModelSettings(name, crop_px=160, input_px=64, pretrained=False))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(255 - CROPS[::-1] // 2, training=True)  # keeps the statistics of these, not of CROPS
    features = keras.Model(model.input, model.get_layer("dropout").output)
    last = model.get_layer("probability_leukaemic")
    logits = np.asarray(features.predict_on_batch(CROPS)) @ np.asarray(last.kernel)
    last.kernel.assign(np.asarray(last.kernel) / logits.std())
    last.bias.assign([-logits.mean() / logits.std()])
    return model


@pytest.mark.parametrize("name", ["compact", SLOW_LITE0, SLOW_TEXTURE, SLOW_MOBILENET])
def test_every_architecture_builds_and_survives_saving(name: str, tmp_path: Path) -> None:
    model = build_lively(name)
    before = np.asarray(model.predict_on_batch(CROPS))
    assert before.shape == (8, 1) and np.ptp(before) > 0.2
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True, compile=False)
    assert np.array_equal(np.asarray(again.predict_on_batch(CROPS)), before)


@pytest.mark.parametrize("name", ["compact", SLOW_LITE0, SLOW_TEXTURE, SLOW_MOBILENET])
def test_every_architecture_exports_in_agreement_with_keras(name: str, tmp_path: Path) -> None:
    model = build_lively(name)
    recipe = Recipe(model=ModelSettings(name, crop_px=160, input_px=64))
    expected = predict_exactly(recipe, model, CROPS, np.arange(8))
    assert np.ptp(expected) > 0.1
    features = run_keras(cut_features(model), CROPS, np.arange(8))
    novelty = fit_novelty(features[:5])
    answers = np.column_stack([expected, novelty.compute(features)])
    difference = export_model(
        ONNX, model, novelty, tmp_path / "m.onnx", build_metadata(), CROPS, answers
    )
    assert difference < 1e-4
    classifier = Classifier(tmp_path / "m.onnx")
    alone = np.vstack([classifier.predict_batch(CROPS[n : n + 1]) for n in range(8)])
    assert np.allclose(alone[:, 0], expected, atol=1e-5)
    assert np.allclose(alone[:, 1], answers[:, 1], rtol=1e-2)
    assert (
        classifier.predict(CROPS[:2]).tolist() == classifier.predict_batch(CROPS[:2])[:, 0].tolist()
    )


def build_metadata() -> ModelMetadata:
    decision = Decision(
        threshold=0.5, sensitive_threshold=0.3, conformal_lower=0.2, conformal_upper=0.8
    )
    return ModelMetadata(LABELS, 225, decision, CNMC, "test", "", __version__)


@pytest.mark.parametrize("name", ["compact", SLOW_LITE0])
def test_the_reference_in_double_precision_is_the_same_network(name: str) -> None:
    model = build_lively(name)
    recipe = Recipe(model=ModelSettings(name, crop_px=160, input_px=64))
    rows = np.arange(8)
    exact = predict_exactly(recipe, model, CROPS, rows)
    usual = predict_with_keras(model, CROPS, rows)
    assert 0 < np.abs(exact - usual).max() < 1e-4
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("name", ["compact", SLOW_MOBILENET])
def test_a_calibrated_network_applies_the_line_to_its_logit(name: str) -> None:
    model = build_lively(name)
    before = predict_with_keras(model, CROPS, np.arange(8))
    calibrate_model(model, 0.7, -0.4)
    expected = calibrate(before, Decision(slope=0.7, intercept=-0.4))
    assert np.allclose(predict_with_keras(model, CROPS, np.arange(8)), expected, atol=1e-5)
    assert np.abs(expected - before).max() > 0.02


@pytest.mark.slow
def test_an_export_that_differs_is_refused(tmp_path: Path) -> None:
    model = build_model(ModelSettings(input_px=32, crop_px=160))
    crops = np.zeros((2, 225, 225, 3), np.uint8)
    features = run_keras(cut_features(model), np.stack([crops[0], crops[1] + 99]), np.arange(2))
    novelty = fit_novelty(features)
    right = np.column_stack([predict_with_keras(model, crops, np.arange(2)), [1.0, 1.0]])
    right[:, 1] = novelty.compute(run_keras(cut_features(model), crops, np.arange(2)))
    export_model(ONNX, model, novelty, tmp_path / "m.onnx", build_metadata(), crops, right)
    (tmp_path / "m.onnx").unlink()
    for wrong in ([2e-4, 0], [0, 0.5]):
        with pytest.raises(ModelError, match="differs from Keras"):
            export_model(
                ONNX, model, novelty, tmp_path / "m.onnx", build_metadata(), crops, right + wrong
            )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (ModelSettings("resnot"), "Unknown architecture 'resnot'"),
        (ModelSettings("texture", input_px=100), "Expected a multiple of 16"),
    ],
)
def test_impossible_networks_say_why(settings: ModelSettings, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        build_model(settings)


def test_weights_that_cannot_be_fetched_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(keras.applications, "MobileNetV3Small", refuse)
    monkeypatch.setattr("leukoscope.models.build._is_application", lambda name: True)
    with pytest.raises(SettingsError, match="could not be fetched"):
        build_model(ModelSettings("MobileNetV3Small"))


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    recipe = Recipe(training=TrainingSettings(epochs=5, learning_rate=0.1))
    schedule = build_schedule(recipe, 10)
    rates = [float(schedule(step)) for step in range(50)]
    assert np.argmax(rates) == 9 and rates[9] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0, abs=1e-8) and rates[0] == pytest.approx(0.01)
    middle = 0.1 * 0.5 * (1 + np.cos(np.pi * 20 / 40))
    assert rates[29] == pytest.approx(middle, rel=1e-5)


@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (1, 2), (2, 1), (1, 7)])
def test_the_shortest_trainings_have_a_learning_rate(epochs: int, steps: int) -> None:
    schedule = build_schedule(Recipe(training=TrainingSettings(epochs=epochs)), steps)
    rates = [float(schedule(step)) for step in range(epochs * steps)]
    assert all(0 <= rate <= 1e-3 * 1.0001 for rate in rates) and max(rates) > 0


# --- resume

_SCRIPT = """
import os, sys
from pathlib import Path
from leukoscope.workflow.training import TrainingRequest, train_run
data, out, recipe, resume = sys.argv[1:]

def stop(report):
    if report.finished and str(report.epoch) == os.environ.get("STOP"):
        os._exit(9)

request = TrainingRequest(data, Path(out), recipe, folds=2, final=False, resume=resume == "1")
train_run(request, on_step=stop)
"""


def start(cohort: Cohort, out: Path, recipe: Path, *, resume: bool) -> subprocess.Popen[bytes]:
    command = describe_start(cohort, out, recipe, "1" if resume else "0")
    return subprocess.Popen(command, env=os.environ)


def describe_start(cohort: Cohort, out: Path, recipe: Path, resume: str) -> list[str]:
    return [sys.executable, "-c", _SCRIPT, str(cohort.root), str(out), str(recipe), resume]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "frozen"])
def test_a_run_killed_and_resumed_ends_as_if_it_had_not_been(
    cohort: Cohort, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    recipe = request.getfixturevalue("recipe" if kind == "whole" else "frozen_recipe")
    run_folder = request.getfixturevalue("run_folder" if kind == "whole" else "frozen_run")
    out = tmp_path / "killed"
    process = start(cohort, out, recipe, resume=False)
    checkpoint = out / "folds" / "kfold_1" / "checkpoint.npz"
    deadline = time.monotonic() + 180
    while not checkpoint.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "folds" / "kfold_1" / "model.onnx").exists()
    assert start(cohort, out, recipe, resume=True).wait() == 0
    for fold in ("kfold_1", "kfold_2"):
        check_same(*(load_network(folder, fold) for folder in (out, run_folder)))
    predictions = [pd.read_csv(folder / "predictions.csv") for folder in (out, run_folder)]
    pd.testing.assert_frame_equal(*predictions)


# --- frozen features


def test_head_and_features_together_are_the_network() -> None:
    model = build_lively("texture")
    features = cut_features(model).predict_on_batch(CROPS)
    whole = predict_with_keras(model, CROPS, np.arange(8))
    apart = predict_with_keras(cut_head(model), np.asarray(features), np.arange(8))
    assert features.shape == (8, 609) and np.ptp(whole) > 0.2
    assert np.allclose(apart, whole, atol=1e-6)


def test_moments_do_not_see_the_background_or_turns() -> None:
    model = build_model(ModelSettings("texture", crop_px=160, input_px=160, pretrained=False))
    y, x = np.mgrid[:225, :225] - 112
    cell = np.zeros((1, 225, 225, 3), np.uint8)
    cell[0][np.hypot(x, y * 1.3) < 40] = (120, 60, 150)
    moments = cut_features(model)
    turned, moved = np.rot90(cell, axes=(1, 2)).copy(), np.roll(cell, 16, axis=1)
    first = np.asarray(moments.predict_on_batch(cell))
    assert np.isfinite(first).all()
    early = slice(0, 145)  # later stages see as far as the edge of the image
    assert np.allclose(first[:, early], moments.predict_on_batch(moved)[:, early], atol=1e-3)
    assert np.allclose(first[:, 0], moments.predict_on_batch(turned)[:, 0])
    larger = np.asarray(moments.predict_on_batch(np.where(cell.any(-1, keepdims=True), cell, 4)))
    assert np.isclose(first[0, 0], larger[0, 0])  # nearly black is background
    assert np.isfinite(moments.predict_on_batch(np.zeros_like(cell))).all()


def test_a_frozen_run_trains_its_head_only(
    frozen_run: Path, catalogue: Catalogue, cache: Path
) -> None:
    pretrained = build_model(ModelSettings("texture", crop_px=160, input_px=64, hidden=8))
    trained = keras.saving.load_model(frozen_run / "model.keras", compile=False)
    for layer in (layer for layer in pretrained.layers if layer.weights):
        pairs = zip(layer.get_weights(), trained.get_layer(layer.name).get_weights(), strict=True)
        same = all(np.array_equal(a, b) for a, b in pairs)
        assert same == layer.name.startswith("lite0_"), layer.name
    outputs = pd.read_csv(frozen_run / "folds/kfold_1/outputs.csv")
    rows = catalogue.table.reset_index().set_index("image").loc[outputs["image"], "index"]
    network = keras.saving.load_model(frozen_run / "folds/kfold_1/model.keras", compile=False)
    expected = predict_with_keras(network, catalogue.crops, rows.to_numpy())
    assert np.allclose(outputs["probability"], expected, atol=1e-5)
    assert len(list(cache.rglob("features-*.npy"))) == 1


@pytest.mark.slow
def test_features_are_computed_once(
    cohort: Cohort, frozen_recipe: Path, frozen_run: Path, tmp_path: Path
) -> None:
    calls: list[tuple[int, int]] = []
    request = TrainingRequest(cohort.root, tmp_path / "run", frozen_recipe, folds=2, final=False)
    train_run(request, on_features=lambda *call: calls.append(call))
    assert calls == []
    runs = [pd.read_csv(folder / "predictions.csv") for folder in (tmp_path / "run", frozen_run)]
    pd.testing.assert_frame_equal(*runs)


# --- a whole run


def test_a_run_holds_what_it_promises(run_folder: Path, catalogue: Catalogue) -> None:
    table = select_usable(catalogue)
    predictions = pd.read_csv(run_folder / "predictions.csv", dtype={"subject": str})
    assert sorted(predictions["image"]) == sorted(table["image"])
    assert not predictions["leaky"].any()
    assert predictions["probability"].between(0, 1).all()
    cells = pd.read_csv(run_folder / "cells.csv")
    assert set(cells["fold"]) == {"kfold_1", "kfold_2"}
    assert cells["official_fold"].tolist() == table["fold"].tolist()
    history = pd.read_csv(run_folder / "history.csv")
    assert set(history["fold"]) == {"kfold_1", "kfold_2", "final"}
    settings = json.loads((run_folder / "run.json").read_text())
    assert settings["recipe"]["model"]["input_px"] == 32 and "finished" in settings
    for folder in (run_folder, run_folder / "folds/kfold_1"):
        with zipfile.ZipFile(folder / "model.keras") as archive:
            text = archive.read("leukoscope.json").decode()
        inside = ModelMetadata.from_json(text, "model.keras")
        assert inside == Classifier(folder / "model.onnx").metadata
        assert inside.dataset.reader == "cnmc" and inside.dataset.quality is not None
    assert not list(run_folder.rglob("checkpoint*")) and not list(run_folder.rglob(".*"))
    assert "Expected on new people" in Classifier(run_folder / "model.onnx").metadata.expected.words


@pytest.mark.slow
def test_fewer_cells_than_a_batch_are_trained_on(catalogue: Catalogue, tmp_path: Path) -> None:
    table = select_usable(catalogue)
    recipe = Recipe(
        model=ModelSettings(crop_px=160, input_px=32),
        training=TrainingSettings(epochs=1, batch_size=512),
    )
    _, history = train_model(recipe, catalogue.crops, table, table, tmp_path / "c.npz")
    assert history["loss"].iloc[0] > 0 and history["images_per_second"].iloc[0] > 0


def test_stopping_people_are_training_people(catalogue: Catalogue) -> None:
    table = select_usable(catalogue)
    stopping = choose_stopping(table, 0)
    assert 0 < len(stopping) < len(table) / 2


def test_evaluation_and_page_of_a_run(run_folder: Path) -> None:
    evaluation, page = evaluate_predictions(run_folder, n_bootstrap=200)
    text = page.read_text()
    assert "Simulated cells" in text and "Research use only" in text
    assert evaluation.leak.status == "clean"
    metrics = json.loads((page.parent / "metrics.json").read_text())
    assert metrics == evaluation.to_json()
    assert metrics["counts"]["cells"] == len(pd.read_csv(run_folder / "predictions.csv"))
    assert [fold["fold"] for fold in metrics["folds"]] == ["kfold_1", "kfold_2"]


@pytest.mark.slow
def test_a_random_split_is_marked_leaky_everywhere(
    cohort: Cohort, recipe: Path, tmp_path: Path
) -> None:
    request = TrainingRequest(
        cohort.root, tmp_path / "run", recipe, split="random", folds=2, final=False
    )
    train_run(request)
    evaluation, page = evaluate_predictions(tmp_path / "run", n_bootstrap=200)
    assert evaluation.leak.status == "leaky"
    assert "Leaky split" in page.read_text()
    with pytest.raises(RunError, match="no final model"):
        open_run(tmp_path / "run").find_model()


@pytest.mark.slow
def test_groups_that_separate_equal_images_show_in_all_later_steps(
    cohort: Cohort, tmp_path: Path
) -> None:
    groups, out, recipe = tmp_path / "groups.csv", tmp_path / "run", tmp_path / "tiny.toml"
    recipe.write_text(TINY.replace("epochs = 3", "epochs = 1"))
    names = sorted(set(cohort.truth["subject"]))
    groups.write_text("subject,group\n" + "".join(f"{name},{name}\n" for name in names))
    told: list[str] = []
    request = TrainingRequest(
        cohort.root, out, recipe, split="fold-cv", final=False, groups_csv=groups
    )
    train_run(request, on_groups=told.append)
    assert "6 cells have equal pixels" in told[0]
    record = open_run(out).read_record()
    assert record.group_overrides is not None
    assert (record.group_overrides.equal_cells_apart, record.data.groups) == (6, 14)
    predictions = pd.read_csv(out / "predictions.csv")
    shared = cohort.planted[cohort.planted["kind"] == "shared_image"]
    leaky = set(predictions.loc[predictions["leaky"], "image"])
    assert leaky == {*shared["image"], *shared["other"]}
    evaluation, page = evaluate_predictions(out, n_bootstrap=200)
    assert (evaluation.leak.status, evaluation.leak.leaking_cells) == ("leaky", 6)
    assert "separate names that share equal images" in page.read_text()
    assert "from groups.csv." in (page.parent / "model-card.md").read_text()

    groups.write_text(groups.read_text().replace("1,1\n", "1,one\n", 1))
    with pytest.raises(RunError, match="another data"):
        train_run(dataclasses.replace(request, resume=True))


def test_a_run_is_never_overwritten_or_mixed(
    cohort: Cohort, recipe: Path, run_folder: Path
) -> None:
    with pytest.raises(RunError, match="`resume`"):
        train_run(TrainingRequest(cohort.root, run_folder, recipe, folds=2))
    other = TrainingRequest(cohort.root, run_folder, recipe, folds=2, seed=1, resume=True)
    with pytest.raises(RunError, match=r"another (split|seed)"):
        train_run(other)
    options = ReadOptions(reader="folders", subject_from="UID_([^_]+)_", frame_px=300)
    cropped = dataclasses.replace(other, seed=0, options=options)
    with pytest.raises(RunError, match=r"another (split|data|reader|crop)"):
        train_run(cropped)


def test_predict_and_run_give_the_same_number(
    cohort: Cohort, run_folder: Path, catalogue: Catalogue
) -> None:
    images = select_usable(catalogue)["image"].iloc[:40]
    answers, _ = predict_images([cohort.root / image for image in images], run_folder)
    found = [answer.probability for answer in answers]
    crops = np.asarray(catalogue.crops[images.index.to_numpy()])
    assert found == list(Classifier(run_folder / "model.onnx").predict(crops))


@pytest.mark.parametrize("kind", ["whole", "frozen"])
def test_held_out_cells_are_scored_by_the_exported_network(
    kind: str, catalogue: Catalogue, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue({"whole": "run_folder", "frozen": "frozen_run"}[kind])
    rows = pd.read_csv(folder / "cells.csv", dtype={"fold": str}).set_index("image")["row"]
    for network in sorted((folder / "folds").iterdir()):
        outputs = pd.read_csv(network / "outputs.csv")
        crops = np.asarray(catalogue.crops[rows[outputs["image"]].to_numpy()])
        exported = Classifier(network / "model.onnx").predict_batch(crops)
        assert np.allclose(outputs[["probability", "novelty"]], exported, rtol=0, atol=1e-12)


# --- exported by name


def test_a_users_own_format_goes_from_end_to_end(
    run_folder: Path, catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_format_of_test.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    name = "own_format_of_test:keras_file"
    run = Path(shutil.copytree(run_folder, tmp_path / "run"))
    done = CliRunner().invoke(app, ["export", str(run), "--format", name])
    assert done.exit_code == 0 and done.stdout.strip() == str(run / "exports" / "model.keras")
    found = lk.export(run, name, tmp_path / "mine.keras")
    assert found.network == "final" and found.difference < 1e-4
    assert "cells of the run" in found.sentences[1]
    crops = np.asarray(catalogue.crops[:5])
    expected = Classifier(run / "model.onnx").predict_batch(crops)
    exporter = find_exporter(name)
    for path in (run / "exports" / "model.keras", tmp_path / "mine.keras"):
        np.testing.assert_allclose(exporter.answer(path, crops), expected, rtol=1e-2, atol=1e-4)


def test_without_a_final_network_a_fold_is_exported_and_without_data_drawn_cells_compare(
    run_folder: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(run_folder, tmp_path / "run"))
    for gone in ("model.keras", "model.onnx"):
        (run / gone).unlink()
    text = (run / "run.json").read_text()
    root = json.loads(text)["root"]
    (run / "run.json").write_text(text.replace(root, str(tmp_path / "gone")))
    found = lk.export(run)
    assert found.network == "kfold_1" and "not calibrated" in found.sentences[0]
    assert "256 simulated cells" in found.sentences[1] and str(tmp_path / "gone") in str(found)
    exported, own = Classifier(found.path), Classifier(run / "folds" / "kfold_1" / "model.onnx")
    assert exported.metadata == own.metadata
    assert np.allclose(exported.predict_batch(CROPS), own.predict_batch(CROPS), atol=1e-5)

    with pytest.raises(RunError, match="files of the run itself"):
        lk.export(run, out=run / "folds" / "kfold_1" / "model.onnx")
    (run / "SHA256SUMS").unlink()
    shutil.copy(run / "folds/kfold_2/model.keras", run / "folds/kfold_1/model.keras")
    with pytest.raises(RunError, match=r"not the network of .* beside it"):
        lk.export(run, out=tmp_path / "mixed.onnx")
    assert not (tmp_path / "mixed.onnx").exists()
    (run / "run.json").write_text(text.replace('"finished": "', '"finished": "", "was": "'))
    with pytest.raises(RunError, match="has not ended"):
        lk.export(run)


# --- damaged files, and runs of other versions

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda data: b"",
    "cut off": lambda data: data[: len(data) // 2 - 3],
    "garbled": lambda data: bytes(
        255 - byte if n % 40 == 7 else byte for n, byte in enumerate(data)
    ),
    "a bit flipped": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize(
    "name",
    [
        *("run.json", "cells.csv", "history.csv", "predictions.csv", "model.keras", "model.onnx"),
        "network-history.csv",
    ],
)
def test_a_damaged_file_of_a_run_is_named_in_one_sentence(
    kind: str, name: str, cohort: Cohort, recipe: Path, run_folder: Path, tmp_path: Path
) -> None:
    if (kind, name) == ("a bit flipped", "run.json"):
        pytest.skip("it may be edited by hand, so no digest of it is kept")
    run = Path(shutil.copytree(run_folder, tmp_path / "run"))
    (run / name).write_bytes(DAMAGE[kind]((run / name).read_bytes()))
    use: dict[str, Callable[[], object]] = {
        "run.json": lambda: open_run(run).read_record(),
        "cells.csv": lambda: open_run(run).read_cells(),
        "history.csv": lambda: evaluate_predictions(run, n_bootstrap=100),
        "predictions.csv": lambda: find_predictions(run),
        "model.keras": lambda: lk.export(run),
        "model.onnx": lambda: lk.load_model(run),
    }
    again = TrainingRequest(cohort.root, run, recipe, folds=2, resume=True)
    with pytest.raises((RunError, ModelError)) as found:
        use.get(name, lambda: train_run(again))()
    words = str(found.value)
    assert str(run / name) in words and "Expected" in words and "from a copy" in words.lower()
    assert "\n" not in words


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_outputs_of_a_fold_are_made_again(
    kind: str, cohort: Cohort, recipe: Path, run_folder: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(run_folder, tmp_path / "run"))
    outputs = run / "folds" / "kfold_2" / "outputs.csv"
    outputs.write_bytes(DAMAGE[kind](outputs.read_bytes()))
    with pytest.warns(lk.NoticeWarning, match="damaged, so the fold's network scores") as noted:
        train_run(TrainingRequest(cohort.root, run, recipe, folds=2, resume=True))
    assert [str(outputs) in str(note.message) for note in noted] == [True]
    for name in ("predictions.csv", "folds/kfold_2/outputs.csv", "SHA256SUMS"):
        assert (run / name).read_bytes() == (run_folder / name).read_bytes()


def test_a_run_is_not_continued_on_a_damaged_network(
    cohort: Cohort, recipe: Path, run_folder: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(run_folder, tmp_path / "run"))
    network = run / "folds" / "kfold_2" / "model.onnx"
    network.write_bytes(DAMAGE["a bit flipped"](network.read_bytes()))
    with pytest.raises(RunError, match=r"kfold_2/model.onnx: damaged\. .* trains this network aga"):
        train_run(TrainingRequest(cohort.root, run, recipe, folds=2, resume=True))


def test_the_digests_of_a_run_are_those_that_sha256sum_checks(run_folder: Path) -> None:
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    done = subprocess.run(command, cwd=run_folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    named = {line.split("  ")[1] for line in (run_folder / "SHA256SUMS").read_text().splitlines()}
    files = {path.relative_to(run_folder).as_posix() for path in run_folder.rglob("*.*")}
    assert {name for name in files if name.endswith((".csv", ".onnx", ".keras"))} == named


@pytest.mark.parametrize("kind", ["rows", "cells", "history"])
def test_a_table_that_lost_whole_rows_is_damaged_too(
    kind: str, run_folder: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(run_folder, tmp_path / "run"))
    (run / "SHA256SUMS").unlink()  # a run of before there were digests
    name = "cells.csv" if kind == "cells" else "predictions.csv"
    text = (run / name).read_text().splitlines(keepends=True)
    if kind == "history":
        name = "history.csv"
        (run / name).write_text((run / name).read_text().replace("images_per_second", "speed"))
    else:
        (run / name).write_text("".join(text[:-1]))
    read = {
        "rows": lambda: find_predictions(run),
        "cells": lambda: open_run(run).read_cells(),
        "history": lambda: open_run(run).read_history(),
    }
    with pytest.raises(RunError, match=f"{name}: damaged. Expected"):
        read[kind]()


class Stop(Exception):
    """Training is to end here."""


def stop_after(epoch: int) -> Callable[[EpochReport], None]:
    def stop(report: EpochReport) -> None:
        if report.finished and report.epoch == epoch:
            raise Stop

    return stop


@pytest.fixture(scope="module")
def unbroken(
    catalogue: Catalogue, recipe: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[keras.Model, pd.DataFrame]:
    """A network and its history, trained on a few cells without a break."""
    table, path = select_usable(catalogue).iloc[:40], tmp_path_factory.mktemp("whole") / "c.npz"
    return train_model(read_recipe(recipe), catalogue.crops, table, table[:0], path)


@pytest.mark.parametrize(
    ("which", "kind"),
    [
        pytest.param("the last", "a bit flipped", marks=pytest.mark.slow),
        pytest.param("both", "cut off", marks=pytest.mark.slow),
        ("the only", "emptied"),
    ],
)
def test_a_damaged_checkpoint_costs_an_epoch_and_changes_nothing(
    which: str,
    kind: str,
    unbroken: tuple[keras.Model, pd.DataFrame],
    catalogue: Catalogue,
    recipe: Path,
    tmp_path: Path,
) -> None:
    table, path = select_usable(catalogue).iloc[:40], tmp_path / "checkpoint.npz"
    tiny, cells = read_recipe(recipe), (table, table[:0])
    with pytest.raises(Stop):
        stop = stop_after(1 if which == "the only" else 2)
        train_model(tiny, catalogue.crops, *cells, path, progress=stop)
    before = tmp_path / "checkpoint-before.npz"
    assert before.exists() == (which != "the only")
    for place in (path, before) if which == "both" else (path,):
        place.write_bytes(DAMAGE[kind](place.read_bytes()))
    words = "goes on from epoch 1" if which == "the last" else "is trained anew"
    with pytest.warns(lk.NoticeWarning, match=rf"checkpoint.npz: damaged, so .* {words}") as noted:
        found, again = train_model(tiny, catalogue.crops, *cells, path)
    assert sum(note.category is lk.NoticeWarning for note in noted) == 1
    check_same(found, unbroken[0])
    assert again["loss"].tolist() == unbroken[1]["loss"].tolist()


def check_same(found: keras.Model, expected: keras.Model) -> None:
    """To the last bit."""
    for a, b in zip(found.get_weights(), expected.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_a_checkpoint_of_another_version_is_not_taken_for_a_damaged_one(
    catalogue: Catalogue, recipe: Path, tmp_path: Path
) -> None:
    table, path = select_usable(catalogue).iloc[:40], tmp_path / "checkpoint.npz"
    np.savez(path, history=np.array("[]"), variable_0=np.zeros(100))
    with pytest.raises(RunError, match="another version of leukoscope"):
        train_model(read_recipe(recipe), catalogue.crops, table, table[:0], path)


# --- one writer, a full disk, a callback that fails, another number of threads


def test_a_second_training_is_told_who_is_at_work_before_anything_heavy_loads(
    cohort: Cohort, run_folder: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from leukoscope.cli import main\n"
        "try: main()\n"
        "finally: assert not {'tensorflow', 'pandas', 'cv2'} & set(sys.modules)"
    )
    for words in (("--continue",), ()):
        command = [sys.executable, "-c", code, "train", str(cohort.root), "--out", str(run_folder)]
        with lock_folder(run_folder):
            done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
            held = f"process {os.getpid()} on "
            assert done.returncode == 2 and held in done.stderr, done.stderr
            assert "since 20" in done.stderr and "Wait until it has ended" in done.stderr
    with lock_folder(run_folder):
        for use in (
            lambda: train_run(TrainingRequest(cohort.root, run_folder, folds=2, resume=True)),
            lambda: lk.train(cohort.root, run_folder, folds=2, resume=True),
            lambda: lk.export(run_folder),
        ):
            with pytest.raises(RunError, match="is writing there"):
                use()
        lk.export(run_folder, out=tmp_path / "elsewhere.onnx")  # reads the run only


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Callable[[], None]]:
    """A folder with little space, and a function that takes all of it until the block ends.

    A tmpfs where this process may mount one; else the size of its files is limited.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
            return
        with suppress(OSError), (folder / "filler").open("wb", 0) as file:
            while True:
                file.write(bytes(65_536))

    try:
        yield fill
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        if mounted:
            (folder / "filler").unlink(missing_ok=True)


def unmount(folder: Path) -> None:
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_full_disk_ends_training_in_a_sentence_and_it_goes_on_to_the_same_network(
    epoch: int, cohort: Cohort, recipe: Path, run_folder: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    run = disk / "run"
    request = TrainingRequest(cohort.root, run, recipe, folds=2, final=False)
    try:
        with small_disk(disk, 160) as fill:

            def fill_after(report: EpochReport) -> None:
                if report.finished and report.epoch == epoch:
                    fill()

            with pytest.raises(RunError) as found:
                train_run(request, on_step=fill_after)
        words = str(found.value)
        assert re.search(r"kfold_1/\S+ cannot be written: .*, [\d,.]+ MB free\.", words), words
        assert f"train again with `resume` and `out` {run}." in words and "\n" not in words
        kept = [path.name for path in (run / "folds/kfold_1").iterdir()]
        assert "checkpoint.npz" in kept and not [name for name in kept if name.startswith(".")]
        train_run(dataclasses.replace(request, resume=True))
        for fold in ("kfold_1", "kfold_2"):
            check_same(*(load_network(folder, fold) for folder in (run, run_folder)))
        assert not list(run.rglob("checkpoint*"))
    finally:
        unmount(disk)


def load_network(run: Path, fold: str) -> keras.Model:
    return keras.saving.load_model(run / "folds" / fold / "model.keras", compile=False)


@pytest.mark.parametrize("kind", [FileNotFoundError, DiskFullError])
def test_what_a_callback_raises_comes_out_as_it_is(
    kind: type[Exception], cohort: Cohort, recipe: Path, tmp_path: Path
) -> None:
    own = kind(28, "mine", "notes.txt")

    def fail(report: EpochReport) -> None:
        raise own

    with pytest.raises(kind) as found:
        lk.train(cohort.root, tmp_path / "run", recipe=recipe, folds=2, callbacks=[fail])
    assert found.value is own
    assert (tmp_path / "run" / "folds" / "kfold_1" / "checkpoint.npz").exists()


def test_a_file_of_ours_that_cannot_be_written_is_still_one_sentence(
    cohort: Cohort, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise PermissionError(13, "Permission denied", "cells.csv")

    monkeypatch.setattr("leukoscope.workflow.training.write_table", refuse)
    with pytest.raises(lk.DataError, match=r"cells.csv cannot be .* \(Permission denied\)"):
        lk.train(cohort.root, tmp_path / "run", recipe=recipe, folds=2)


SMALL_DEMO = CohortSettings(subjects=14, cells=180, seed=3, faults=FAULTS)


def test_a_demonstration_that_was_killed_goes_on_by_itself(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[TrainingRequest] = []

    def train(request: TrainingRequest, **callbacks: object) -> Run:
        requests.append(request)
        return open_run(run_folder)

    monkeypatch.setattr(demonstration, "DEMO", SMALL_DEMO)
    monkeypatch.setattr(demonstration, "train_run", train)
    out, calls = tmp_path / "demo", 0
    (out / ".cells.0123.partial").mkdir(parents=True)  # killed while it drew

    def stop_at(number: int) -> Callable[[str], None]:
        def stop(words: str) -> None:
            nonlocal calls
            calls += 1
            if words.startswith(f"{number}."):
                raise KeyboardInterrupt

        return stop

    for number in (2, 3, 4):
        with pytest.raises(KeyboardInterrupt):
            demonstration.run_demo(out, on_stage=stop_at(number))
    written = (out / "cells" / "truth.csv").stat().st_mtime_ns
    result = demonstration.run_demo(out, on_stage=stop_at(9))
    assert (out / "cells" / "truth.csv").stat().st_mtime_ns == written
    assert [request.resume for request in requests] == [True, True]
    assert result.answers.exists() and not list(out.glob(".*"))
    with lock_folder(out), pytest.raises(RunError, match="is writing there"):
        demonstration.run_demo(out, on_stage=stop_at(9))
    with pytest.raises(DataError, match="cells: expected a folder that is empty"):  # ended
        demonstration.run_demo(out, on_stage=stop_at(9))


def test_cells_of_somebody_else_are_no_demonstration(cohort: Cohort, tmp_path: Path) -> None:
    assert open_cohort(cohort.root, dataclasses.replace(SMALL_DEMO, seed=4)) is None
    assert open_cohort(tmp_path, SMALL_DEMO) is None
    found = open_cohort(cohort.root, SMALL_DEMO)
    assert found is not None and found.best_auc == cohort.best_auc
    pd.testing.assert_frame_equal(found.truth, cohort.truth)
    pd.testing.assert_frame_equal(found.planted, cohort.planted)


@pytest.mark.slow
def test_a_run_continues_with_the_threads_that_it_was_begun_with(
    cohort: Cohort, recipe: Path, tmp_path: Path
) -> None:
    """Another number adds in another order, and ends with another network."""
    networks = {}
    for name, stop in (("whole", ""), ("stopped", "1")):
        environment = os.environ | {"TF_NUM_INTRAOP_THREADS": "3", "STOP": stop}
        out = tmp_path / name
        command = describe_start(cohort, out, recipe, "0")
        done = subprocess.run(command, env=environment, check=False)
        assert (done.returncode != 0) == bool(stop)
        assert open_run(out).read_record().machine.threads == 3
        if stop:
            subprocess.run(describe_start(cohort, out, recipe, "1"), check=True)
        networks[name] = load_network(out, "kfold_1")
    check_same(*networks.values())
    subprocess.run(describe_start(cohort, tmp_path / "other", recipe, "0"), check=True)
    if open_run(tmp_path / "other").read_record().machine.threads != 3:
        other = load_network(tmp_path / "other", "kfold_1").get_weights()
        pairs = zip(other, networks["whole"].get_weights(), strict=True)
        assert not all(np.array_equal(a, b) for a, b in pairs)


def test_threads_that_cannot_be_set_any_more_are_told(
    cohort: Cohort, recipe: Path, run_folder: Path, tmp_path: Path
) -> None:
    assert open_run(run_folder).read_record().machine.threads == count_threads()
    run = open_run(Path(shutil.copytree(run_folder, tmp_path / "run")))
    record = run.read_record()
    for threads in (0, 77):  # 0: of a run of before
        run.write_record(
            dataclasses.replace(
                record, machine=dataclasses.replace(record.machine, threads=threads)
            )
        )
        request = TrainingRequest(cohort.root, run.folder, recipe, folds=2, resume=True)
        if threads:
            with pytest.warns(lk.NoticeWarning, match="begun with 77 threads .* in a new process"):
                train_run(request)
        else:
            train_run(request)


def test_runs_from_before_folds_had_their_name_are_read_and_continued(
    cohort: Cohort, recipe: Path, run_folder: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(run_folder, tmp_path / "run"))
    expected = pd.read_csv(run / "predictions.csv")
    (run / "SHA256SUMS").unlink()
    make_old(run)
    evaluation, _ = evaluate_predictions(run, n_bootstrap=100)
    assert [fold.fold for fold in evaluation.folds] == ["part_0", "part_1"]
    assert [fold.name for fold in open_run(run).read_record().split.folds] == ["kfold_1", "kfold_2"]
    assert set(open_run(run).read_cells()["fold"]) == {"part_0", "part_1"}
    assert set(lk.export(run).path.parts[-2:]) == {"exports", "model.onnx"}
    (run / "predictions.csv").unlink()
    train_run(TrainingRequest(cohort.root, run, recipe, folds=2, resume=True))
    pd.testing.assert_frame_equal(pd.read_csv(run / "predictions.csv"), expected)
    assert not (run / "folds").exists()  # nothing was trained again


def make_old(run: Path) -> None:
    """As runs were before 0.2: parts/part_0, column part, part-history.csv."""
    for path in run.rglob("*.csv"):
        words = path.read_text().replace("kfold_1", "part_0").replace("kfold_2", "part_1")
        head, rest = words.split("\n", 1)
        before = {"fold": "part", "official_fold": "fold"}
        before |= {now: old for old, now in OLD_HISTORY.items()}
        names = [before.get(w, w) for w in head.split(",")]
        path.write_text(",".join(names) + "\n" + rest)
    for path in [*run.rglob("network-history.csv")]:
        path.rename(path.with_name("part-history.csv"))
    (run / "folds").rename(run / "parts")
    for old, new in (("kfold_1", "part_0"), ("kfold_2", "part_1")):
        (run / "parts" / old).rename(run / "parts" / new)
        (run / "run.json").write_text((run / "run.json").read_text().replace(old, new))


@pytest.mark.slow
def test_a_network_learns_what_is_there_to_learn(catalogue: Catalogue, tmp_path: Path) -> None:
    table = select_usable(catalogue)
    easy = np.array(catalogue.crops)
    sick = table.index[table["label"] == "leukaemic"]
    easy[sick] = easy[sick] // 3  # a cue that cannot be missed
    recipe = Recipe(
        model=ModelSettings(crop_px=160, input_px=32),
        training=TrainingSettings(epochs=6, batch_size=16, learning_rate=3e-3, ema_momentum=0.9),
    )
    stopping = choose_stopping(table, 0)
    training = table.index.difference(stopping)
    _, history = train_model(
        recipe, easy, table.loc[training], table.loc[stopping], tmp_path / "c.npz"
    )
    assert history["validation_auc"].max() > 0.9
