from pathlib import Path

import pytest

from leukoscope.errors import SettingsError
from leukoscope.settings import (
    describe_settings,
    format_settings_page,
    list_recipes,
    parse_recipe,
    read_recipe,
)

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
        ("[training]\nepochs = '3'", "Expected whole number"),
        ("[training]\nlearning_rate = true", "Expected number"),
        ("[training\n", "not valid TOML"),
        ("epochs = 3", "unknown section"),
        ("[augment]\neffects = 'noise'", "augment.effects = 'noise'. Expected a list of texts"),
        ("[augment]\neffects = [1]", "Expected a list of texts"),
        ("[augment]\neffects = ['nose']", "unknown 'nose'.*Did you mean noise"),
        ("[augment]\neffects = ['noise', 'noise']", "'noise' is listed twice"),
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
    with pytest.raises(SettingsError, match="no such file"):
        read_recipe(tmp_path / "gone.toml")
    (tmp_path / "mine.toml").write_text("[model]\ninput_px = 64\n")
    recipe = read_recipe(tmp_path / "mine.toml")
    assert (recipe.name, recipe.model.input_px, recipe.training.batch_size) == ("mine", 64, 32)


def test_effects_may_be_chosen_and_a_users_own() -> None:
    text = '[augment]\neffects = ["noise", "mypkg.aug:my_effect"]'
    assert parse_recipe(text, "mine").augment.effects == ("noise", "mypkg.aug:my_effect")
    assert parse_recipe("[augment]\neffects = []", "mine").augment.effects == ()


def test_every_setting_is_described() -> None:
    found = {(one.section, one.key): one for one in describe_settings()}
    recipe = parse_recipe("", "mine")
    for section in ("model", "training", "augment"):
        for key in vars(getattr(recipe, section)):
            assert len(found[section, key].words) > 5
    smoothing = found["training", "early_stopping"]
    assert smoothing.words.startswith("Set 15% of") and smoothing.words.endswith("last epoch.")
    numbers = [one for one in found.values() if "number" in one.type]
    assert len(numbers) == 18 and all(one.range for one in numbers)


def test_the_default_of_every_setting_is_one_that_may_be_given() -> None:
    for one in describe_settings():
        recipe = parse_recipe(f"[{one.section}]\n{one.key} = {one.default}", "custom")
        assert recipe == parse_recipe("", "custom")


def test_the_page_of_settings_is_up_to_date() -> None:
    page = Path(__file__).parents[1] / "docs" / "recipes.md"
    assert page.read_text("utf-8") == format_settings_page(), (
        "Write it again with: python -c 'from leukoscope.settings import format_settings_page as f;"
        ' print(f(), end="")\' > docs/recipes.md'
    )
