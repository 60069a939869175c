"""Every public function refuses arguments of another type or range in one sentence of ours."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import leukoscope as lk
from leukoscope import results
from leukoscope.arguments import RANGES
from leukoscope.cli import app
from leukoscope.settings import AugmentSettings
from leukoscope.simulate import CohortSettings, simulate_cohort
from leukoscope.training.augment import find_effects


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("arguments") / "cells"
    simulate_cohort(root, CohortSettings(subjects=12, cells=60, seed=1))
    return root


@pytest.fixture(scope="module")
def values(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a public function may be a method of, and what it needs."""
    image = lk.list_images(cells)[0]
    table = pd.DataFrame(
        {
            "image": [f"UID_{n % 20}_1_{n}_{'all' if n % 2 else 'hem'}.png" for n in range(60)],
            "label": ["all" if n % 2 else "hem" for n in range(60)],
            "probability": np.linspace(0, 1, 60),
        }
    )
    dataset = lk.read_dataset(cells)
    return {
        **{"images": image, "path": cells, "dataset": dataset, "predictions": table},
        **{"crops": dataset.crops[:1], "folder": tmp_path_factory.mktemp("out"), "name": "demo"},
        "run": "no/such/run",
        "Model": lk.load_model(),
        "ExplanationResult": lk.explain(image, progress=False),
        "Figure": results.Figure("<svg></svg>"),
        "Dataset": dataset,
        "AuditResult": lk.audit(dataset),
        "EvaluationResult": lk.evaluate(table, n_bootstrap=100),
        "SubjectResult": lk.aggregate(table, n_bootstrap=100),
    }


FILES = ("…", "no/such/thing")  # odd, but names of files
JUNK: list[Any] = [
    *(None, True, 3, -1, 0, 7.5, 450.0, float("nan"), 10**12, "", "…", "no/such/thing", b"x", "\0"),
    *([], [3], ["x"], [[1], [1, 2]], {}, {"a": 3}, {3: "a"}, {"a": "b"}, object(), len),
    *(pd.DataFrame({"a": [1]}), np.zeros(3), np.float64(0.5), Path("gone"), lk.Recipe),
]


def list_functions() -> dict[str, Callable[..., Any]]:
    """All public functions, and the public methods of public classes that take arguments."""
    found: dict[str, Callable[..., Any]] = {}
    for name in lk.__all__:
        thing = getattr(lk, name)
        if inspect.isclass(thing) and not issubclass(thing, BaseException):
            for key, method in vars(thing).items():
                if not key.startswith("_") and inspect.isfunction(method):
                    found[f"{name}.{key}"] = method
        elif callable(thing) and not inspect.isclass(thing):
            found[name] = thing
    return found


FUNCTIONS = list_functions()
CASES = [
    (function, parameter)
    for function, called in FUNCTIONS.items()
    for parameter in inspect.signature(called).parameters
    if parameter != "self"
]


def accept(function: str, parameter: str, value: Any) -> bool:
    """Whether junk is a value that the function may take after all."""
    default = inspect.signature(FUNCTIONS[function]).parameters[parameter].default
    nothing = isinstance(value, list | dict) and not value
    if value is None or isinstance(value, bool):
        taken = default is None if value is None else isinstance(default, bool)
        return taken or (parameter == "progress" and isinstance(value, bool))
    if parameter in RANGES:
        kind = int if isinstance(RANGES[parameter].low, int) else (int, float, np.floating)
        return isinstance(value, kind) and RANGES[parameter].holds(value)
    if parameter in {"out", "folder", "html", "json", "tensorboard"}:
        return isinstance(value, Path) or (isinstance(value, str) and value in FILES)
    if parameter in {"settings", "subject_from"}:  # the setting is epochs
        return isinstance(value, int if parameter == "settings" else str) and value in (3, "")
    if parameter in {"columns", "classes"}:
        return nothing and isinstance(value, dict)
    return nothing and parameter in {"callbacks", "scores"}


@pytest.mark.parametrize(("function", "parameter"), CASES, ids=str)
def test_junk_is_refused_in_a_sentence(
    function: str,
    parameter: str,
    values: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    called = FUNCTIONS[function]
    signature = inspect.signature(called)
    owner = function.partition(".")[0] if "." in function else None
    given = {
        name: values[owner] if name == "self" else values[name]
        for name, one in signature.parameters.items()
        if one.default is one.empty and one.kind is not one.VAR_KEYWORD and name != parameter
        if name == "self" or name in values
    }
    if function in {"read_dataset", "load_model", "Figure.save"} and parameter != "path":
        given["path"] = values["path"]
    refused = 0
    for junk in JUNK:
        if accept(function, parameter, junk):
            continue
        arguments = given | ({"epochs": junk} if parameter == "settings" else {parameter: junk})
        with warnings.catch_warnings(), pytest.raises(lk.LeukoscopeError) as caught:
            warnings.simplefilter("ignore")
            called(**arguments)
            pytest.fail(f"{function}({parameter}={junk!r}) is accepted")
        message = str(caught.value)
        assert 10 < len(message) < 400 and "\n" not in message, message
        assert message.endswith((".", "?", ")")), message
        refused += 1
    assert refused >= 10


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: lk.audit(pd.DataFrame()), "dataset = a DataFrame. Expected a Dataset"),
        (lambda: lk.evaluate(3), "predictions = 3. Expected a DataFrame, a run, or"),
        (lambda: lk.predict("a.png", 3), "model = 3. Expected a Model, a run"),
        (lambda: lk.train("x", callbacks=3), "callbacks = 3. Expected functions in a list"),
        (lambda: lk.aggregate("x", threshold=7), "threshold = 7. Expected a number, 0.0 to 1.0"),
        (lambda: lk.evaluate("x", n_bootstrap="many"), "n_bootstrap = 'many'. Expected a whole"),
        (lambda: lk.read_dataset("x", classes="…"), "classes = '…'. Expected words of the data"),
        (lambda: lk.read_dataset("x", frame_px=450.0), "frame_px = 450.0. Expected a whole"),
        (lambda: lk.read_dataset("x", turns=0), "turns = 0. Expected a whole number, 1 to 360"),
        (lambda: lk.make_split("x", seed="a"), "seed = 'a'. Expected a whole number, 0 to"),
        (lambda: lk.make_split("x", folds=0), "folds = 0. Expected a whole number, 2 or more"),
        (lambda: lk.read_dataset(None), "path = None. Expected a path"),
        (lambda: lk.explain("x", out=3), "out = 3. Expected a path"),
        (lambda: lk.list_images(""), "'': not a path"),
        (lambda: lk.train("x", subject_from="folder:1"), r"Expected it in read_dataset: train\("),
        (lambda: lk.read_recipe(3), "recipe = 3. Expected a name, a .toml file"),
    ],
)
def test_an_error_names_argument_and_fix(call: Callable[[], object], words: str) -> None:
    with pytest.raises(lk.LeukoscopeError, match=words):
        call()


def test_numbers_of_numpy_are_numbers(values: dict[str, Any]) -> None:
    given = {"n_bootstrap": np.int64(100), "seed": np.uint8(1), "threshold": np.float32(0.5)}
    plain = lk.evaluate(values["predictions"], n_bootstrap=100, seed=1, threshold=0.5)
    pd.testing.assert_frame_equal(lk.evaluate(values["predictions"], **given).scores, plain.scores)


def test_a_recipe_made_in_python_is_checked_as_a_file_is() -> None:
    recipe = lk.read_recipe("demo")
    assert lk.read_recipe(recipe) is recipe
    wrong = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, epochs=0))
    with pytest.raises(lk.SettingsError, match=r"training\.epochs = 0. Expected 1 to"):
        lk.read_recipe(wrong)
    with pytest.raises(lk.SettingsError, match=r"training = 3\. Expected TrainingSettings"):
        lk.read_recipe(dataclasses.replace(recipe, training=3))


def test_the_command_line_has_the_same_ranges() -> None:
    """Options and arguments of one name have one range, wherever they are given."""
    found: dict[str, set[tuple[Any, Any]]] = {}
    groups = [app, *(group.typer_instance for group in app.registered_groups)]
    for command in (command for group in groups for command in group.registered_commands):
        for name, option in inspect.signature(command.callback).parameters.items():
            for info in getattr(option.annotation, "__metadata__", ()):
                if info.min is not None:
                    ours = {"frame": "frame_px"}.get(name, name)
                    found.setdefault(ours, set()).add((info.min, info.max))
    for name, limits in RANGES.items():
        assert found[name] == {(limits.low, limits.high)}, name


FILES_READ: dict[str, Callable[[Any, Path], object]] = {
    "labels_csv": lambda has, file: lk.read_dataset(has["path"], labels_csv=file),
    "groups_csv": lambda has, file: lk.read_dataset(has["path"], groups_csv=file),
    "recipe": lambda _, file: lk.read_recipe(file.rename(file.with_suffix(".toml"))),
    "predictions": lambda _, file: lk.evaluate(file),
    "calibrate": lambda has, file: lk.aggregate(has["predictions"], calibrate=file),
    "model": lambda has, file: lk.predict(has["images"], file),
}


@pytest.mark.parametrize("fault", ["missing", "folder", "binary", "beneath a file"])
@pytest.mark.parametrize("name", FILES_READ)
def test_a_file_that_cannot_be_read_is_named_in_a_sentence(
    name: str, fault: str, values: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "named.csv"
    if fault == "folder":
        file.mkdir()
    elif fault == "binary":
        file.write_bytes(b"\x00\xff\xfe" * 99)
    elif fault == "beneath a file":
        (tmp_path / "plain").touch()
        file = tmp_path / "plain" / "named.csv"
    if name == "recipe" and fault in ("missing", "beneath a file"):
        with pytest.raises(lk.SettingsError, match="no such file"):
            lk.read_recipe(file.with_suffix(".toml"))
        return
    with pytest.raises(lk.LeukoscopeError) as caught:
        FILES_READ[name](values, file)
    message = str(caught.value)
    assert "named" in message and "Errno" not in message and "\n" not in message
    assert message.endswith(".")


def test_a_column_that_is_none_of_ours_is_named(values: dict[str, Any]) -> None:
    with pytest.raises(lk.DataError, match=r"'imag' on the left in `columns`.*mean image\?"):
        lk.evaluate(values["predictions"], columns={"imag": "image"})


def test_a_file_that_cannot_be_written_is_named(values: dict[str, Any], tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    for write in (
        lambda: values["EvaluationResult"].write(taken),
        lambda: values["AuditResult"].write(html=tmp_path),
        lambda: lk.explain(values["images"], out=taken / "within"),
        lambda: values["Figure"].save(taken / "roc.svg"),
    ):
        with pytest.raises(lk.DataError, match=r"cannot be read or written \(.*Check the path"):
            write()


def test_own_code_of_another_kind_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(lk.SettingsError, match=r"reader os:path is of type module.*a Reader\."):
        lk.read_dataset(values["path"], reader="os:path")
    with pytest.raises(lk.SettingsError, match=r"effect os:path .*Expected a function\."):
        find_effects(AugmentSettings(effects=("os:path",)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: pd.concat([table, table], axis=1), "'image' is in the table twice"),
        (lambda table: table.assign(label=[None, 1, "x"] * 20), "Column label: expected"),
        (lambda table: table.assign(label=[1, 0, None] * 20), "Column label: expected"),
    ],
)
def test_odd_tables_are_refused(
    change: Callable[[pd.DataFrame], pd.DataFrame], words: str, values: dict[str, Any]
) -> None:
    for judge in (lk.evaluate, lk.aggregate):
        with pytest.raises(lk.DataError, match=words):
            judge(change(values["predictions"]), n_bootstrap=100)
