"""Settings of the task arrive at the environment: composed as the command line does, caught where it is built."""

import pytest

from td3sweep.assemble.environment import build_env, random_bounds
from td3sweep.config.env_settings import CarlaSettings
from td3sweep.envs.carla.config import drive_config


@pytest.fixture
def built(settings, tmp_path, monkeypatch):
    """The arguments with which the environment of some overrides is built; nothing is started."""
    caught = []

    class Recorder:
        def __init__(self, config):
            caught.append(config)

        def start(self):
            pass

    monkeypatch.setattr("td3sweep.envs.carla.isolated.IsolatedCarlaEnv", Recorder)

    def build(*overrides):
        build_env(settings(*overrides), tmp_path)
        return caught[-1]

    return build


def test_rewards_are_shaped_with_the_runs_own_gamma(built):
    found = built("reward=described_phase3", "hyperparams.gamma=.93")
    assert found.gamma == 0.93
    assert found.reward.terms["centre"] == found.reward.terms["apf"] == 1.0
    assert built("+reward.terms.centre=.5").reward.terms["centre"] == 0.5


def test_weather_routes_and_ends(built):
    plain = built().env
    assert (plain.weather, plain.routes, plain.terminate) == (None, [], ["collision", "off_road", "stalled"])
    found = built("env.weather=WetSunset", "env.routes=[[1,11],[20,8]]", "env.terminate=[collision]").env
    assert built("env.dark=[40,10]").env.dark == [40.0, 10.0]
    assert (found.weather, found.routes, found.terminate) == ("WetSunset", [[1, 11], [20, 8]], ["collision"])


def test_what_the_agent_is_told_of_its_speed(built):
    plain = built().env
    assert (plain.vector, plain.speed_scale, plain.steer_scale) == ("speed", 3.0, 0.4)
    assert built("env.speed_scale=12").env.speed_scale == 12.0
    seed = built("experiment=described_5k").env
    assert (seed.vector, seed.speed_scale, seed.steer_scale) == ("full", 30.0, 1.0)
    assert seed.terminate == ["collision", "off_road", "route_done"]


def test_the_default_is_the_one_of_gymnasium_make(built):
    """But for what a learner adds: its discount, and the factor on what it sees."""
    here, made = built(), drive_config()
    assert here.env == made.env == CarlaSettings()
    assert (here.reward, here.frame_stack) == (made.reward, made.frame_stack)


def test_pedals_and_patience_reach_a_gymnasium_environment(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("td3sweep.envs.gym.GymImageEnv", lambda id, **arguments: (id, arguments))
    id, found = build_env(settings("experiment=racing", "env.stalled_steps=7"), tmp_path)
    assert id == "CarRacing-v3"
    assert (found["pedals"], found["stalled_steps"], found["action_repeat"]) == ([1, 2], 7, 4)


@pytest.mark.parametrize(
    ("overrides", "size", "low"),
    [
        ([], 2, (-1.0, -0.3)),
        (["env.warmup_throttle=-.5"], 2, (-1.0, -0.5)),
        (["env=gym"], 3, (-1.0, -1.0, -1.0)),
        (["env=gym", "env.pedals=[1,2]"], 2, (-1.0, -0.3)),
        (["env=gym", "env.pedals=[2,0]", "env.warmup_throttle=0"], 3, (-1.0, 0.0, -1.0)),
    ],
)
def test_a_random_throttle_leans_forward(overrides, size, low, settings):
    assert random_bounds(settings(*overrides), size) == (low, (1.0,) * size)
