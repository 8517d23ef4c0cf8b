"""An older configuration in today's words: the same run as then, and one that can be resumed."""

import copy
import dataclasses

import pytest

from td3sweep.config.compose import override_saved
from td3sweep.config.saved import changed_keys, completed, flatten, modern

NEWER = {  # keys that there were not
    "recurrent": ("context", "even"),
    "hyperparams": ("lr_final",),
    "env": ("speed_scale",),
}


@pytest.fixture
def older(settings):
    """A configuration as the version before demonstrations saved it."""

    def build(*overrides, batch=100, **top):
        saved = dataclasses.asdict(settings("experiment=described_5k", *overrides))
        del saved["demonstrations"], saved["eval_spread"]
        for group, keys in NEWER.items():
            for key in keys:
                saved[group].pop(key, None)
        if saved["env"]["name"] == "carla":
            saved["env"]["terminate"] = ["collision", "off_road"]
        saved["hyperparams"] |= {"batch_size": batch, "exploration_noise_steps": 6000}
        return saved | top

    return build


def test_a_batch_of_transitions_becomes_one_of_windows(older):
    found = modern(older("recurrent=gru48", batch=60))
    assert found["recurrent"]["sequence_length"] == 10
    assert found["hyperparams"]["batch_size"] == 6
    assert modern(older("recurrent=gru48", batch=4))["hyperparams"]["batch_size"] == 1  # a whole sequence at least
    assert modern(older(batch=60))["hyperparams"]["batch_size"] == 60


def test_the_goal_ended_the_task_and_standing_did_not(older):
    found = modern(older())
    assert found["env"]["terminate"] == ["collision", "off_road", "route_done"]
    assert found["env"]["speed_scale"] == 30.0
    assert found["eval_spread"] is False


def test_a_memory_read_the_features_alone(older):
    found = modern(older("recurrent=gru48"))["recurrent"]
    assert (found["context"], found["even"]) == (False, False)
    assert not {"context", "even"} & modern(older())["recurrent"].keys()  # without a memory there is nothing to feed


def test_noise_that_falls_did_so_over_6000_steps(older):
    still = older()
    assert modern(still)["hyperparams"]["exploration_noise_steps"] is None  # it never falls
    still["hyperparams"]["exploration_noise_final"] = 0.1
    assert modern(still)["hyperparams"]["exploration_noise_steps"] == 6000
    del still["hyperparams"]["exploration_noise_steps"]
    assert modern(still)["hyperparams"]["exploration_noise_steps"] == 6000


def test_what_it_lacks_had_the_default_of_then(older):
    saved = older()
    for key in ("n_step", "trunk", "critic_only_updates", "precision"):
        del saved[key]
    found = completed(saved)
    assert [found[key] for key in ("n_step", "trunk", "critic_only_updates", "precision")] == [1, None, 0, "fp32"]
    assert (found["demonstrations.name"], found["hyperparams.lr_final"]) == ("none", 1.0)


def test_it_is_itself_left_as_it_was(older):
    saved = older("recurrent=gru48")
    before = copy.deepcopy(saved)
    modern(saved)
    assert saved == before


@pytest.mark.parametrize("overrides", [[], ["recurrent=gru48"], ["experiment=described_5k"], ["env=gym"]], ids=str)
def test_a_configuration_of_today_is_left_alone(overrides, settings):
    saved = dataclasses.asdict(settings(*overrides))
    assert modern(copy.deepcopy(saved)) == saved
    assert changed_keys(saved, saved) == []


@pytest.mark.parametrize(
    ("overrides", "batch"),
    [([], 256), (["recurrent=gru48", "hyperparams.batch_size=25"], 256), (["cnn=pooled"], 256)],
    ids=str,
)
def test_an_older_run_resumes_as_the_same_run(overrides, batch, older, settings):
    today = settings("experiment=described_5k", *overrides)
    saved = older(*overrides, batch=batch)
    assert changed_keys(saved, dataclasses.asdict(today)) == []
    other = dataclasses.asdict(settings("experiment=described_5k", *overrides, "env.speed_scale=3"))
    assert changed_keys(saved, other) == ["env.speed_scale"]


@pytest.mark.parametrize("overrides", [[], ["recurrent=gru48"]], ids=str)
def test_an_older_run_is_evaluated_as_it_was_trained(overrides, older, settings):
    found = override_saved(older(*overrides, batch=100), ["env.traffic=3"])
    assert (found.env.traffic, found.env.speed_scale, found.demonstrations.name) == (3, 30.0, "none")
    assert found.hyperparams.batch_size == (10 if overrides else 100)
    assert found.recurrent.context is not bool(overrides)


def test_keys_are_flat():
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {"a.b": 1, "a.c.d": [2], "e": None}
