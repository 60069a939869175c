"""Conventions of the command line: old and new names, switches, defaults, exit codes."""

from __future__ import annotations

import dataclasses
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from leukoscope.cli import app
from leukoscope.cli.options import parse_changes, parse_columns
from leukoscope.cli.verbosity import asks_for_all
from leukoscope.errors import RenamedWarning, SettingsError
from leukoscope.settings import change_recipe, read_recipe
from leukoscope.simulate import Cohort
from leukoscope.training.loop import EpochReport
from leukoscope.workflow.folders import name_folder
from test_cli import fail, read_rows, run
from test_explain import write_cue_model

COMMANDS = {
    "": ["data", "demo", "simulate", "train", "evaluate", "predict", "explain", "aggregate"],
    "data": ["audit", "augmentations"],
}


def read_help(*words: str) -> str:
    done = CliRunner().invoke(app, [*words], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def image(cohort: Cohort) -> Path:
    return cohort.root / str(cohort.truth["image"].iloc[0])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table in our columns: 200 cells of 20 subjects."""
    path = tmp_path / "mine.csv"
    random = np.random.default_rng(0)
    rows = ["image,subject,label,probability"]
    for number in range(200):
        sick = number % 2
        probability = np.clip(random.normal(0.4 + 0.2 * sick, 0.2), 0, 1)
        rows.append(f"{number}.bmp,{number % 20},{'all' if sick else 'hem'},{probability:.3f}")
    path.write_text("\n".join(rows))
    return path


# --- help


@pytest.mark.parametrize("group", COMMANDS)
def test_h_is_help_everywhere_and_shows_the_switches(group: str) -> None:
    above = [group] if group else []
    listed = read_help(*above, "-h")
    assert listed == read_help(*above, "--help")
    for name in COMMANDS[group]:
        assert re.search(rf"\b{name}\b", listed)
        told = read_help(*above, name, "-h")
        if name != "data":
            assert "--quiet" in told and "--verbose" in told
    for old in ("check", "summarise", "measures", "--resamples", "--resume", "--sensitive"):
        assert not re.search(rf"│ {old}\b", listed)


def test_help_shows_defaults() -> None:
    told = read_help("train", "-h")
    for default in ("texture", "group-kfold", "5", "auto"):
        assert f"default: {default}" in told
    assert "--install-completion" in read_help("-h")


def test_help_is_fast() -> None:
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.5  # of computing, as others may be busy: 0.2 to 0.3 s


# --- names of version 0.1


@pytest.mark.slow
def test_old_names_work_and_say_so(cohort: Cohort, table: Path) -> None:
    done = run("data", "check", cohort.root)
    assert "pairs show the same cell" in done.stdout
    assert "Note: data check is now called data audit" in done.stderr
    done = run("summarise", table, "--resamples", 100)
    notes = sorted(line for line in done.stderr.splitlines() if line.startswith("Note: "))
    assert notes[0].startswith("Note: --resamples is now called --n-bootstrap")
    assert notes[1].startswith("Note: summarise is now called aggregate")
    assert len(notes) == 2 and "Warning" not in done.stderr
    assert "Note" not in run("--quiet", "evaluate", table, "--resamples=100").stderr


def test_measures_of_other_data_have_no_effect_and_that_is_said(
    image: Path, tmp_path: Path
) -> None:
    """Of version 0.1: a model's own training cells are what its percentiles are among."""
    words = ("data", "measures", "anything", "--out", tmp_path / "m.json", "--frame", 450)
    assert "data measures is no command any more" in run(*words, expect=2).stderr
    write_cue_model(tmp_path / "cue.onnx")
    words = ("explain", image, "--model", tmp_path / "cue.onnx", "--out", tmp_path / "out")
    done = run(*words, "--measures", tmp_path / "m.json")
    assert "Note: --measures has no effect any more: the model file holds" in done.stderr
    assert (tmp_path / "out" / "explanations.html").exists()
    assert not (tmp_path / "m.json").exists() and "--measures" not in read_help("explain", "-h")


def test_the_old_word_for_the_sensitive_threshold(image: Path) -> None:
    words = ["predict", str(image)]
    with pytest.warns(
        RenamedWarning, match="--sensitive is now called --operating-point sensitive"
    ):
        old = CliRunner().invoke(app, [*words, "--sensitive"])
    new = CliRunner().invoke(app, [*words, "--operating-point", "sensitive"])
    assert old.exit_code == new.exit_code == 0
    assert old.stdout == new.stdout


def test_old_settings_of_a_recipe_are_noted_in_one_line(cohort: Cohort, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text("[training]\nbatch = 16\n")
    sheet = tmp_path / "sheet.png"
    done = run("data", "augmentations", cohort.root, "--out", sheet, "--recipe", recipe)
    assert done.stderr.strip().startswith("Note: Recipe mine: batch is now called batch_size")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_usage_error_stays_what_it_is(table: Path) -> None:
    done = run("evaluate", table, "--boots", 3, expect=2)
    assert "No such option" in done.stderr


# --- quiet and verbose


def test_quiet_says_results_only_before_or_after_the_command(image: Path) -> None:
    plain = run("predict", image)
    assert "not a medical device" in plain.stderr
    for words in (("-q", "predict", image), ("predict", image, "--quiet")):
        done = run(*words)
        assert done.stdout == plain.stdout
        assert done.stderr == ""


def test_verbose_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for words in (("-v", "predict", gone), ("predict", gone, "--verbose")):
        done = run(*words, expect=2)
        assert "Traceback" in done.stderr and done.stderr.splitlines()[-1].startswith("Error: ")
    fail("predict", gone)


def test_verbose_is_seen_before_anything_loads() -> None:
    assert asks_for_all(["train", "x", "-v"]) and asks_for_all(["--verbose", "train"])
    assert not asks_for_all(["predict", "--", "-v"]) and not asks_for_all(["predict", "v"])


# --- settings, columns, folders


def test_set_changes_a_recipe_as_a_file_would() -> None:
    pairs = ["training.epochs=3", "learning_rate=1e-3", "model.architecture=compact", "blur=0"]
    recipe = change_recipe(read_recipe("texture"), parse_changes(pairs))
    assert (recipe.training.epochs, recipe.training.learning_rate) == (3, 1e-3)
    assert (recipe.model.architecture, recipe.augment.blur) == ("compact", 0.0)
    assert recipe.training.batch_size == read_recipe("texture").training.batch_size
    assert recipe.name.startswith("texture (epochs=3")
    for pair, words in (
        ("training.epoch=3", "Did you mean epochs"),
        ("trainin.epochs=3", "Did you mean training"),
        ("epochs=0", "Expected 1 to"),
        ("epochs=many", "Expected whole number"),
        ("epochs", "expected KEY=VALUE"),
    ):
        with pytest.raises(SettingsError, match=words):
            change_recipe(read_recipe("texture"), parse_changes([pair]))


@pytest.mark.slow
def test_set_is_taken_by_train_and_augmentations(cohort: Cohort, tmp_path: Path) -> None:
    message = fail("train", cohort.root, "--out", tmp_path / "run", "--set", "training.epochs=0")
    assert "training.epochs = 0" in message and not (tmp_path / "run").exists()
    sheets = [tmp_path / "a.png", tmp_path / "b.png"]
    run("data", "augmentations", cohort.root, "--out", sheets[0])
    run("data", "augmentations", cohort.root, "--out", sheets[1], "--set", "augment.noise=50.0")
    assert sheets[0].read_bytes() != sheets[1].read_bytes()


@pytest.mark.slow
def test_columns_map_a_csv_with_other_names(table: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.csv"
    lines = table.read_text().splitlines()
    theirs.write_text("\n".join(["filename,patient,truth,prob_all", *lines[1:]]))
    columns = "image=filename,subject=patient,label=truth,probability=prob_all"
    for command in ("evaluate", "aggregate"):
        ours = run(command, table, "--n-bootstrap", 100).stdout
        mapped = run(command, theirs, "--columns", columns, "--n-bootstrap", 100).stdout
        assert mapped.replace("theirs", "mine") == ours
    assert "No column 'score'" in fail("evaluate", theirs, "--columns", "probability=score")
    assert "is not a pair" in fail("evaluate", theirs, "--columns", "probability")
    assert parse_columns(None) == {}


def test_default_names_of_folders(tmp_path: Path) -> None:
    first = name_folder(tmp_path, "texture (epochs=3)-leave-one-group-out:smear")
    assert re.fullmatch(r"texture--epochs-3--leave-one-group-out-smear-\d{8}-\d{6}", first.name)
    first.mkdir()
    second = name_folder(tmp_path, "texture (epochs=3)-leave-one-group-out:smear")
    assert second != first and not second.exists()


def test_explain_names_its_folder(image: Path, tmp_path: Path) -> None:
    shutil.copy(image, tmp_path / "cell.bmp")
    done = subprocess.run(
        [sys.executable, "-m", "leukoscope", "explain", "cell.bmp"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    (page,) = (tmp_path / "explanations").glob("default-*/explanations.html")
    assert str(page.relative_to(tmp_path)) in done.stdout


# --- what ends early, and how


def test_a_run_that_is_there_is_refused_at_once(cohort: Cohort, tmp_path: Path) -> None:
    """Before TensorFlow, pandas and the data: `gone` is not even looked for."""
    taken = tmp_path / "run"
    taken.mkdir()
    (taken / "run.json").write_text("{}")
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        message = fail("train", tmp_path / "gone", "--out", taken)
        seconds.append(time.monotonic() - started)
        assert "a run is there already" in message and "--continue" in message
    assert min(seconds) < 1.0
    assert "no run named" in fail("train", cohort.root, "--continue")


def test_no_performance_is_shown_without_a_prediction(tmp_path: Path, image: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"none")
    done = run("predict", tmp_path, expect=1)
    (row,) = read_rows(done.stdout)
    assert row["call"] == "error"
    assert "No image could be predicted" in done.stderr and "AUC" not in done.stderr
    shutil.copy(image, tmp_path)
    assert "ROC-AUC" in run("predict", tmp_path).stderr


def test_the_threshold_shown_is_the_one_of_the_calls(image: Path) -> None:
    told = {
        point: re.search(
            r"Leukaemic from a probability of ([\d.]+)",
            run("predict", image, "--operating-point", point).stderr,
        )
        for point in ("balanced", "sensitive")
    }
    assert told["balanced"] and told["sensitive"]
    assert float(told["sensitive"][1]) < float(told["balanced"][1])


def test_an_unknown_split_is_told_before_a_gpu_is_looked_for(
    cohort: Cohort, tmp_path: Path
) -> None:
    words = ("--split", "by-luck", "--device", "gpu", "--out", tmp_path / "run")
    assert "Unknown split 'by-luck'" in run("train", cohort.root, *words, expect=2).stderr


def test_an_unknown_device_is_a_usage_error(cohort: Cohort, tmp_path: Path) -> None:
    done = run("train", cohort.root, "--device", "tpu", "--out", tmp_path / "run", expect=2)
    assert "--device" in done.stderr


# --- python -m leukoscope


def test_a_folder_of_our_name_and_files_named_like_libraries(tmp_path: Path) -> None:
    (tmp_path / "leukoscope").mkdir()
    (tmp_path / "leukoscope" / "notes.txt").write_text("mine")
    for library in ("rich", "typer", "numpy"):
        (tmp_path / f"{library}.py").write_text("raise SystemExit('not the library')")
    done = subprocess.run(
        [sys.executable, "-m", "leukoscope", "predict", "gone.bmp"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and done.stderr.strip().startswith("Error: gone.bmp"), done.stderr


# --- training output


@pytest.mark.parametrize("too_soon", [0.0, 60.0])
def test_each_epoch_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    too_soon: float,
) -> None:
    """The time left is told when there is something to tell it by."""
    from leukoscope.cli import progress
    from leukoscope.cli.progress import TrainingDisplay

    monkeypatch.setattr(progress, "_TOO_SOON", too_soon)
    with TrainingDisplay.open(tmp_path / "run") as display:
        for number, name in enumerate(("kfold_1", "kfold_2", "final"), start=1):
            display.start_network(name, number, 3)
            for epoch in (1, 2):
                for step in range(1, 5):
                    display.show_step(EpochReport(epoch, 2, step, 4, 0.5, None))
                display.show_step(
                    EpochReport(epoch, 2, 4, 4, 0.5, 0.75, finished=True, seconds=3.0)
                )
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 + 3 * 2 and lines[0].startswith("Run: ")
    assert lines[1] == (
        "Fold 1 of 2, epoch 1 of 2: loss 0.500, validation AUC 0.750, 3 s"
        + ("" if too_soon else ", about 0 s left")
    )
    assert lines[4].startswith("Fold 2 of 2, epoch 2 of 2:")
    assert lines[6].startswith("Final network, epoch 2 of 2:")


def test_epochs_are_logged_as_tensorboard_reads_them(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs the extra train")
    tf = pytest.importorskip("tensorflow")
    from leukoscope.training.tensorboard import log_to_tensorboard

    log = log_to_tensorboard(tmp_path)
    for epoch in (1, 2):
        report = EpochReport(epoch, 2, 4, 4, 1 / epoch, 0.75, validation_loss=0.5, fold="kfold_1")
        log(report)  # of a step
        log(dataclasses.replace(report, finished=True))
    (file,) = (tmp_path / "kfold_1").iterdir()
    found = [
        (event.step, value.tag, float(tf.make_ndarray(value.tensor)))
        for record in tf.compat.v1.io.tf_record_iterator(str(file))
        for event in [tf.compat.v1.Event.FromString(record)]
        for value in event.summary.value
    ]
    assert found == [
        *((1, "loss", 1.0), (1, "validation_loss", 0.5), (1, "validation_auc", 0.75)),
        *((2, "loss", 0.5), (2, "validation_loss", 0.5), (2, "validation_auc", 0.75)),
    ]


def test_a_file_is_replaced_only_by_force(image: Path, table: Path, tmp_path: Path) -> None:
    """Each option that names a file to write."""
    kept = tmp_path / "kept.csv"
    for words in (
        ("predict", image, "--out", kept),
        ("aggregate", table, "--out", kept),
        ("data", "audit", image.parent, "--json", kept),
        ("data", "augmentations", image.parent, "--out", kept),
    ):
        kept.write_text("mine")
        said = run(*words, expect=2).stderr
        assert "kept.csv: it is there already. Expected a new name, or --force." in said
        assert kept.read_text() == "mine"
    run("predict", image, "--out", kept, "--force")
    assert kept.read_text().startswith("image,cell,")


@pytest.mark.parametrize("encoding", ["cp1252", "cp932", "ascii"])
def test_a_terminal_may_lack_letters(image: Path, encoding: str, tmp_path: Path) -> None:
    named = tmp_path / "Žofie–日.png"
    shutil.copy(image, named)
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    for words in (("predict", named), ("data", "audit", tmp_path), ("--help",)):
        command = [sys.executable, "-m", "leukoscope", *map(str, words)]
        done = subprocess.run(command, capture_output=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
