"""`env=gym`: any Gymnasium environment with images, brought to the observation and action of this package."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from td3sweep.config.env_settings import GymSettings
from td3sweep.config.setting import check_bounds
from td3sweep.config.settings import Settings
from td3sweep.envs.carla.observe import Frame, FrameStack, gray, shrink
from td3sweep.envs.protocol import STACK, Action, Observation, observation_space
from td3sweep.errors import UserError

COLOURS = (1, 3, 4)  # gray, RGB, RGBA


class GymImageEnv(gymnasium.Env[Observation, Action]):
    """A stack of gray 84 x 84 frames, and the previous action as the vector.

    An environment whose observation is no image is rendered instead. Actions are stretched to its Box. An episode that
    `stalled_steps` ends has `info["end"]` say so.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - Gymnasium declares it so

    def __init__(
        self,
        id: str = "CarRacing-v3",
        *,
        frame_stack: int = STACK,
        action_repeat: int = 1,
        pedals: Sequence[int] = (),
        stalled_steps: int | None = None,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        """
        Args:
            id: the environment's Gymnasium id.
            frame_stack: frames in the image stack.
            action_repeat: inner steps per action; their rewards are added.
            pedals: two actions of the environment that one of ours drives, as throttle and brake on CARLA: above 0 the
                first, below 0 the second, at 0 neither; empty: each is one of ours.
            stalled_steps: actions in a row without a positive reward after which an episode is truncated; None: never.
            render_mode: None or `rgb_array`.
            kwargs: passed to `gymnasium.make`.

        Raises:
            UserError: no such environment, a dependency is missing, its actions are not a bounded Box, the pedals are
                not two of them, or a number is out of range.
        """
        check_bounds(GymSettings(action_repeat=action_repeat, stalled_steps=stalled_steps), "env.")
        check_bounds(Settings(frame_stack=frame_stack))
        self._patience = math.inf if stalled_steps is None else stalled_steps
        self._id, self._env = id, _make(id, kwargs)
        self.render_mode = render_mode
        self._renders = not _is_image(self._env, id)
        inner = self._env.action_space
        if not isinstance(inner, spaces.Box) or len(inner.shape) != 1 or not inner.is_bounded():
            self._env.close()
            raise UserError(f"env.id={id}: its actions are {inner}; TD3 needs a bounded one-dimensional Box")
        size = int(inner.shape[0])
        if pedals and not (len(pedals) == len(set(pedals)) == 2 and min(pedals) >= 0 and max(pedals) < size):
            self._env.close()
            raise UserError(
                f"env.pedals={list(pedals)}: give two of the actions 0 to {size - 1} of {id}, such as [1,2]"
            )
        self._low, self._high = inner.low.astype(np.float64), inner.high.astype(np.float64)
        self._pedals = tuple(pedals)
        self.action_size = self.vector_size = size - 1 if pedals else size
        self.action_space = spaces.Box(-1.0, 1.0, (self.action_size,), np.float32)
        self.observation_space = observation_space(self.vector_size, frame_stack)
        self._repeat = action_repeat
        self._unpaid = 0
        self._stack = FrameStack(frame_stack)
        self._previous: NDArray[np.float32] = np.zeros(self.vector_size, np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        with _packages(self._id):
            own = {key: value for key, value in (options or {}).items() if key != "spread"}  # there are no kinds here
            inner, info = self._env.reset(seed=seed, options=own or None)
            self._stack.restart(self._frame(inner))
        self._previous = np.zeros(self.vector_size, np.float32)
        self._unpaid = 0
        return self._observation(), info

    def step(self, action: Action | None) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Play one action, `action_repeat` times unless the episode ends."""
        if action is None:
            raise ValueError(f"step(None): {self._id} has no autopilot")
        self._previous = np.clip(np.asarray(action, np.float32), -1.0, 1.0)
        stretched = self._low + self._shares(self._previous) * (self._high - self._low)
        total = 0.0
        for _ in range(self._repeat):
            inner, reward, terminated, truncated, info = self._env.step(stretched.astype(self._env.action_space.dtype))
            total += float(reward)
            if terminated or truncated:
                break
        self._stack.push(self._frame(inner))
        self._unpaid = 0 if total > 0.0 else self._unpaid + 1
        if self._unpaid >= self._patience and not (terminated or truncated):
            truncated, info = True, info | {"end": "stalled"}
        return self._observation(), total, terminated, truncated, info

    def render(self) -> Any:
        """The inner environment's picture."""
        return self._env.render()

    def close(self) -> None:
        """Close the inner environment."""
        self._env.close()

    def _shares(self, action: Action) -> NDArray[np.float64]:
        """How far into its range, from 0 to 1, each action of the environment is moved."""
        shares = (action.astype(np.float64) + 1.0) / 2.0
        if not self._pedals:
            return shares
        first, second = self._pedals
        pedal = float(action[pedal_place(self._pedals)])
        shares = np.insert(shares, second, max(0.0, -pedal))
        shares[first] = max(0.0, pedal)
        return shares

    def _frame(self, inner: Any) -> Frame:
        pixels = np.asarray(self._env.render() if self._renders else inner)
        if pixels.shape[2:] == (1,):
            pixels = pixels[..., 0]
        return shrink(pixels if pixels.ndim == 2 else gray(pixels))

    def _observation(self) -> Observation:
        return {"image": self._stack.array(), "vector": self._previous.copy()}


def pedal_place(pedals: Sequence[int]) -> int:
    """Which of our actions drives both pedals: the first one's place once the second is gone."""
    first, second = pedals
    return first - (second < first)


def _make(id: str, kwargs: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    try:
        with _packages(id):
            return gymnasium.make(id, render_mode="rgb_array", **kwargs)
    except gymnasium.error.Error as error:
        raise UserError(f"env.id={id}: {error}") from error


@contextmanager
def _packages(id: str) -> Iterator[None]:
    """Name what an environment needs and has not: some ask for it only when they draw."""
    try:
        yield
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise UserError(f"env.id={id}: {error}; pip install 'gymnasium[box2d]' or the package it names") from error


def _is_image(env: gymnasium.Env[Any, Any], id: str) -> bool:
    """Whether the observation is a picture, of gray or with its colours last; else the environment is rendered."""
    space = env.observation_space
    if not (isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3)):
        return False
    if len(space.shape) == 3 and space.shape[2] not in COLOURS:
        env.close()
        raise UserError(
            f"env.id={id}: it observes {space.shape}, and a picture is (height, width) or has 1, 3 or 4 colours last; "
            "drop the wrapper that stacks frames or puts colours first (frame_stack= stacks them here)"
        )
    return True
