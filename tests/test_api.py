"""The Python API: its examples, what it takes and gives back, and that importing it is free."""

from __future__ import annotations

import ast
import copy
import dataclasses
import doctest
import importlib
import importlib.util
import inspect
import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import leukoscope as lk
from leukoscope import arguments, errors, results, settings
from leukoscope.api import data, evaluating, predicting, training
from leukoscope.catalogue import read_catalogue
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.notices import RESEARCH_ONLY
from leukoscope.simulate import CohortSettings, simulate_cohort
from leukoscope.workflow import explanation
from leukoscope.workflow.prediction import predict_images

needs_keras = pytest.mark.skipif(
    importlib.util.find_spec("keras") is None, reason="needs the extra train"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds 60 simulated cells of 12 subjects in cells/."""
    made = tmp_path_factory.mktemp("api")
    simulate_cohort(made / "cells", CohortSettings(subjects=12, cells=60, seed=1))
    return made


@pytest.fixture
def cells(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images; the current folder holds cells/, and nothing else."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells").symlink_to(folder / "cells")
    return lk.list_images("cells/")


# --- examples

RESULTS = (results.data, results.display, results.run, results.scores)
API = (predicting, data, training, evaluating)
EXAMPLES = {
    test.name.removeprefix("."): test
    for module in (*API, *RESULTS, settings, arguments, errors, explanation)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, "")
    if test.examples
}
NEED_A_RUN = {"train", "export", "TrainedRun.plot_history"}


def run_example(name: str) -> str:
    """Why an example fails; "" where it passes."""
    told: list[str] = []
    doctest.DocTestRunner().run(EXAMPLES[name], out=told.append, clear_globs=False)
    return "".join(told)


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - NEED_A_RUN))
def test_examples_do_what_they_say(name: str, cells: list[str]) -> None:
    assert not run_example(name)


def test_every_public_function_has_an_example() -> None:
    public = {name: getattr(lk, name) for name in lk.__all__}
    named = {name for name, thing in public.items() if inspect.isfunction(thing)}
    for name, thing in public.items():
        if inspect.isclass(thing):
            own = [key for key, value in vars(thing).items() if inspect.isfunction(value)]
            named |= {f"{name}.{key}" for key in own if not key.startswith("_")}
    assert len(named) > 25
    assert named <= EXAMPLES.keys()


@pytest.fixture(scope="module")
def trained(folder: Path) -> tuple[str, lk.TrainedRun]:
    """Output of the example of train, and its run: two tiny networks, no final one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        told = run_example("train")
        return told, EXAMPLES["train"].globs["run"]


# --- exports


def test_exports_are_those_that_can_be_imported() -> None:
    for name in lk.__all__:
        assert getattr(lk, name) is not None
        assert name in dir(lk)
    with pytest.raises(AttributeError, match="no attribute 'predicts'"):
        _ = lk.predicts
    tree = ast.parse(Path(lk.__file__).read_text())
    typed = {
        alias.name: node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("leukoscope.")
        for alias in node.names
    }
    assert set(typed) == set(lk.__all__) - {"__version__"}  # what mypy and editors see
    for name, module in typed.items():
        assert getattr(lk, name) is getattr(importlib.import_module(module), name)
    assert set().union(*(module.__all__ for module in API)) <= set(lk.__all__)


def test_importing_is_free() -> None:
    code = (
        "import time; started = time.perf_counter()\n"
        "import leukoscope\n"
        "print(time.perf_counter() - started)\n"
        "import sys; print({'pandas', 'tensorflow', 'numpy'} & set(sys.modules))"
    )
    seconds = []
    for _ in range(5):
        told = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert told[1] == "set()"
        seconds.append(float(told[0]))
    assert min(seconds) < 0.05  # 1 to 3 ms on a free machine


# --- images


def test_paths_arrays_and_pillow_images_give_the_same_prediction(cells: list[str]) -> None:
    model = lk.load_model()
    name = cells[0]
    with Image.open(name) as opened:
        array = np.asarray(opened.convert("RGB"))
        tables = {
            "string": model.predict(name),
            "path": model.predict(Path(name)),
            "list": model.predict([name, Path(cells[1])]),
            "array": model.predict(array),
            "stack": model.predict(np.stack([array, array])),
            "pillow": model.predict(opened),
            "mixed": model.predict([opened, name, array]),
            "generator": model.predict(item for item in [array]),
        }
    values = {round(value, 12) for table in tables.values() for value in table["probability"][:1]}
    assert len(values) == 1
    assert [len(tables[kind]) for kind in ("list", "stack", "mixed")] == [2, 2, 3]
    assert list(tables["stack"]["image"]) == ["image_0", "image_1"]
    assert tables["pillow"]["image"][0] == Path(name).name
    (answer,) = predict_images([Path(name)])[0]
    assert tables["string"]["probability"][0] == answer.probability


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((450, 450)), "Expected RGB as uint8"),
        (np.zeros((450, 450, 3)), "float64"),
        (np.zeros((450, 450, 4), np.uint8), "Expected RGB as uint8"),
        (Image.new("CMYK", (450, 450)), "CMYK pixels"),
        ([], "No image"),
        (7, "int: not an image"),
        ("gone.bmp", "no such file"),
    ],
)
def test_non_images_are_refused(images: object, words: str) -> None:
    with pytest.raises(lk.DataError, match=words):
        lk.predict(images)  # type: ignore[arg-type]


def test_one_bad_image_is_a_row(cells: list[str], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"none")
    table = lk.predict([cells[0], "bad.png"])
    assert list(table["call"])[1] == "error" and np.isnan(table["probability"][1])


def test_crops_must_be_crops() -> None:
    with pytest.raises(lk.DataError, match="for whole images use predict"):
        lk.load_model().predict_batch(np.zeros((1, 450, 450, 3), np.uint8))


def test_the_sensitive_point_calls_at_the_models_other_threshold(cells: list[str]) -> None:
    model = lk.load_model()
    table = model.predict(cells[:1], operating_point="sensitive")
    assert table["threshold"][0] == model.metadata.decision.sensitive_threshold
    with pytest.raises(lk.SettingsError, match="balanced or sensitive"):
        model.predict(cells[:1], operating_point="high")


def test_nothing_is_printed_into_pipes(cells: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    lk.predict(cells[:1])
    assert capfd.readouterr() == ("", "")
    lk.predict(cells[:1], progress=True)
    told = capfd.readouterr()
    assert told.out == "" and "Images: 1 of 1" in told.err


# --- tables


def build_table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    sick = np.arange(120) % 2
    return pd.DataFrame(
        {
            "file": [f"{number}.png" for number in range(120)],
            "patient": np.arange(120) % 20,
            "truth": np.where(sick, "all", "hem"),
            "p": np.clip(random.normal(0.4 + 0.2 * sick, 0.2, 120), 0, 1),
        }
    )


COLUMNS = {"image": "file", "subject": "patient", "label": "truth", "probability": "p"}


def test_a_table_with_other_columns_is_evaluated_and_aggregated(tmp_path: Path) -> None:
    table = build_table()
    before = table.copy()
    table.to_csv(tmp_path / "mine.csv", index=False)
    mine = lk.evaluate(table, columns=COLUMNS, n_bootstrap=100)
    read = lk.evaluate(tmp_path / "mine.csv", columns=COLUMNS, n_bootstrap=100)
    pd.testing.assert_frame_equal(mine.scores, read.scores)
    pd.testing.assert_frame_equal(table, before)
    assert 0.6 < mine.scores.loc["roc_auc", ("by_cell", "value")] < 0.95
    people = lk.aggregate(table, columns=COLUMNS, n_bootstrap=100)
    assert len(people.table) == 20
    with pytest.raises(lk.DataError, match="No column 'score'"):
        lk.evaluate(table, columns={"probability": "score"})


def test_predictions_are_evaluated_at_their_own_threshold(cells: list[str]) -> None:
    table = lk.predict(cells, operating_point="sensitive")
    table["label"] = table["image"].str.extract("_(all|hem)[.]", expand=False)
    result = lk.evaluate(table, n_bootstrap=100)
    assert result.evaluation.thresholds == (table["threshold"][0],) * 2
    called = {calls["leukaemic"] for calls in result.evaluation.confusion.values()}
    assert sum(called) == (table["call"] == "leukaemic").sum()


def test_a_csv_of_predictions_keeps_its_subjects_and_threshold(
    cells: list[str], tmp_path: Path
) -> None:
    table = lk.predict(cells, operating_point="sensitive")
    assert set(table["subject"]) == set(lk.read_dataset("cells/").table["subject"])
    sensitive = lk.load_model().metadata.decision.sensitive_threshold
    assert set(table["threshold"]) == {sensitive}
    numbered = table.assign(
        image=[f"{n}.bmp" for n in range(len(table))],
        label=table["image"].str.extract("_(all|hem)[.]", expand=False),
    )
    numbered.to_csv(tmp_path / "p.csv", index=False)
    result = lk.evaluate(tmp_path / "p.csv", n_bootstrap=100)
    assert result.evaluation.thresholds == (table["threshold"][0],) * 2
    assert len(result.subjects) == table["subject"].nunique() == 12
    assert len(lk.aggregate(tmp_path / "p.csv", n_bootstrap=100).table) == 12


def test_a_model_says_how_its_tables_are_read() -> None:
    table = pd.DataFrame(
        {"image": ["P1-a.png", "P2-b.png"], "label": ["early", "benign"], "probability": [0.9, 0.1]}
    )
    words = {"early": "leukaemic", "benign": "normal"}
    spec = DatasetSpec("mine", "folders", subject_from="(P[0-9])", depth=0, class_words=words)
    shipped = lk.load_model()
    model = lk.Model(copy.copy(shipped._classifier), "mine")
    model._classifier.metadata = dataclasses.replace(shipped.metadata, dataset=spec)
    pixels = np.zeros((225, 225, 3), np.uint8)
    anything = dataclasses.replace(spec, subject_from="([a-z0-9]+)")
    model._classifier.metadata = dataclasses.replace(shipped.metadata, dataset=anything)
    assert model.predict(pixels)["subject"].tolist() == [""]  # image_0 is our name for it
    model._classifier.metadata = dataclasses.replace(shipped.metadata, dataset=spec)
    result = lk.evaluate(table, model=model, n_bootstrap=100)
    assert set(result.subjects["subject"]) == {"P1", "P2"}
    unlabelled = table.drop(columns="label")
    assert len(lk.aggregate(unlabelled, model=model, n_bootstrap=100).table) == 2
    with pytest.raises(lk.DataError, match=r"missing: subject.*`model`"):
        lk.evaluate(table)
    with pytest.raises(lk.DataError, match=r"label: .*received 'benign', 'early'.*`model`"):
        lk.evaluate(table.assign(subject="7"))


def test_a_data_set_is_trained_on_as_it_was_read(folder: Path, tmp_path: Path) -> None:
    """Its folder alone would be read another way than the CSV that named it."""
    rows = ["image,label,subject"]
    for place, path in enumerate(sorted((folder / "cells").rglob("*.bmp"))[::5]):
        shutil.copy(path, tmp_path / f"{place}.bmp")
        rows.append(f"{place}.bmp,{path.stem.split('_')[-1]},P{place % 4}")
    (tmp_path / "cells.csv").write_text("\n".join(rows))
    dataset = lk.read_dataset(tmp_path / "cells.csv")
    assert set(dataset.table["subject"]) == {"P0", "P1", "P2", "P3"}
    again = read_catalogue(dataset.path, **dataset.options)
    pd.testing.assert_frame_equal(again.table, dataset.table)
    assert again.options == dataset.catalogue.options


def test_results_have_a_repr(cells: list[str], tmp_path: Path) -> None:
    table = build_table()
    result = lk.evaluate(table, columns=COLUMNS, n_bootstrap=100)
    ds = lk.read_dataset("cells")
    shown = [result, lk.aggregate(table, columns=COLUMNS), ds, lk.audit(ds), lk.load_model()]
    for value in shown:
        assert RESEARCH_ONLY in value._repr_html_()
        assert "DataFrame" not in repr(value) and len(repr(value)) < 6000
    assert "Simulated cells" in ds._repr_html_()
    for draw in ("roc", "precision_recall", "confusion", "reliability", "subjects"):
        figure = getattr(result, f"plot_{draw}")()
        assert figure._repr_svg_().startswith("<svg")
    assert result.write(tmp_path / "out").exists()


def test_a_split_shows_its_folds(cells: list[str]) -> None:
    split = lk.make_split("cells", folds=2)
    assert isinstance(split, lk.Split) and list(split.counts["evaluated"]) == [27, 33]
    assert "no person on both sides" in repr(split)
    assert RESEARCH_ONLY in split._repr_html_() and "kfold_2" in split._repr_html_()
    assert "people on both sides" in repr(lk.make_split("cells", "random", folds=2))


def test_a_figure_is_saved_as_what_its_suffix_says(tmp_path: Path) -> None:
    figure = results.Figure("<svg></svg>")
    assert figure.save(tmp_path / "a.SVG").read_text() == "<svg></svg>"
    for name in ("roc.png", "roc", "roc.svg.pdf"):
        with pytest.raises(lk.SettingsError, match=r"ends in \.svg"):
            figure.save(tmp_path / name)
        assert not (tmp_path / name).exists()


def test_unlabelled_cells_have_no_figure(tmp_path: Path) -> None:
    for number in range(2):
        Image.new("RGB", (64, 64), (90, 20, 60 + number)).save(tmp_path / f"{number}.png")
    with pytest.raises(lk.DataError, match="no cell with a label"):
        lk.audit(tmp_path).plot_areas()


def test_a_note_of_an_old_name_points_at_the_users_line(cells: list[str]) -> None:
    with pytest.warns(lk.RenamedWarning, match="now called group-kfold") as noted:
        lk.make_split("cells", "subject-cv", folds=2)
    with pytest.warns(lk.RenamedWarning, match="now called batch_size") as changed:
        settings.change_recipe(lk.read_recipe("demo"), {"batch": 8})
    assert {note.filename for note in (*noted, *changed)} == {__file__}


# --- training


def test_a_taken_folder_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(lk.RunError, match="not empty"):
        lk.train(tmp_path / "gone", tmp_path / "run")


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(lk.SettingsError, match="Did you mean epochs"):
        lk.train(tmp_path, tmp_path / "run", epoch=3)
    with pytest.raises(lk.SettingsError, match="Expected 1 to"):
        lk.train(tmp_path, tmp_path / "run", epochs=0)
    with pytest.raises(lk.SettingsError, match="Unknown device"):
        lk.train(tmp_path, tmp_path / "run", device="tpu")


@needs_keras
def test_the_example_of_training(trained: tuple[str, lk.TrainedRun]) -> None:
    assert not trained[0]


@needs_keras
def test_a_run_is_accepted_by_all_later_steps(
    trained: tuple[str, lk.TrainedRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained[1]
    assert set(run.history["fold"]) == {"kfold_1", "kfold_2"} and len(run.history) == 2
    assert "demo (epochs=1)" in repr(run) and "Simulated cells" in run._repr_html_()
    monkeypatch.chdir(tmp_path)
    EXAMPLES["TrainedRun.plot_history"].globs["run"] = run
    assert not run_example("TrainedRun.plot_history")
    monkeypatch.chdir(Path(run).parent)
    assert not run_example("export")
    assert len(lk.evaluate(run, n_bootstrap=100).subjects) == 12
    assert len(lk.aggregate(run, n_bootstrap=100).table) == 12
    record = json.loads((run.folder / "run.json").read_text())
    assert record["data"]["read"]["reader"] == record["dataset"]["reader"] == "cnmc"
    with pytest.raises(lk.RunError, match="no final model"):
        lk.load_model(run)
    with pytest.raises(lk.RunError, match="a run is there already"):
        lk.train("cells/", run)


# --- the notebook

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebooks" / "quickstart.ipynb"


@pytest.mark.slow
@needs_keras
def test_the_notebook_runs_and_shows_what_it_makes(tmp_path: Path) -> None:
    pytest.importorskip("nbclient", reason="needs the extra dev")
    pytest.importorskip("ipykernel", reason="needs the extra dev")
    code = (
        "import sys, nbclient, nbformat\n"
        "book = nbformat.read(sys.argv[1], 4)\n"
        "assert not any(cell.get('outputs') for cell in book.cells), 'committed with outputs'\n"
        "nbclient.NotebookClient(book, timeout=300, kernel_name='python3').execute()\n"
        "nbformat.write(book, 'done.ipynb')"
    )
    subprocess.run([sys.executable, "-c", code, str(NOTEBOOK)], cwd=tmp_path, check=True)
    text = (tmp_path / "done.ipynb").read_text()
    for shown in ("image/svg+xml", "text/html", "Simulated cells", RESEARCH_ONLY, "data:image/png"):
        assert shown in text


def test_listing_images_takes_what_has_paths(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", b"x")
    with pytest.raises(lk.DataError, match="in a zip have no paths"):
        lk.list_images(tmp_path / "a.zip")
    with pytest.raises(lk.DataError, match="received pixels"):
        lk.list_images(np.zeros((8, 8, 3), np.uint8))


def test_a_model_pickles_and_predicts_the_same() -> None:
    """As workers of Ray, Dask or multiprocessing need it."""
    model = lk.load_model()
    crops = np.random.default_rng(0).integers(0, 255, (2, 225, 225, 3), np.uint8)
    copy = pickle.loads(pickle.dumps(model))
    assert copy.name == model.name and copy.key == model.key
    assert np.array_equal(copy.predict_batch(crops)[0], model.predict_batch(crops)[0])


def test_dir_lists_the_public_names_alone() -> None:
    assert [name for name in dir(lk) if not name.startswith("__")] == [
        name for name in lk.__all__ if not name.startswith("__")
    ]
