"""Every recipe of docs/sieve/cookbook.md: its settings are read, its scripts compile, and do what the page expects."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from columba.master.check.open import open_config
from columba.sieve.engine import Failed
from tests.fakes.cookbook import (
    PAGE,
    ROOT,
    Case,
    Kitchen,
    Recipe,
    compiled,
    given,
    recipes,
    reply_of,
)

RECIPES = recipes(PAGE.read_text())
TITLES = list(dict.fromkeys(recipe.title for recipe in RECIPES))
CONFIG = (ROOT / "etc" / "columba.conf").read_text()


def named(settings: Mapping[str, object], kind: str) -> set[str]:
    sections = settings[kind]
    assert isinstance(sections, Mapping)
    return {str(name) for name in sections}


def test_there_are_many_recipes() -> None:
    assert len(TITLES) >= 40
    headings = [line for line in PAGE.read_text().splitlines() if line.startswith("### ")]
    assert [line.removeprefix("### ") for line in headings] == TITLES, "each has a script, once"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_recipe(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "columba.conf"
    path.write_text(CONFIG + recipe.settings)
    settings = open_config(str(path))[0].settings("sieve")
    tables, dicts = named(settings, "lookup"), named(settings, "dict")
    compiled(recipe, recipe.text, tables, dicts)
    expected = recipe.expected
    assert expected is not None, "a script without an expectation"
    assert len(expected.case) >= 2, "one case that it acts on, one that it leaves alone"
    assert set(expected.tables) <= tables, "only what the settings name may be pretended"
    kitchen = Kitchen(recipe, compiled(recipe, recipe.whole(), tables, dicts))
    became = {check(kitchen, case, f"case {n}") for n, case in enumerate(expected.case, 1)}
    assert len(became) > 1, "the cases all end alike: what does the script do?"


def check(kitchen: Kitchen, case: Case, name: str) -> str:
    outcome = kitchen.run(case)
    if isinstance(outcome, Failed) or case.fails:
        assert isinstance(outcome, Failed), name
        assert case.fails, f"{name}: {outcome.error.render()}"
        assert case.fails in outcome.error.text, name
        return outcome.error.text
    reply = reply_of(outcome)
    assert reply.startswith(case.reply), f"{name}: {reply}"
    assert bool(reply) == bool(case.reply), f"{name}: {reply}"
    if case.gives is not None:
        assert given(outcome) == case.gives, name
    if case.keeps is not None:
        assert outcome.keeps == case.keeps, name
    for field, value in case.header.items():
        assert kitchen.header(field) == value, f"{name}: {field}"
    return f"{reply} {given(outcome)} {kitchen.last.run.message.header.raw!r}"
