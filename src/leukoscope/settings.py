"""Recipe TOML → frozen dataclasses, one for each section."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

from leukoscope.arguments import is_path, refuse_argument, simplify_number
from leukoscope.errors import SettingsError, warn_renamed
from leukoscope.io.files import read_text
from leukoscope.registry import is_import_path, suggest

__all__ = [
    "AugmentSettings",
    "ModelSettings",
    "Recipe",
    "SettingFacts",
    "TrainingSettings",
    "change_recipe",
    "check_recipe",
    "describe_settings",
    "format_settings_page",
    "list_recipes",
    "parse_recipe",
    "read_recipe",
    "rename_old_settings",
]


def _within(default: float, low: float, high: float) -> Any:
    """A number with the range that it may have; both ends are allowed."""
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True)
class ModelSettings:
    """The network.

    Attributes:
        architecture: one of compact, lite0 and texture, the name of a `keras.applications` network,
            or a function of your own as "package.module:name".
        crop_px: side of the central square of the 225 px crop that the network uses.
        input_px: side to which that square is averaged down, or magnified.
        hidden: units of a layer between the features and the output; 0 for none.
        dropout: before the last layer, and before the hidden one.
        pretrained: start from ImageNet weights where the architecture has them.
    """

    architecture: str = "compact"
    crop_px: int = _within(192, 32, 225)
    input_px: int = _within(96, 32, 512)
    hidden: int = _within(0, 0, 4096)
    dropout: float = _within(0.2, 0, 0.95)
    pretrained: bool = True


@dataclass(frozen=True)
class TrainingSettings:
    """How it is trained.

    Attributes:
        epochs: at most; one epoch draws as many cells as there are training cells.
        batch_size: cells in a step.
        learning_rate: at its peak; warmed up over one epoch, then a cosine to zero.
        weight_decay: of AdamW.
        label_smoothing: share of the true label's probability spread evenly over the classes.
        ema_momentum: momentum of the moving average of the weights that is kept as the model.
        early_stopping: set 15% of the training people aside and keep the epoch best on them;
            else train on all people and keep the last epoch.
        patience: epochs without a better validation AUC before training ends.
        freeze_backbone: train only what follows the features, computed once for each cell,
            without augmentation, and kept beside the crops.
        subject_balance: 0 weights cells equally, 1 subjects; classes are always balanced.
    """

    epochs: int = _within(12, 1, 10_000)
    batch_size: int = _within(32, 2, 4096)
    learning_rate: float = _within(1e-3, 1e-9, 10)
    weight_decay: float = _within(1e-4, 0, 1)
    label_smoothing: float = _within(0.05, 0, 0.5)
    ema_momentum: float = _within(0.99, 0, 0.99999)
    early_stopping: bool = True
    patience: int = _within(6, 1, 10_000)
    freeze_backbone: bool = False
    subject_balance: float = _within(0.5, 0, 1)


@dataclass(frozen=True)
class AugmentSettings:
    """Augmentation of the training cells, and its strengths; 0 switches one off.

    Attributes:
        effects: the augmentations, in this order; functions of your own as "package.module:name".
        rotation: any angle, and flips.
        scale: log of the largest magnification.
        shift_px: largest shift in crop pixels.
        stain: deviation of the log optical density, for each channel.
        brightness: deviation of the log brightness.
        blur: largest Gaussian radius in crop pixels; as much sharpening.
        noise: largest deviation in grey levels.
    """

    effects: tuple[str, ...] = ("turn_and_move", "stain", "focus", "noise")
    rotation: bool = True
    scale: float = _within(0.1, 0, 1)
    shift_px: float = _within(6.0, 0, 100)
    stain: float = _within(0.08, 0, 1)
    brightness: float = _within(0.1, 0, 1)
    blur: float = _within(1.0, 0, 10)
    noise: float = _within(4.0, 0, 50)


@dataclass(frozen=True)
class Recipe:
    """One way to train, small enough to read."""

    name: str = "custom"
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)


@dataclass(frozen=True)
class SettingFacts:
    """Description of one setting.

    Attributes:
        section: model, training or augment.
        key: its name in the TOML.
        type: "number", "whole number", "text", "true or false" or "list of texts".
        default: as written in TOML.
        range: the lowest and the highest value, both allowed; None where there is none.
        words: what it does.
    """

    section: str
    key: str
    type: str
    default: str
    range: tuple[float, float] | None
    words: str


_SECTIONS = {"model": ModelSettings, "training": TrainingSettings, "augment": AugmentSettings}

_TYPES: dict[type, str] = {
    float: "number",
    int: "whole number",
    str: "text",
    bool: "true or false",
    tuple: "list of texts",
}

_RENAMED = {"batch": "batch_size", "ema": "ema_momentum", "frozen": "freeze_backbone"}
"""Names of version 0.1 in the section training → names now."""


def list_recipes() -> list[str]:
    """Names of the shipped recipes.

    >>> import leukoscope as lk
    >>> lk.list_recipes()  # doctest: +ELLIPSIS
    ['compact', 'demo', 'lite0', ...]
    """
    folder = resources.files("leukoscope") / "recipes"
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".toml"))


def read_recipe(name: str | PathLike[str] | Recipe) -> Recipe:
    """Read a recipe by its name, or from a TOML file; a recipe is checked and returned as it is.

    Args:
        name: of `list_recipes`, a path that ends in .toml, or a `Recipe`.

    Raises:
        SettingsError: no such recipe or file, or a setting that is unknown or out of range.

    >>> import leukoscope as lk
    >>> lk.read_recipe("texture").training.early_stopping
    False
    """
    if isinstance(name, Recipe):
        check_recipe(name)
        return name
    if not is_path(name):
        raise refuse_argument("recipe", name, "a name, a .toml file, or a Recipe")
    if str(name) in list_recipes():
        text = (resources.files("leukoscope") / "recipes" / f"{name}.toml").read_text("utf-8")
        return parse_recipe(text, str(name))
    path = Path(name)
    if path.suffix != ".toml":
        raise SettingsError(
            f"Unknown recipe {name}. Expected {', '.join(list_recipes())}, or a .toml file."
        )
    return parse_recipe(read_text(path, "a recipe in TOML", SettingsError), path.stem)


def check_recipe(recipe: Recipe) -> None:
    """Check every setting of a recipe, as those of a file are.

    Raises:
        SettingsError: a setting of another type or out of range.
    """
    for section, kind in _SECTIONS.items():
        settings = getattr(recipe, section)
        if not isinstance(settings, kind):
            raise refuse_argument(f"Recipe {recipe.name}: {section}", settings, kind.__name__)
        for item in dataclasses.fields(kind):
            value = getattr(settings, item.name)
            place = f"Recipe {recipe.name}: {section}.{item.name}"
            _check_value(place, list(value) if isinstance(value, tuple) else value, item)


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
            raise SettingsError(
                f"Recipe {name}: {_describe_unknown(section, _SECTIONS, 'section')}"
            )
        parts[section] = _parse_section(name, section, values)
    return Recipe(name=name, **parts)


def _parse_section(name: str, section: str, values: dict[str, Any]) -> Any:
    kind = _SECTIONS[section]
    if section == "training":
        for old in _RENAMED.keys() & values.keys():
            words = f"Recipe {name}: {old} is now called {_RENAMED[old]}; rename it before 1.0."
            warn_renamed(words)
        values = rename_old_settings(values)
    fields = {item.name: item for item in dataclasses.fields(kind)}
    checked = {}
    for key, value in values.items():
        if key not in fields:
            raise SettingsError(f"Recipe {name}: {_describe_unknown(key, fields, 'setting')}")
        checked[key] = _check_value(f"Recipe {name}: {section}.{key}", value, fields[key])
    return kind(**checked)


def rename_old_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Settings of the section training with names of version 0.1 → the same with today's."""
    return {_RENAMED.get(key, key): value for key, value in values.items()}


def _check_value(place: str, value: Any, setting: dataclasses.Field[Any]) -> Any:
    default = setting.default
    if isinstance(default, tuple):
        return _check_list(place, value, default)
    value = simplify_number(value)
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        expected = f"{_TYPES[type(default)]}, such as {_format_value(default)}"
        raise refuse_argument(place, value, expected)
    if "range" in setting.metadata:
        low, high = setting.metadata["range"]
        if not low <= value <= high:
            raise SettingsError(f"{place} = {value}. Expected {low} to {high}.")
    return value


def _check_list(place: str, value: Any, known: tuple[str, ...]) -> tuple[str, ...]:
    """A list of texts, each once: known names, or import paths."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise refuse_argument(place, value, f"a list of texts, such as {list(known)!r}")
    for item in value:
        if item not in known and not is_import_path(item):
            raise SettingsError(
                f"{place}: unknown {item!r}. Expected {', '.join(known)}, or your own as "
                f"package.module:name.{suggest(item, known)}"
            )
        if value.count(item) > 1:
            raise SettingsError(f"{place}: {item!r} is listed twice. Expected each name once.")
    return tuple(value)


def _describe_unknown(word: str, known: Iterable[str], kind: str) -> str:
    names = list(known)
    return f"unknown {kind} {word!r}. Expected one of {', '.join(names)}.{suggest(word, names)}"


def describe_settings() -> list[SettingFacts]:
    """Every setting of a recipe, in the order of the dataclasses, whose docstrings have the words.

    for setting in describe_settings():
        print(setting.section, setting.key, setting.default, setting.words)
    """
    return [
        SettingFacts(
            section=section,
            key=item.name,
            type=_TYPES[type(item.default)],
            default=_format_value(item.default),
            range=item.metadata.get("range"),
            words=_read_words(kind)[item.name],
        )
        for section, kind in _SECTIONS.items()
        for item in dataclasses.fields(kind)
    ]


def format_settings_page() -> str:
    """docs/recipes.md: all settings as Markdown tables, one a section."""
    lines = [
        "# Every setting of a recipe",
        "",
        "Written by `leukoscope.settings.format_settings_page`; a test holds this page to it. "
        "What recipes are for, and what training does with them: [training](training.md).",
    ]
    settings = describe_settings()
    for section, kind in _SECTIONS.items():
        first = inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]
        lines += ["", f"## [{section}]", "", first, ""]
        lines += ["| setting | default | expected | what it does |", "|---|---|---|---|"]
        for one in settings:
            if one.section == section:
                limits = f", {one.range[0]:,} to {one.range[1]:,}" if one.range else ""
                expected = f"{one.type}{limits}"
                lines.append(f"| `{one.key}` | `{one.default}` | {expected} | {one.words} |")
    return "\n".join(lines) + "\n"


def _format_value(value: Any) -> str:
    """As in TOML."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _read_words(kind: type) -> dict[str, str]:
    """Attribute → its words in the docstring's section Attributes."""
    _, _, attributes = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    joined = re.sub(r"\n {8}", " ", attributes)
    pairs = (line.strip().split(": ", 1) for line in joined.splitlines() if line.strip())
    return {key: words[0].upper() + words[1:] for key, words in pairs}


def change_recipe(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Change some settings of a recipe, checked as those of a file are; its name lists the changes.

    Args:
        recipe: not changed.
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
            raise SettingsError(
                f"Recipe {recipe}: {_describe_unknown(section, list(_SECTIONS), 'section')}"
            )
        return section, name
    known = {
        item.name: section
        for section, kind in _SECTIONS.items()
        for item in dataclasses.fields(kind)
    }
    today = list(known)
    known |= dict.fromkeys(_RENAMED, "training")
    if key not in known:
        raise SettingsError(f"Recipe {recipe}: {_describe_unknown(key, today, 'setting')}")
    return known[key], key
