"""Recipe TOML → frozen dataclasses, one for each stage, all on this page."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from leukoscope.errors import RenamedWarning, SettingsError

__all__ = [
    "AugmentSettings",
    "ModelSettings",
    "Recipe",
    "TrainingSettings",
    "change_recipe",
    "list_recipes",
    "parse_recipe",
    "read_recipe",
    "rename_old_settings",
]


@dataclass(frozen=True)
class ModelSettings:
    """What the network is.

    Attributes:
        architecture: compact, lite0, texture, or the name of a `keras.applications` model.
        crop_px: side of the central square of the 225 px crop that the network looks at.
        input_px: side to which that square is averaged down, or magnified.
        hidden: units of a layer between the features and the answer; 0 for none.
        dropout: before the last layer, and before the hidden one, 0 to 1.
        pretrained: start from ImageNet weights where the architecture has them.
    """

    architecture: str = "compact"
    crop_px: int = 192
    input_px: int = 96
    hidden: int = 0
    dropout: float = 0.2
    pretrained: bool = True


@dataclass(frozen=True)
class TrainingSettings:
    """How it learns.

    Attributes:
        epochs: at most; one epoch draws as many cells as there are training cells.
        batch_size: cells in a step.
        learning_rate: at its peak; warmed up over one epoch, then a cosine to zero.
        weight_decay: of AdamW.
        label_smoothing: 0 to 1.
        ema_momentum: momentum of the moving average of the weights that is kept as the model.
        early_stopping: set 15% of the training people aside and keep the epoch best on them;
            else train on all people and keep the last epoch.
        patience: epochs without a better AUC on the stopping part before training ends.
        freeze_backbone: train only what follows the features, computed once for each cell,
            without augmentation, and kept beside the crops.
        subject_balance: 0 draws cells alike, 1 draws subjects alike; classes are always balanced.
    """

    epochs: int = 12
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    label_smoothing: float = 0.05
    ema_momentum: float = 0.99
    early_stopping: bool = True
    patience: int = 6
    freeze_backbone: bool = False
    subject_balance: float = 0.5


@dataclass(frozen=True)
class AugmentSettings:
    """How strongly training cells are changed; 0 switches an effect off.

    Attributes:
        rotation: any angle, and flips.
        scale: log of the largest magnification.
        shift_px: largest shift in crop pixels.
        stain: deviation of the log optical density, for each channel.
        brightness: deviation of the log brightness.
        blur: largest Gaussian radius in crop pixels; as much sharpening.
        noise: largest deviation in grey levels.
    """

    rotation: bool = True
    scale: float = 0.1
    shift_px: float = 6.0
    stain: float = 0.08
    brightness: float = 0.1
    blur: float = 1.0
    noise: float = 4.0


@dataclass(frozen=True)
class Recipe:
    """One way to train, small enough to read."""

    name: str = "custom"
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)


_SECTIONS = {"model": ModelSettings, "training": TrainingSettings, "augment": AugmentSettings}
_LIMITS = {
    "crop_px": (32, 225),
    "input_px": (32, 512),
    "hidden": (0, 4096),
    "dropout": (0, 0.95),
    "epochs": (1, 10_000),
    "batch_size": (2, 4096),
    "learning_rate": (1e-9, 10),
    "weight_decay": (0, 1),
    "label_smoothing": (0, 0.5),
    "ema_momentum": (0, 0.99999),
    "patience": (1, 10_000),
    "subject_balance": (0, 1),
    "scale": (0, 1),
    "shift_px": (0, 100),
    "stain": (0, 1),
    "brightness": (0, 1),
    "blur": (0, 10),
    "noise": (0, 50),
}


_RENAMED = {"batch": "batch_size", "ema": "ema_momentum", "frozen": "freeze_backbone"}
"""Names of version 0.1 in the section training → names now."""


def list_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files("leukoscope") / "recipes"
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".toml"))


def read_recipe(name: str | Path | Recipe) -> Recipe:
    """Read a recipe by its name, or from a TOML file; a recipe is returned as it is.

    Raises:
        SettingsError: no such recipe or file, or a setting that is unknown or out of range.
    """
    if isinstance(name, Recipe):
        return name
    if str(name) in list_recipes():
        text = (resources.files("leukoscope") / "recipes" / f"{name}.toml").read_text("utf-8")
        return parse_recipe(text, str(name))
    path = Path(name)
    if path.suffix != ".toml":
        raise SettingsError(
            f"Unknown recipe {name}. Expected {', '.join(list_recipes())}, or a .toml file."
        )
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({error}).") from error
    return parse_recipe(text, path.stem)


def parse_recipe(text: str, name: str) -> Recipe:
    """Parse and check the TOML text of a recipe.

    Raises:
        SettingsError: naming the setting, what was expected and the nearest known name.
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"Recipe {name}: not valid TOML ({error}).") from error
    parts: dict[str, Any] = {}
    for section, values in given.items():
        if section not in _SECTIONS or not isinstance(values, dict):
            raise SettingsError(f"Recipe {name}: {_suggest(section, list(_SECTIONS), 'section')}")
        parts[section] = _parse_section(name, section, values)
    return Recipe(name=name, **parts)


def _parse_section(name: str, section: str, values: dict[str, Any]) -> Any:
    kind = _SECTIONS[section]
    if section == "training":
        for old in _RENAMED.keys() & values.keys():
            words = f"Recipe {name}: {old} is now called {_RENAMED[old]}; rename it before 1.0."
            warnings.warn(words, RenamedWarning, stacklevel=2)
        values = rename_old_settings(values)
    fields = {item.name: item for item in dataclasses.fields(kind)}
    checked = {}
    for key, value in values.items():
        if key not in fields:
            raise SettingsError(f"Recipe {name}: {_suggest(key, list(fields), 'setting')}")
        checked[key] = _check_value(name, f"{section}.{key}", value, fields[key].default)
    return kind(**checked)


def rename_old_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Settings of the section training with names of version 0.1 → the same with today's."""
    return {_RENAMED.get(key, key): value for key, value in values.items()}


def _check_value(name: str, key: str, value: Any, default: Any) -> Any:
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        raise SettingsError(
            f"Recipe {name}: {key} = {value!r}. Expected {type(default).__name__}, "
            f"such as {default!r}."
        )
    low, high = _LIMITS.get(key.split(".")[1], (None, None))
    if low is not None and high is not None and not low <= value <= high:
        raise SettingsError(f"Recipe {name}: {key} = {value}. Expected {low} to {high}.")
    return value


def _suggest(word: str, known: list[str], kind: str) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"unknown {kind} {word!r}. Expected one of {', '.join(known)}.{hint}"


def change_recipe(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Change some settings of a recipe, checked as those of a file are; its name tells of it.

    Args:
        recipe: left as it is.
        changes: setting → value; the setting as "training.epochs", or "epochs" alone.

    Raises:
        SettingsError: a setting that is unknown or out of range.

    >>> changed = change_recipe(read_recipe("compact"), {"training.epochs": 3, "blur": 0.5})
    >>> changed.training.epochs, changed.augment.blur, changed.name
    (3, 0.5, 'compact (epochs=3, blur=0.5)')
    """
    if not changes:
        return recipe
    given: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        section, name = _find_setting(recipe.name, key)
        given.setdefault(section, {})[name] = value
    parts: dict[str, Any] = {}
    for section, values in given.items():
        checked = _parse_section(recipe.name, section, values)
        new = {key: getattr(checked, key) for key in rename_old_settings(values)}
        parts[section] = dataclasses.replace(getattr(recipe, section), **new)
    words = ", ".join(
        f"{key}={value}" for values in given.values() for key, value in values.items()
    )
    return dataclasses.replace(recipe, name=f"{recipe.name} ({words})", **parts)


def _find_setting(recipe: str, key: str) -> tuple[str, str]:
    """Section and name of a setting that may be named without its section."""
    section, mark, name = key.partition(".")
    if mark:
        if section not in _SECTIONS:
            raise SettingsError(f"Recipe {recipe}: {_suggest(section, list(_SECTIONS), 'section')}")
        return section, name
    known = {
        item.name: section
        for section, kind in _SECTIONS.items()
        for item in dataclasses.fields(kind)
    } | dict.fromkeys(_RENAMED, "training")
    if key not in known:
        raise SettingsError(f"Recipe {recipe}: {_suggest(key, list(known), 'setting')}")
    return known[key], key
