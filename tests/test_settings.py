from pathlib import Path

import pytest

from leukoscope.errors import SettingsError
from leukoscope.settings import list_recipes, parse_recipe, read_recipe

EXPERIMENTS = sorted((Path(__file__).parents[1] / "experiments" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("name", list_recipes())
def test_every_shipped_recipe_loads(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name and recipe.training.epochs >= 1


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_loads_and_says_what_was_expected(path: Path) -> None:
    assert read_recipe(path).name == path.stem
    assert path.read_text().startswith("# Expected: ")


def test_the_recipes_promised_are_there() -> None:
    assert {"compact", "lite0", "texture"} <= set(list_recipes())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[training]\nepoch = 3", "unknown setting 'epoch'.*Did you mean epochs"),
        ("[trainin]\nepochs = 3", "unknown section 'trainin'.*Did you mean training"),
        ("[training]\nepochs = 0", "Expected 1 to 10000"),
        ("[training]\nepochs = '3'", "Expected int"),
        ("[training]\nlearning_rate = true", "Expected float"),
        ("[training\n", "not valid TOML"),
        ("epochs = 3", "unknown section"),
    ],
)
def test_wrong_settings_are_named(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        parse_recipe(text, "mine")


def test_whole_numbers_do_for_real_ones() -> None:
    assert parse_recipe("[training]\nweight_decay = 0", "mine").training.weight_decay == 0.0


def test_recipes_are_found_by_name_or_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Expected compact"):
        read_recipe("big")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_recipe(tmp_path / "gone.toml")
    (tmp_path / "mine.toml").write_text("[model]\ninput_px = 64\n")
    recipe = read_recipe(tmp_path / "mine.toml")
    assert (recipe.name, recipe.model.input_px, recipe.training.batch_size) == ("mine", 64, 32)
