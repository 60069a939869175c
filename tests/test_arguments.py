"""Every public function refuses arguments of another type or range in one sentence of ours."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
import typer

import leukoscope as lk
from leukoscope import results
from leukoscope.arguments import RANGES
from leukoscope.cli import app
from leukoscope.simulate import CohortSettings, simulate_cohort


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
        "Model": lk.load_model(),
        "Figure": results.Figure("<svg></svg>"),
        "Dataset": dataset,
        "AuditResult": lk.audit(dataset),
        "EvaluationResult": lk.evaluate(table, n_bootstrap=100),
        "SubjectResult": lk.aggregate(table, n_bootstrap=100),
    }


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


def accept(function: str, parameter: str, value: Any, cells: Path) -> bool:
    """Whether junk is a value that the function may take after all."""
    default = inspect.signature(FUNCTIONS[function]).parameters[parameter].default
    if value is None:
        return default is None or parameter in ("html", "json")
    if isinstance(value, bool):
        return isinstance(default, bool) or parameter == "progress"
    if parameter in RANGES:
        whole = isinstance(RANGES[parameter].low, int)
        fits = isinstance(value, int) if whole else isinstance(value, int | float | np.floating)
        return fits and RANGES[parameter].holds(value)
    if parameter in {"out", "folder", "html", "json"} or function == "Figure.save":
        return isinstance(value, Path) or value in ("…", "no/such/thing")
    if isinstance(value, list | dict) and not value:  # nothing to rename, to call, to score
        return parameter in {"columns", "classes", "callbacks", "scores", "settings"}
    return (parameter == "subject_from" and value in ("", "no/such/thing")) or (
        parameter == "classes" and value == {}
    )


@pytest.mark.parametrize(("function", "parameter"), CASES, ids=lambda word: str(word))
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
        if accept(function, parameter, junk, tmp_path):
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
