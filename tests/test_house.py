"""The house's rules: who may import whom, and what loads without TensorFlow."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "leukoscope"

# Each stage may import itself, those above it in this list, and what stands behind it.
LOWEST = {"errors", "labels", "machine", "files", "quiet"}
MAY_IMPORT = {
    "errors": set(),
    "labels": set(),
    "machine": set(),
    "files": set(),
    "quiet": set(),
    "settings": {"errors"},
    "pixels": {"errors"},
    "runs": LOWEST,
    "sources": LOWEST | {"pixels"},
    "cells": LOWEST | {"pixels", "sources"},
    "checks": LOWEST | {"pixels"},
    "notices": set(),
    "simulate": LOWEST | {"pixels", "notices"},
    "catalogue": LOWEST | {"pixels", "sources", "cells", "notices"},
    "split": LOWEST | {"catalogue"},
    "augment": LOWEST | {"pixels", "settings"},
    "batches": LOWEST | {"pixels", "settings", "augment"},
    "model": LOWEST | {"pixels", "settings"},
    "train": LOWEST | {"pixels", "settings", "batches", "model"},
    "inference": LOWEST | {"pixels", "decide"},
    "novelty": set(),
    "export": LOWEST | {"pixels", "inference", "novelty", "model"},
    "predictions": LOWEST,
    "decide": LOWEST | {"predictions"},
    "evaluate": LOWEST | {"predictions"},
    "measure": LOWEST | {"pixels"},
    "explain": LOWEST | {"pixels", "sources", "measure", "predict"},
    "summarise": LOWEST | {"predictions", "evaluate"},
    "report": LOWEST
    | {"notices", "pixels", "predictions", "evaluate", "catalogue", "measure", "explain"},
    "predict": LOWEST | {"pixels", "sources", "checks", "decide", "inference"},
    "serve": LOWEST
    | {"notices", "pixels", "sources", "inference", "predict", "simulate", "measure", "explain"},
}
FREE = {"workflow", "cli"}


def list_imports(path: Path) -> set[str]:
    """Our modules that a file imports, at its top or within its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("leukoscope."):
            found.add((node.module or "").split(".")[1])
    return found


def find_stage(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.stem)
def test_imports_point_up_the_house(path: Path) -> None:
    stage = find_stage(path)
    if stage in FREE or stage.startswith("__"):
        return
    assert list_imports(path) - {stage} <= MAY_IMPORT[stage]


@pytest.mark.parametrize(
    "module",
    [
        "catalogue",
        "split",
        "predictions",
        "decide",
        "evaluate",
        "report",
        "cli",
        "predict",
        "simulate",
        "measure",
        "explain",
        "summarise",
        "serve",
    ],
)
def test_no_tensorflow_where_none_is_needed(module: str) -> None:
    code = (
        f"import sys, leukoscope.{module}\n"
        "heavy = {'tensorflow', 'keras', 'torch', 'jax'} & set(sys.modules)\n"
        "sys.exit(f'loads {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_answers_at_once() -> None:
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "leukoscope", "--help"], capture_output=True, check=True
        )
        seconds.append(time.monotonic() - started)
    assert min(seconds) < 1.0  # 0.2 to 0.3 s on a free machine; CI's may be busy


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
