"""Options that were renamed: typed or saved by their former name, they mean what they meant."""

import dataclasses

import pytest

from td3sweep.config import former
from td3sweep.config.compose import compose_settings, override_saved
from td3sweep.config.former import RENAMED, renamed
from td3sweep.config.presets import options
from td3sweep.config.saved import changed_keys, completed


@pytest.fixture(autouse=True)
def _nothing_was_told():
    former._tell.cache_clear()


def test_every_new_name_is_an_option_and_no_former_one_is():
    for group, names in RENAMED.items():
        assert set(names.values()) <= set(options(group))
        assert not names.keys() & set(options(group))


def test_a_former_experiment_composes_and_is_told_of_once(capsys):
    assert compose_settings(["experiment=seed_5k"]) == compose_settings(["experiment=described_5k"])
    compose_settings(["experiment=seed_5k"])
    assert capsys.readouterr().err.splitlines() == [
        "td3sweep: experiment=seed_5k is deprecated; it is experiment=described_5k now, and means the same"
    ]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("reward=seed_20nov,seed_later", "reward=described_20nov,described_later"),
        ("reward=choice(seed_later,cruise)", "reward=choice(described_later,cruise)"),
        ("name=seed_5k", "name=seed_5k"),  # no option
        ("seed=3", "seed=3"),
        ("--multirun", "--multirun"),
    ],
)
def test_what_is_renamed(word, expected):
    assert renamed([word]) == [expected]


def test_a_saved_run_by_a_former_name_is_the_same_run():
    today = dataclasses.asdict(compose_settings(["reward=described_20nov"]))
    saved = today | {"reward": today["reward"] | {"name": "seed_20nov"}}
    assert completed(saved)["reward.name"] == "described_20nov"
    assert changed_keys(saved, today) == []
    assert override_saved(saved, []).reward.name == "described_20nov"
