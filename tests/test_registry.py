"""Registries: what is built in is found by being there, a user's own by its import path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leukoscope.errors import SettingsError
from leukoscope.registry import Registry, find_entry, is_import_path


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[int]]:
    """A package of three modules, one of which cannot be imported and one is no entry."""
    folder = tmp_path / "shelf_of_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("THING = 0\n")
    (folder / "small.py").write_text("THING = 1\n")
    (folder / "broken.py").write_text("THING: int = 2\nraise RuntimeError('imported')\n")
    (folder / "helper.py").write_text("THING_OF_OTHERS = 3\ndef f():\n    THING = 4\n")
    (tmp_path / "here").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path / "here")
    yield Registry("thing", "shelf_of_test", "THING")
    for name in [name for name in sys.modules if name.startswith(("shelf_of_test", "own_"))]:
        del sys.modules[name]


def test_names_import_nothing(shelf: Registry[int]) -> None:
    assert shelf.names() == ["broken", "small"]
    assert "shelf_of_test" not in sys.modules


def test_a_new_file_is_enough(shelf: Registry[int], tmp_path: Path) -> None:
    (tmp_path / "shelf_of_test" / "new.py").write_text("THING = 7\n")
    assert shelf.names() == ["broken", "new", "small"]
    assert shelf.find("new") == 7


def test_find_imports_what_is_asked_for_only(shelf: Registry[int]) -> None:
    assert shelf.find("small") == 1
    assert "shelf_of_test.broken" not in sys.modules


def test_an_unknown_name_gets_the_nearest(shelf: Registry[int]) -> None:
    with pytest.raises(SettingsError, match=r"Unknown thing 'smal'\. .*Did you mean small\?"):
        shelf.find("smal")
    with pytest.raises(SettingsError, match="Unknown thing 'helper'"):
        shelf.find("helper")


def test_a_users_own_comes_from_the_current_folder(shelf: Registry[int], tmp_path: Path) -> None:
    (tmp_path / "here" / "own_things.py").write_text("mine = 5\n")
    before = list(sys.path)
    assert shelf.find("own_things:mine") == 5
    assert sys.path == before


def test_a_users_own_is_refused_in_words(shelf: Registry[int], tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "own_a.py").write_text("mine = 5\n")
    (here / "own_b.py").write_text("import own_missing\n")
    (here / "own_c.py").write_text("1 / 0\n")
    before = list(sys.path)
    for path, words in {
        "own_nothing:mine": "there is no module own_nothing",
        "own_a.deeper:mine": "own_a.deeper",
        "own_a:min": r"the module own_a has no min\. Did you mean mine\?",
        "own_b:mine": "No module named 'own_missing'",
        "own_c:mine": "ZeroDivisionError",
    }.items():
        with pytest.raises(SettingsError, match=words):
            shelf.find(path)
    assert sys.path == before


@pytest.mark.parametrize("name", ["", "a", "a:", ":a", "a:b:c", "a b:c", "../a:b", "a.b", "C:\\a"])
def test_no_import_path(name: str) -> None:
    assert not is_import_path(name)


def test_entries_of_a_table(shelf: Registry[int], tmp_path: Path) -> None:
    (tmp_path / "here" / "own_things.py").write_text("mine = 5\n")
    assert find_entry("thing", "one", {"one": 1}) == 1
    assert find_entry("thing", "own_things:mine", {"one": 1}) == 5
    with pytest.raises(SettingsError, match=r"Unknown thing 'oen'\. Expected one, or your own"):
        find_entry("thing", "oen", {"one": 1})
