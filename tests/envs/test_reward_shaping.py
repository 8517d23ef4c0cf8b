"""Potentials by hand, and what makes shaping harmless: its discounted sum does not depend on what was done."""

import numpy as np
import pytest
from bare_drive import bare

from td3sweep.collect.evaluation import drive
from td3sweep.config.presets import preset
from td3sweep.envs.carla.env import CarlaDriveEnv
from td3sweep.envs.carla.reward import build_reward
from td3sweep.envs.carla.shaping import Shaping, apf, centre
from td3sweep.envs.carla.state import DriveState


@pytest.mark.parametrize(
    ("potential", "state", "value"),
    [
        (centre, {}, 1.0),
        (centre, {"lateral": -0.875}, 0.5),
        (centre, {"lateral": 0.5, "half_lane": 2.0}, 0.75),
        (centre, {"lateral": 9.0}, 0.0),
        (apf, {}, 1.0),  # the start of a free road
        (apf, {"route_fraction": 0.25}, 1.25),
        (apf, {"route_fraction": 1.0}, 2.0),
        (apf, {"gap": 10.0}, 1.0),
        (apf, {"gap": 1.0, "route_fraction": 0.5}, 1.5 - (0.9 / 1.9) ** 2),  # (1/1 - 1/10) / (1/.5 - 1/10)
        (apf, {"gap": 0.5}, 0.0),
        (apf, {"gap": 0.0}, 0.0),
    ],
)
def test_potentials(potential, state, value):
    assert potential(DriveState(**state)) == pytest.approx(value)


def test_steps_by_hand():
    shaping = Shaping({"centre": 2.0, "apf": 1.0}, gamma=0.9)
    shaping.begin(DriveState(lateral=0.875))  # potentials .5 and 1
    assert shaping(DriveState(route_fraction=0.5), False) == pytest.approx({"centre": 0.8, "apf": 0.35})
    assert shaping(DriveState(route_fraction=0.5), False) == pytest.approx({"centre": -0.2, "apf": -0.15})
    # The potential of a terminal state is 0, wherever the car is.
    assert shaping(DriveState(route_fraction=0.9), True) == pytest.approx({"centre": -2.0, "apf": -1.5})


@pytest.mark.parametrize("terminated", [True, False])
def test_the_discounted_sum_depends_on_the_first_and_last_state_alone(terminated):
    gamma, first, last = 0.97, DriveState(lateral=0.7), DriveState(lateral=-1.4, route_fraction=0.6)
    shaping = Shaping({"centre": 3.0}, gamma)
    sums = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        way = [DriveState(lateral=rng.normal(), gap=20 * rng.random(), route_fraction=rng.random()) for _ in range(40)]
        shaping.begin(first)
        steps = [shaping(state, terminated and state is last)["centre"] for state in [*way, last]]
        sums.append(sum(gamma**t * value for t, value in enumerate(steps)))
    # 41 steps: Phi is .6 at first and .2 at last.
    end = 0.0 if terminated else gamma**41 * 3.0 * 0.2
    assert sums == pytest.approx([end - 3.0 * 0.6] * 2)


def test_the_preset_adds_it_to_the_described_reward():
    shaped, plain = preset("reward", "described_phase3"), preset("reward", "described_20nov")
    assert shaped["terms"] == {**plain["terms"], "centre": 1.0, "apf": 1.0}
    assert shaped["progress_scale"] == plain["progress_scale"]
    reward = build_reward(shaped["terms"], gamma=0.5)
    assert reward.names == tuple(shaped["terms"])
    reward.shaping.begin(DriveState())
    assert reward.shaping(DriveState(), False) == pytest.approx({"centre": -0.5, "apf": -0.5})  # .5 x 1 - 1


class Straight:
    def begin(self, seed, info):
        self.totals = []

    def act(self, observation, info):
        return np.array([0.05, 0.5], np.float32)


def test_on_the_stand_in_it_telescopes_by_the_agents_step_and_evaluations_leave_it_out():
    pytest.importorskip("carla")
    shaped = {"goal": 1.0, "failure": 1.0, "centre": 2.0}
    with CarlaDriveEnv(bare(action_repeat=4, reward=shaped, gamma=0.9)) as env:
        _, info = env.reset(seed=3)
        first, total, seen, t, ended = info["lateral"], 0.0, 0.0, 0, False
        while not ended:
            _, reward, terminated, truncated, info = env.step(np.array([0.05, 0.5], np.float32))
            assert reward == pytest.approx(sum(info["reward_terms"].values()))
            assert info["shaping"] == info["reward_terms"]["centre"]
            total, seen, t = total + 0.9**t * info["shaping"], seen + reward - info["shaping"], t + 1
            ended = terminated or truncated
        assert info["end"] == "off_road"
        assert total == pytest.approx(
            -2.0 * (1.0 - abs(first) / 1.75), abs=1e-6
        )  # lanes of the stand-in are 3.5 m wide
        assert drive(env, Straight(), 3).total == pytest.approx(seen) == pytest.approx(-1.0)
