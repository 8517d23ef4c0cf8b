"""The table of metrics in the docs is the one that the code defines."""

from pathlib import Path

import pytest

from td3sweep.record.definitions import DEFINITIONS, is_defined, table

DOCS = Path(__file__).parents[2] / "docs" / "training.md"


def test_the_docs_are_in_step():
    assert table() in DOCS.read_text()


@pytest.mark.parametrize("name", ["grad/actor/joint/after", "grad/critic/max/after", "episode/reward/lane", "q/bias"])
def test_names_of_a_pattern_are_defined(name):
    assert is_defined(name)


@pytest.mark.parametrize("name", ["grad/other/joint/after", "q/actor/max", "episode/reward/a/b", "loss"])
def test_other_names_are_not(name):
    assert not is_defined(name)


def test_every_definition_says_something():
    assert all(len(text) > 8 for text in DEFINITIONS.values())
