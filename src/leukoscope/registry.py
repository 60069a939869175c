"""A name → its entry: built in, or a user's own by import path.

Built-in entries need no registration: each module of a package that sets the registry's
attribute is an entry, named like the module. So a new entry is one new file. `names` reads the
files and imports none; `find` imports the one that is asked for.

    BACKBONES = Registry[Backbone]("architecture", "leukoscope.models", "BACKBONE")
    BACKBONES.find("compact")          # leukoscope/models/compact.py, its BACKBONE
    BACKBONES.find("mypkg.nets:build")  # a user's own

An import path runs code. Take one from a recipe or the command line only, never from a model file.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from leukoscope.errors import SettingsError

__all__ = ["Registry", "find_entry", "import_own", "is_import_path", "suggest"]

T = TypeVar("T")

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_OWN = "or your own as package.module:name"


@dataclass(frozen=True)
class Registry(Generic[T]):
    """All of one kind, each in its own module.

    Attributes:
        kind: what they are, for errors, such as "architecture".
        package: whose modules are looked through; its __init__ is not.
        attribute: that a module sets at its top level to be an entry.
        also: what else the caller takes, for errors; "" where nothing.
        of: the class of the entries; None where a user's own may be of any.
    """

    kind: str
    package: str
    attribute: str
    also: str = ""
    of: type | None = None

    def names(self) -> list[str]:
        """Names of what is built in, sorted; imports nothing."""
        spec = importlib.util.find_spec(self.package)
        sets = re.compile(rf"^{re.escape(self.attribute)}\b *[:=]", re.MULTILINE)
        found = {
            path.stem
            for folder in (spec.submodule_search_locations if spec else None) or ()
            for path in Path(folder).glob("*.py")
            if path.stem != "__init__" and sets.search(path.read_text("utf-8"))
        }
        return sorted(found)

    def find(self, name: str) -> T:
        """The entry of a name.

        Args:
            name: of a built-in, or an import path "package.module:name"; modules in the current
                folder are found too.

        Raises:
            SettingsError: no such name, module or attribute, one of another class, or the module
                cannot be imported.
        """
        if is_import_path(name):
            found = import_own(self.kind, name)
            if self.of and not isinstance(found, self.of):
                raise SettingsError(_describe_other(self.kind, name, found, self.of.__name__))
            return cast(T, found)
        known = self.names()
        if name not in known:
            raise SettingsError(_refuse(self.kind, name, known, self.also))
        module = importlib.import_module(f"{self.package}.{name}")
        return cast(T, getattr(module, self.attribute))


def find_entry(kind: str, name: str, known: Mapping[str, T]) -> T:
    """As `Registry.find`, where the built-in entries are in one table.

    Args:
        kind: what they are, for errors.
        name: a key of `known`, or an import path.
        known: name → entry.

    Raises:
        SettingsError: as `Registry.find`.
    """
    if is_import_path(name):
        found = import_own(kind, name)
        if not callable(found) and all(map(callable, known.values())):
            raise SettingsError(_describe_other(kind, name, found, "function"))
        return cast(T, found)
    if name not in known:
        raise SettingsError(_refuse(kind, name, known))
    return known[name]


def is_import_path(name: str) -> bool:
    """Whether a name has the form "package.module:name"."""
    return _PATH.fullmatch(name) is not None


def import_own(kind: str, path: str) -> Any:
    """Import a user's own by "package.module:name"; this runs the module's code.

    Args:
        kind: what it is to be, for errors.
        path: the import path. The current folder comes first, for this import only.

    Raises:
        SettingsError: no such module or name, or the module cannot be imported.
    """
    module_name, _, attribute = path.partition(":")
    try:
        with _look_in_current_folder():
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if f"{module_name}.".startswith(f"{error.name}."):
            raise SettingsError(
                f"The {kind} {path}: there is no module {error.name}. Expected it in the current "
                f"folder, {Path.cwd()}, or among the installed packages."
            ) from error
        raise SettingsError(_describe_broken(kind, path, error)) from error
    except Exception as error:  # a user's module can raise any error
        raise SettingsError(_describe_broken(kind, path, error)) from error
    if not hasattr(module, attribute):
        public = [name for name in vars(module) if not name.startswith("_")]
        raise SettingsError(
            f"The {kind} {path}: the module {module_name} has no {attribute}."
            f"{suggest(attribute, public)}"
        )
    return getattr(module, attribute)


def suggest(word: str, known: Iterable[str]) -> str:
    """ " Did you mean …?" with the nearest known word, or "" where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _refuse(kind: str, name: str, known: Iterable[str], also: str = "") -> str:
    names = list(known)
    expected = ", ".join([*names, *filter(None, [also]), _OWN])
    return f"Unknown {kind} {name!r}. Expected {expected}.{suggest(name, names)}"


def _describe_other(kind: str, path: str, found: object, expected: str) -> str:
    return f"The {kind} {path} is of type {type(found).__name__}. Expected a {expected}."


def _describe_broken(kind: str, path: str, error: Exception) -> str:
    return (
        f"The {kind} {path}: its module cannot be imported ({type(error).__name__}: {error}). "
        "Fix the module, or install what it needs."
    )


@contextmanager
def _look_in_current_folder() -> Iterator[None]:
    folder = str(Path.cwd())
    importlib.invalidate_caches()  # the module may be younger than this program
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
