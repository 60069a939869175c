"""Architecture rules: which package may import which, and what loads without TensorFlow."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "leukoscope"

# What each room may import besides itself. A key may name a module within a room; the longest
# key that fits an import, or a file, is its room.
VALUES = {"errors", "labels", "arrays", "logits", "machine", "registry"}
FILES = VALUES | {"settings", "io", "records"}
CELLS = FILES | {"cells", "datasets.spec"}
TABLES = CELLS | {"predictions", "datasets"}
ROOMS: dict[str, set[str]] = {
    "": {"api", "errors", "results", "settings"},
    "errors": set(),
    "labels": set(),
    "arrays": set(),
    "logits": set(),
    "machine": set(),
    "notices": set(),
    "quiet": set(),
    "registry": {"errors"},
    "settings": {"errors", "registry"},
    "datasets.spec": {"labels"},
    "records": VALUES | {"settings", "datasets.spec", "datasets", "splits"},
    "io": VALUES | {"records"},
    "cells": FILES | {"datasets.spec"},
    "datasets": FILES | {"datasets.spec", "notices", "registry"},
    "catalogue": CELLS | {"datasets", "notices"},
    "splits": VALUES | {"datasets.spec"},
    "predictions": FILES | {"datasets", "datasets.spec"},
    "inference": CELLS,
    "models": VALUES | {"settings", "cells", "quiet"},
    "exporters": CELLS | {"models", "inference"},
    "evaluation": TABLES,
    "training": TABLES
    | {"models", "exporters", "inference", "catalogue", "splits", "evaluation", "notices", ""},
    "explanation": CELLS | {"inference"},
    "simulate": CELLS | {"notices"},
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
    """Our modules that a file imports, at its top or within its functions; "" is the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
            assert not node.level, f"{path}: a relative import"
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name == "leukoscope" or name.startswith("leukoscope."):
                found.add(name.removeprefix("leukoscope").removeprefix("."))
    return found


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
    if room in {"api", "inputs", "progress", "results"}:  # tried as the package
        room = ""
    assert any(name == room or name.startswith(f"{room}.") for name in asked), room


def test_the_rules_see_every_way_to_import(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        "import leukoscope.cli.data\n"
        "def late():\n    from leukoscope.serve.app import build_app\n"
        "from leukoscope import __version__\n"
    )
    assert {find_room(module) for module in list_imports(file)} == {"cli", "serve", ""}


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
            assert len(listed) == len(set(listed)), path
            bound = {name for node in ast.walk(tree) for name in _list_bound(node)}
            assert set(listed) <= bound, (path, set(listed) - bound)


def _list_bound(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name) for alias in node.names]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    return []


def test_no_real_cell_is_in_the_repository() -> None:
    root = SOURCE.parents[1]
    listed = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False
    ).stdout.split()
    suffixes = (".bmp", ".webp", ".tif", ".tiff", ".jpg", ".jpeg")
    assert [name for name in listed if name.lower().endswith(suffixes)] == []
