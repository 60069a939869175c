"""Architecture rules: which package may import which, and what loads without TensorFlow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leukoscope.cli.options import ARGUMENTS

SOURCE = Path(__file__).parents[1] / "src" / "leukoscope"

# What each room may import besides itself. A key may name a module within a room; the longest
# key that fits an import, or a file, is its room.
VALUES = {"errors", "arguments", "labels", "arrays", "logits", "machine", "registry"}
FILES = VALUES | {"settings", "io", "io.files", "records"}
CELLS = FILES | {"cells", "datasets.spec"}
TABLES = CELLS | {"predictions", "datasets"}
ROOMS: dict[str, set[str]] = {
    "": {"machine", "api", "errors", "results", "settings", "workflow"},
    "errors": set(),
    "arguments": {"errors"},
    "labels": set(),
    "arrays": set(),
    "logits": set(),
    "machine": set(),
    "notices": set(),
    "quiet": set(),
    "registry": {"errors"},
    "io.files": {"errors"},
    "settings": {"errors", "arguments", "registry", "io.files"},
    "datasets.spec": {"labels"},
    "upgrades": {"datasets", "settings"},
    "records": VALUES | {"settings", "datasets.spec", "upgrades"},
    "io": VALUES | {"records", "io.files"},
    "cells": FILES | {"datasets.spec"},
    "datasets": FILES | {"datasets.spec", "notices", "registry"},
    "catalogue": CELLS | {"datasets", "notices"},
    "splits": VALUES | {"datasets.spec", "notices", "records", "upgrades"},
    "predictions": FILES | {"datasets", "datasets.spec"},
    "inference": CELLS,
    "models": VALUES | {"settings", "cells", "quiet"},
    "exporters": CELLS | {"models", "inference"},
    "evaluation": TABLES,
    "training": TABLES
    | {"models", "exporters", "inference", "catalogue", "splits", "evaluation", "notices", ""},
    "explanation": CELLS | {"inference"},
    "simulate": CELLS | {"datasets", "notices"},
    "report": TABLES | {"notices", "evaluation", "catalogue", "explanation"},
    "serve": CELLS
    | {"datasets.spec", "notices", "inference", "evaluation", "explanation", "simulate", ""},
    "workflow": TABLES
    | {"notices", "catalogue", "splits", "inference", "models", "training", "evaluation"}
    | {"exporters"}
    | {"explanation", "report", "serve", "simulate"},
    "inputs": FILES | {"inference"},
    "progress": set(),
    "results": TABLES | {"catalogue", "evaluation", "notices", "report"},
    "api": TABLES
    | {"catalogue", "evaluation", "inference", "inputs", "notices", "progress", "results"}
    | {"splits", "training", "workflow"},
    "cli": TABLES
    | {
        "catalogue",
        "evaluation",
        "exporters",
        "inference",
        "notices",
        "quiet",
        "report",
        "simulate",
    }
    | {"training", "workflow", ""},
    "__main__": {"cli"},
}


def list_imports(path: Path) -> set[str]:
    """Our modules that a file imports, at its top or within its functions; "" is the package.

    A text that is the name of one of our modules counts too: `importlib.import_module`, a registry
    or `find_spec` loads by it.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            base = node.module or ""
            inner = {f"{base}.{alias.name}" for alias in node.names}
            modules = {name for name in inner if is_module(name)}
            names |= modules if modules == inner else {base, *modules}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.rstrip(".")  # f"leukoscope.cli.{command}" begins so
            names |= {name} if "." in name and is_module(name) else set()
    ours = {name for name in names if f"{name}.".startswith("leukoscope.")}
    return {name.removeprefix("leukoscope").removeprefix(".") for name in ours}


def is_module(name: str) -> bool:
    """Whether a name is that of one of our modules."""
    parts = name.split(".")
    place = SOURCE.parent.joinpath(*parts)
    ours = parts[0] == "leukoscope" and all(part.isidentifier() for part in parts)
    return ours and (place.is_dir() or place.with_suffix(".py").exists())


def find_room(module: str) -> str:
    """The longest key of ROOMS that a module is in."""
    fitting = [room for room in ROOMS if f"{module}.".startswith(f"{room}.") or room == module]
    assert fitting, f"leukoscope.{module} is in no room of the house: add it to ROOMS"
    return max(fitting, key=len)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.stem)
def test_imports_point_up_the_house(path: Path) -> None:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    room = find_room(".".join(part for part in parts if part != "__init__"))
    found = {find_room(module) for module in list_imports(path)}
    assert found - {room} <= ROOMS[room]


@pytest.mark.parametrize("room", sorted(room for room in ROOMS if room and room != "__main__"))
def test_every_room_has_a_test(room: str) -> None:
    tests = [
        path for path in Path(__file__).parent.glob("test_*.py") if path.name != "test_house.py"
    ]
    asked = {name for path in tests for name in list_imports(path)}
    if room in {"quiet", "cli"}:  # tried as a program
        assert (Path(__file__).parent / f"test_{room}.py").exists()
        return
    if room in {"api", "inputs", "progress", "results", "io.files"}:  # tried as the package
        room = ""
    assert any(name == room or name.startswith(f"{room}.") for name in asked), room


_KNOWS = re.compile(r"UID_|\bhem\b|datasets\.cnmc")
_LAID_OUT_SO = "simulate/plan.py"  # the simulator writes files as Kaggle's C-NMC has them


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.stem)
def test_no_module_but_the_data_sets_knows_one(path: Path) -> None:
    """Its names and words come with its spec; examples in docstrings may be of it."""
    where = path.relative_to(SOURCE).as_posix()
    if where.startswith("datasets/") or where == _LAID_OUT_SO:
        return
    tree = ast.parse(path.read_text())
    told = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if has_docstring(node)}
    words = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    said = [word for word in words if isinstance(word, str) and word not in told]
    assert not [word for word in (*said, *list_imports(path)) if _KNOWS.search(word)]


def has_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)


@pytest.mark.parametrize(
    ("code", "room"),
    [
        ("import leukoscope.cli.data", "cli"),
        ("import leukoscope.cli.data as x", "cli"),
        ("def late():\n    from leukoscope.serve.app import build_app", "serve"),
        ("from leukoscope import __version__", ""),
        ("from leukoscope import workflow", "workflow"),
        ("from leukoscope import workflow as x", "workflow"),
        ("from leukoscope.workflow import training", "workflow"),
        ("importlib.import_module('leukoscope.serve')", "serve"),
        ("__import__('leukoscope.serve.app')", "serve"),
        ("import_module(f'leukoscope.serve.{name}')", "serve"),
        ("Registry('x', 'leukoscope.models', 'X')", "models"),
    ],
)
def test_the_rules_see_every_way_to_import(code: str, room: str, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(code)
    assert {find_room(module) for module in list_imports(file)} == {room}


def test_a_relative_import_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from . import workflow")
    with pytest.raises(AssertionError, match="relative"):
        list_imports(tmp_path / "a.py")


@pytest.mark.parametrize(
    "module",
    [
        *("", "api", "catalogue", "cli", "datasets", "evaluation", "explanation", "exporters"),
        *("inference", "predictions", "records", "registry", "report", "results", "serve"),
        *("settings", "simulate", "splits"),
    ],
)
def test_no_tensorflow_where_none_is_needed(module: str) -> None:
    code = (
        f"import sys, {f'leukoscope.{module}'.rstrip('.')}\n"
        "heavy = {'tensorflow', 'keras', 'torch', 'jax'} & set(sys.modules)\n"
        "sys.exit(f'loads {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_is_fast() -> None:
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "leukoscope", "--help"], capture_output=True, check=True
        )
        seconds.append(time.monotonic() - started)
    assert min(seconds) < 1.0  # 0.2 to 0.3 s on a free machine; CI's may be busy


def test_predicting_loads_no_pandas() -> None:
    code = "import sys, leukoscope.inference.stream; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_exports_are_sorted_and_there() -> None:
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        names = [
            node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "__all__"
        ]
        for value in names:
            listed = ast.literal_eval(value)
            assert listed == sorted(set(listed), key=_find_place), path
            bound = {name for node in ast.walk(tree) for name in _list_bound(node)}
            assert set(listed) <= bound, (path, set(listed) - bound)


def _find_place(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions, each by name."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def _list_bound(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name) for alias in node.names]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    return []


def list_texts(path: Path) -> list[str]:
    """All texts of a file but its docstrings."""
    tree = ast.parse(path.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [node.value for node in found if isinstance(node.value, str) and id(node) not in docs]


BELOW = [
    path
    for path in SOURCE.rglob("*.py")
    if "cli" not in path.relative_to(SOURCE).parts and path.name != "contract.py"  # names of JSON
]


@pytest.mark.parametrize("path", sorted(BELOW), ids=lambda path: path.stem)
def test_errors_make_sense_in_python_and_on_the_command_line(path: Path) -> None:
    """They name arguments in backticks, as in Python; the command line has a name for each."""
    fields = {"files", "subject"}  # of a form, and of a pattern
    for text in list_texts(path):
        assert not re.search(r"(^|[\s(`'\"])--[a-z]", text), f"an option: {text}"
        assert set(re.findall("`([a-z_]+)`", text)) <= ARGUMENTS.keys() | fields, text


def test_installing_is_told_as_it_works() -> None:
    """The package is on no index: only a clone can be installed."""
    root = SOURCE.parents[1]
    files = [*SOURCE.rglob("*.py"), *(root / "docs").rglob("*.md"), root / "README.md"]
    for path in [*files, *(root / "docs").rglob("*.ipynb")]:
        told = re.findall(r"pip install [^\n&`]*leukoscope", path.read_text("utf-8"))
        assert not told, (path, told)


def test_no_real_cell_is_in_the_repository() -> None:
    root = SOURCE.parents[1]
    listed = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False
    ).stdout.split()
    suffixes = (".bmp", ".webp", ".tif", ".tiff", ".jpg", ".jpeg")
    assert [name for name in listed if name.lower().endswith(suffixes)] == []
