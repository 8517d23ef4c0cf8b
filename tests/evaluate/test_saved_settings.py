"""A run's settings with overrides: what an override changes, what it leaves, what it may not touch."""

import dataclasses

import pytest
from omegaconf import OmegaConf

from td3sweep.errors import UserError
from td3sweep.evaluate.saved import find, saved_settings


@pytest.fixture
def run(tmp_path, settings):
    """Writes the config.yaml of a run with some overrides."""

    def write(*overrides):
        path = tmp_path / "run" / "config.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(settings(*overrides)))))
        return path

    return write


def test_without_overrides_they_are_the_runs(run, settings):
    asked = ["experiment=drive", "recurrent=gru48", "reward=race", "+reward.terms.lane=2.0", "env.map=StandInRing"]
    assert saved_settings(run(*asked), []) == settings(*asked)


def test_an_override_changes_its_key_alone(run, changed, settings):
    found = saved_settings(run("experiment=drive"), ["env.traffic=20", "env.map=StandInHighway"])
    assert found == changed(settings("experiment=drive"), env__traffic=20, env__map="StandInHighway")


def test_an_override_back_to_the_default_counts(run):
    assert saved_settings(run("env.map=StandInRing"), ["env.map=StandInTown"]).env.map == "StandInTown"


def test_a_group_replaces_the_runs(run):
    found = saved_settings(run("reward.terms.lane=7.0"), ["reward=race"])
    assert (found.reward.name, found.reward.terms) == ("race", {"race": 1.0})


def test_the_same_architecture_may_be_repeated(run):
    assert saved_settings(run("cnn=pooled"), ["cnn=pooled"]).cnn.name == "pooled"


def test_other_actions_of_a_gymnasium_environment_are_another_architecture(run):
    config = run("env=gym", "env.pedals=[1,2]")
    with pytest.raises(UserError, match=r"env\.pedals=\[\]: the checkpoint was trained with \[1, 2\]"):
        saved_settings(config, ["env.pedals=[]"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cnn=pooled", r"cnn\.name=pooled: the checkpoint was trained with nature.*drop the override"),
        ("recurrent=gru48", r"recurrent\.name=gru: the checkpoint was trained with none"),
        ("frame_stack=1", r"frame_stack=1: the checkpoint was trained with 4"),
        ("trunk=20", r"trunk=20: the checkpoint was trained with 50"),
        ("env.vector=full", r"env\.vector=full: the checkpoint was trained with speed"),
        ("env.trafic=3", r"env\.trafic: unknown key; did you mean env\.traffic\?"),
        ("env.traffic=-3", r"env\.traffic=-3"),
        ("env.traffic=many", r"env\.traffic=many"),
        ("experiment=drive", r"experiment=: .*one by one"),
        ("hydra.run.dir=x", r"hydra\.run\.dir: not a setting"),
    ],
)
def test_wrong_overrides_are_named(run, override, message):
    with pytest.raises(UserError, match=message):
        saved_settings(run(), [override])


def test_a_config_of_something_else_is_refused(tmp_path):
    config = tmp_path / "config.yaml"
    for text in ("model: resnet\n", "- a\n", "a: [\n"):
        config.write_text(text)
        with pytest.raises(UserError, match=r"not this version's config\.yaml|has"):
            saved_settings(config, [])


def test_a_config_with_a_setting_that_is_no_more_is_refused_by_its_path(run):
    config = run()
    config.write_text(config.read_text().replace("recurrent:\n", "recurrent:\n  chrono: null\n"))
    with pytest.raises(UserError, match=r"run/config\.yaml: not this version's config\.yaml \(recurrent\.chrono: "):
        saved_settings(config, [])


def test_a_run_directory_means_its_newest_checkpoint(run):
    config = run()
    assert find(config.parent) == (None, config)
    folder = config.parent / "checkpoints"
    folder.mkdir()
    for step in (200, 1000):
        (folder / f"step-{step:012}.pt").touch()
    assert find(config.parent) == (folder / "step-000000001000.pt", config)
    assert find(folder / "step-000000000200.pt") == (folder / "step-000000000200.pt", config)
