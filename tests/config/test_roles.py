"""What each setting is stands beside it, and every rule that treats some settings otherwise goes by that."""

import pytest

from td3sweep.config.roles import keys_of, role_of, roles
from td3sweep.config.saved import changed_keys
from td3sweep.config.setting import Role

EXCLUSIVE = Role.LEARNT | Role.FREE | Role.SEED


def test_every_setting_and_every_group_says_what_it_is():
    assert len(roles()) > 150
    for key, role in roles().items():
        assert (role & EXCLUSIVE) in (Role.LEARNT, Role.FREE, Role.SEED), key


@pytest.mark.parametrize("role", [Role.SHAPE, Role.TASK, Role.TUNED])
def test_what_decides_networks_task_or_search_is_learnt(role):
    assert all(role_of(key) & Role.LEARNT for key in keys_of(role))


def test_what_is_scored_is_free_and_what_is_counted_is_a_number():
    assert keys_of(Role.SCORED) == ("steps", "eval_every", "eval_episodes", "eval_spread")
    assert all(role_of(key) & Role.FREE for key in keys_of(Role.SCORED))
    assert set(keys_of(Role.COUNT)) == {
        *("steps", "warmup", "eval_every", "eval_episodes", "updates_per_step", "critic_only_updates"),
    }


def test_a_key_below_a_group_has_its_groups_role_unless_it_says_its_own():
    assert role_of("tracking.project") == role_of("tracking") == Role.FREE | Role.PLACE
    assert role_of("env.timeouts.tick") == Role.FREE
    assert role_of("env.map") & Role.TASK
    assert not role_of("env.speed_scale") & Role.TASK  # it is seen otherwise, but paid alike
    assert role_of("hyperparams.batch_size") & Role.TIME
    assert not role_of("hyperparams.gamma") & Role.TIME
    assert not role_of("reward.scale") & Role.TASK  # returns are reported without it


def test_a_key_that_is_no_setting_has_the_role_of_what_it_lies_in():
    assert role_of("sweep.sampler_options.seed") & Role.SEARCH
    assert role_of("hyperparams.of_another_tool") == Role.LEARNT
    assert role_of("buffer_size") == Role.LEARNT


def test_a_resume_may_change_what_is_free_and_nothing_else(settings):
    import dataclasses

    begun = dataclasses.asdict(settings("env=carla"))
    assert changed_keys(begun, dataclasses.asdict(settings("env=carla", "steps=2000", "env.timeouts.tick=3"))) == []
    assert changed_keys(begun, dataclasses.asdict(settings("env=carla", "n_step=1"))) == ["n_step"]
