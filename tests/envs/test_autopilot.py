"""CARLA's Traffic Manager at the ego's wheel, on the stand-in, through the real carla client.

It lives in a process of its own, as every Traffic Manager here: it can take its process down.
"""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from bare_drive import bare, made

from td3sweep.envs.carla.autopilot import SPACING, Autopilot
from td3sweep.envs.carla.control import Control, action_of, control_of
from td3sweep.envs.carla.env import CarlaDriveEnv
from td3sweep.envs.carla.isolated import IsolatedCarlaEnv
from td3sweep.envs.carla.route import Route
from td3sweep.errors import SimulatorError

pytest.importorskip("carla")
BRAKE, COAST = np.array([0.0, -1.0], np.float32), np.zeros(2, np.float32)


@pytest.fixture(scope="module")
def env():
    env = made(autopilot=True, action_repeat=4)
    yield env
    env.close()


def play(env, actions):
    """The infos of steps with these actions."""
    return [env.step(action)[-1] for action in actions]


def places(infos):
    return np.array([info["position"] for info in infos])


def test_it_drives_a_whole_route_at_30_km_h(env):
    env.reset(seed=3)
    infos, ended = [], False
    while not ended:
        _, _, terminated, truncated, info = env.step(None)
        infos.append(info)
        ended = terminated or truncated
    assert (info["end"], info["success"]) == ("route_done", True)
    assert info["route_length"] > 250.0
    speeds = 3.6 * np.array([info["speed"] for info in infos])
    assert np.median(speeds) == pytest.approx(30.0, abs=1.5)
    assert speeds.max() < 31.0
    assert max(abs(info["lateral"]) for info in infos) < 2.0
    assert all(info["control"].dtype == np.float32 and info["control"].shape == (2,) for info in infos)


def test_its_control_played_as_actions_moves_the_car_alike(env):
    """Tick by tick: what is reported is what was done, in sign, scale and time."""
    with made(autopilot=True, steer_scale=0.8) as single:  # which it never exceeds
        single.reset(seed=3)
        shown = play(single, [None] * 200)
        single.reset(seed=3)
        played = play(single, [info["control"] for info in shown])
    assert shown[-1]["speed"] > 8.0
    assert np.ptp([info["control"][0] for info in shown]) > 0.3
    np.testing.assert_allclose(places(played), places(shown), atol=1e-3)
    env.reset(seed=3)
    by_fours = np.array([info["control"] for info in shown]).reshape(-1, 4, 2).mean(axis=1) * [0.8, 1.0]
    np.testing.assert_allclose([info["control"] for info in play(env, [None] * 50)], by_fours, atol=1e-5)


def test_the_action_of_several_ticks_moves_the_car_about_alike(env):
    env.reset(seed=3)
    shown = play(env, [None] * 25)
    env.reset(seed=3)
    played = play(env, [info["control"] for info in shown])
    assert shown[-1]["frame"] == 100
    assert np.linalg.norm(places(shown)[-1] - places(shown)[0]) > 20.0
    assert np.linalg.norm(places(shown) - places(played), axis=1).max() < 1.0


def test_it_takes_the_wheel_and_gives_it_back_within_an_episode(env):
    env.reset(seed=4)
    assert play(env, [COAST] * 5)[-1]["speed"] < 0.1
    assert play(env, [None] * 25)[-1]["speed"] > 7.0
    braked = play(env, [BRAKE] * 15)
    assert "control" not in braked[-1]
    assert braked[-1]["speed"] < 0.1
    again = play(env, [None] * 25)
    assert again[-1]["speed"] > 7.0
    assert abs(again[-1]["lateral"]) < 2.0


def test_the_next_episode_is_not_on_autopilot(env):
    env.reset(seed=4)
    assert play(env, [None] * 20)[-1]["speed"] > 5.0
    env.reset(seed=4)
    assert play(env, [COAST] * 10)[-1]["speed"] < 0.1


def seen(env, seed):
    """Hash of what is seen in an episode in which it takes over from a random driver, gives back, and takes over."""
    digest, rng = hashlib.sha256(), np.random.default_rng(seed)
    env.reset(seed=seed)
    for step in range(40):
        random = rng.uniform([-0.2, 0.0], [0.2, 0.6]).astype(np.float32)
        observation, *_ = env.step(random if step < 5 or 20 <= step < 23 else None)
        digest.update(observation["image"].tobytes())
    return digest.hexdigest()


def test_seed_and_actions_decide_the_episode_whatever_came_before(env):
    first = seen(env, 5)
    env.reset(seed=6)
    play(env, [None] * 30)
    assert seen(env, 5) == first
    with made(autopilot=True, action_repeat=4) as other:
        assert seen(other, 5) == first


@pytest.mark.slow
def test_it_minds_the_other_cars():
    """They drive at 12 to 24 km/h: who does not see them runs into one within the first 100 m."""
    with made(autopilot=True, action_repeat=4, traffic=20, map="StandInRing") as env:
        env.reset(seed=1)
        infos = play(env, [None] * 100)
    assert {info["end"] for info in infos} == {""}
    assert np.median([info["speed"] for info in infos[-20:]]) < 7.0  # behind one of them


def test_after_a_fault_the_next_episode_is_driven_by_actions():
    with made(
        autopilot=True, action_repeat=4, flags=["-fault-crash-after=300"], timeouts={"tick": 1.5, "frame": 5.0}
    ) as env:
        env.reset(seed=4)
        with pytest.raises(SimulatorError):
            play(env, [None] * 100)
        assert env.faults == 1
        env.reset(seed=4)
        assert play(env, [COAST] * 10)[-1]["speed"] < 0.1
        assert play(env, [None] * 50)[-1]["speed"] == pytest.approx(8.33, abs=0.4)


def test_without_it_the_action_is_refused_and_the_episode_goes_on():
    with CarlaDriveEnv(bare()) as env:
        env.reset(seed=0)
        with pytest.raises(ValueError, match=r"CarlaDriveEnv\(autopilot=True\)"):
            env.step(None)
        assert env.step(COAST)[-1]["frame"] == 1


def test_its_traffic_manager_gets_a_process_of_its_own():
    assert isinstance(made(autopilot=True), IsolatedCarlaEnv)


def test_actions_and_controls():
    assert control_of([0.5, 0.7], 0.4, autopilot=False) == pytest.approx((0.7, 0.2, 0.0))
    assert control_of([-3.0, -0.25], 0.4, autopilot=False) == pytest.approx((0.0, -0.4, 0.25))
    assert control_of(None, 0.4, autopilot=True) is None
    done = [Control(0.8, 0.1, 0.0), Control(0.0, 0.3, 0.4)]
    assert action_of(done, 0.4) == pytest.approx([0.5, 0.2])
    assert action_of([Control(0.0, -0.8, 1.0)], 0.4) == pytest.approx([-1.0, -1.0])


class Manager:
    """Notes what it is told."""

    def __init__(self):
        self.told = {}

    def __getattr__(self, name):
        return lambda *values: self.told.setdefault(name, []).append(values[1:]) or 8000


def test_it_is_told_the_route_from_where_the_car_is():
    """Where roads fork, which none of the stand-in's does, its own way would be another."""
    along = np.arange(0.0, 101.0)
    points = np.stack([along, np.zeros(101), 0.1 * along, np.zeros(101)], axis=1)
    manager, turns = Manager(), []
    ego = SimpleNamespace(set_autopilot=lambda on, port: turns.append((on, port)))
    carla = SimpleNamespace(Location=lambda *place: place)
    autopilot = Autopilot(carla, manager, ego, 25.0 / 3.6)
    autopilot.release()
    for _ in range(2):  # every tick asks for it
        autopilot.take(Route(points, np.full(101, 1.75)), 33.0)
    assert turns == [(True, 8000)]
    ((path,),) = manager.told["set_path"]
    expected = [*np.arange(33.0 + SPACING, 100.0, SPACING), 100.0]
    assert np.array(path) == pytest.approx(np.array([(x, 0.0, 0.1 * x) for x in expected]))
    assert manager.told["set_desired_speed"] == [pytest.approx((25.0,))]
    assert manager.told["auto_lane_change"] == [(False,)]
    assert manager.told["ignore_lights_percentage"] == manager.told["ignore_signs_percentage"] == [(100.0,)]
    autopilot.release()
    assert turns == [(True, 8000), (False, 8000)]
