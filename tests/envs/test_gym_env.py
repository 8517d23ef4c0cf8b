"""`env=gym`: other environments in the same clothes."""

import re

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from td3sweep.envs.gym import GymImageEnv
from td3sweep.errors import UserError


class Painter(gymnasium.Env):
    """Shows how often it was stepped and pays the first action."""

    observation_space = spaces.Box(0, 255, (168, 168, 3), np.uint8)
    action_space = spaces.Box(np.array([0.0, -2.0], np.float32), np.array([1.0, 2.0], np.float32))

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self.actions = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.actions = []
        return self._picture(), {}

    def step(self, action):
        self.actions.append(action)
        return self._picture(), float(action[0]), len(self.actions) == 7, False, {"ticks": len(self.actions)}

    def render(self):
        return self._picture()

    def _picture(self):
        return np.full((168, 168, 3), 10 * len(self.actions), np.uint8)


class Blind(Painter):
    """Has no image observation, so it must be rendered."""

    observation_space = spaces.Box(-1.0, 1.0, (3,), np.float32)

    def _picture(self):
        return np.zeros(3, np.float32)

    def render(self):
        return np.full((100, 150, 3), 33, np.uint8)


@pytest.fixture(autouse=True)
def _registered():
    entries = {"Painter": Painter, "Car": Car, "Blind": Blind, "Shaped": Shaped}
    for name, entry in entries.items():
        gymnasium.register(f"td3sweep-test/{name}-v0", entry, disable_env_checker=True)
    yield
    for name in entries:
        gymnasium.registry.pop(f"td3sweep-test/{name}-v0")


def test_actions_are_stretched_repeated_and_seen_again():
    env = GymImageEnv("td3sweep-test/Painter-v0", action_repeat=3)
    observation, _ = env.reset(seed=0)
    assert observation["image"].shape == (4, 84, 84)
    assert observation["vector"].tolist() == [0.0, 0.0]
    observation, reward, terminated, _, info = env.step(np.array([0.0, 0.5], np.float32))
    assert env._env.unwrapped.actions[0].tolist() == [0.5, 1.0]
    assert (reward, terminated, info["ticks"]) == (1.5, False, 3)
    assert observation["vector"].tolist() == [0.0, 0.5]
    assert observation["image"][:, 0, 0].tolist() == [0, 0, 0, 30]
    env.step(np.array([9.0, -9.0], np.float32))
    assert env._env.unwrapped.actions[-1].tolist() == [1.0, -2.0]
    _, reward, terminated, _, info = env.step(np.array([1.0, 0.0], np.float32))
    assert (reward, terminated, info["ticks"]) == (1.0, True, 7)  # ended within the repeat


class Car(Painter):
    """A throttle, a wheel from -1 to 1 and a brake from 0 to 2; pays the throttle less the brake."""

    action_space = spaces.Box(np.array([0.0, -1.0, 0.0], np.float32), np.array([1.0, 1.0, 2.0], np.float32))

    def step(self, action):
        picture, _, terminated, _, info = super().step(action)
        return picture, float(action[0] - action[2]), terminated, False, info


@pytest.mark.parametrize(
    ("pedals", "ours", "theirs"),
    [
        ([0, 2], [0.5, 0.25], [0.5, 0.25, 0.0]),
        ([0, 2], [-0.5, 0.25], [0.0, 0.25, 1.0]),
        ([0, 2], [0.0, -1.0], [0.0, -1.0, 0.0]),
        ([2, 0], [0.25, 0.5], [0.0, 0.25, 1.0]),
        ([2, 0], [0.25, -0.5], [0.5, 0.25, 0.0]),
    ],
)
def test_two_pedals_become_one_throttle(pedals, ours, theirs):
    env = GymImageEnv("td3sweep-test/Car-v0", pedals=pedals)
    assert (env.action_size, env.vector_size) == (2, 2)
    env.reset(seed=0)
    observation, *_ = env.step(np.array(ours, np.float32))
    assert env._env.unwrapped.actions[-1].tolist() == theirs
    assert observation["vector"].tolist() == ours


def test_an_episode_without_reward_is_cut_short():
    env = GymImageEnv("td3sweep-test/Car-v0", pedals=[0, 2], stalled_steps=2)
    stand, drive = np.array([0.0, 0.0], np.float32), np.array([1.0, 0.0], np.float32)
    for actions in ([stand, drive, stand, stand], [stand, stand]):  # a new episode counts anew
        env.reset(seed=0)
        ends = [env.step(action)[2:] for action in actions]
        assert [(terminated, truncated, info.get("end")) for terminated, truncated, info in ends] == [
            *[(False, False, None)] * (len(actions) - 1), (False, True, "stalled"),
        ]  # fmt: skip


def test_the_environments_own_end_is_no_stall():
    env = GymImageEnv("td3sweep-test/Car-v0", pedals=[0, 2], stalled_steps=7)
    env.reset(seed=0)
    ends = [env.step(np.zeros(2, np.float32))[2:] for _ in range(7)]
    assert ends[-1][:2] == (True, False)
    assert "end" not in ends[-1][2]


def test_an_environment_without_images_is_rendered():
    env = GymImageEnv("td3sweep-test/Blind-v0")
    observation, _ = env.reset(seed=0)
    assert (observation["image"] == 33).all()


class Shaped(Painter):
    """Observes what it is told to."""

    def __init__(self, shape, render_mode=None):
        super().__init__(render_mode)
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)

    def _picture(self):
        return np.full(self.observation_space.shape, 50, np.uint8)


@pytest.mark.parametrize("shape", [(96, 64), (96, 64, 1), (96, 64, 3), (96, 64, 4)])
def test_pictures_are_gray_or_have_their_colours_last(shape):
    observation, _ = GymImageEnv("td3sweep-test/Shaped-v0", shape=shape).reset(seed=0)
    assert (observation["image"] == 50).all()


@pytest.mark.parametrize("shape", [(3, 96, 64), (4, 84, 84), (84, 84, 2)])
def test_what_else_has_the_form_of_a_picture_is_refused(shape):
    with pytest.raises(UserError, match=rf"env\.id=td3sweep-test/Shaped-v0: it observes {re.escape(str(shape))}, and"):
        GymImageEnv("td3sweep-test/Shaped-v0", shape=shape)


def test_car_racing():
    pytest.importorskip("Box2D")
    env = GymImageEnv("CarRacing-v3", action_repeat=2)
    assert (env.action_size, env.vector_size) == (3, 3)
    observation, _ = env.reset(seed=3)
    again, _ = env.reset(seed=3)
    assert (observation["image"] == again["image"]).all()
    for _ in range(20):
        observation, reward, *_ = env.step(np.array([0.0, 1.0, -1.0], np.float32))
        assert env.observation_space.contains(observation)
        assert np.isfinite(reward)
    assert observation["image"].std() > 10
    env.close()


def test_gymnasium_accepts_it():
    pytest.importorskip("Box2D")
    env = GymImageEnv("CarRacing-v3")
    check_env(env, skip_render_check=True)
    env.close()


def test_faults_of_the_user_are_one_line(monkeypatch):
    with pytest.raises(UserError, match=r"env\.id=NoSuchGame-v0"):
        GymImageEnv("NoSuchGame-v0")
    with pytest.raises(UserError, match=r"env\.id=CartPole-v1: its actions are Discrete\(2\)"):
        GymImageEnv("CartPole-v1")
    with pytest.raises(UserError, match=r"env\.action_repeat=0"):
        GymImageEnv(action_repeat=0)
    with pytest.raises(UserError, match=r"env\.stalled_steps=0: must lie at or above 1"):
        GymImageEnv(stalled_steps=0)
    with pytest.raises(UserError, match=r"env\.pedals=\[1, 2\]: give two of the actions 0 to 1 of td3sweep-test"):
        GymImageEnv("td3sweep-test/Painter-v0", pedals=[1, 2])

    with pytest.raises(UserError, match=r"env\.id=no_such_module:Env-v0: .*no_such_module"):
        GymImageEnv("no_such_module:Env-v0")

    def missing(*_, **__):
        raise gymnasium.error.DependencyNotInstalled("Box2D is not installed")

    monkeypatch.setattr(Blind, "render", missing)  # some ask for it only when they draw
    with pytest.raises(UserError, match=r"env\.id=td3sweep-test/Blind-v0: Box2D is not installed; pip install"):
        GymImageEnv("td3sweep-test/Blind-v0").reset(seed=0)
    monkeypatch.setattr(gymnasium, "make", missing)
    with pytest.raises(UserError, match=r"env\.id=CarRacing-v3: .*pip install 'gymnasium\[box2d\]'"):
        GymImageEnv()
