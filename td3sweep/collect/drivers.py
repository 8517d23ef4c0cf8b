"""Who drives an evaluation: the trained policy, or a baseline that bounds what its score means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from td3sweep.agent.policy import Policy
from td3sweep.errors import UserError

Action = NDArray[np.float32]

TARGET_SPEED = 8.33  # m/s, 30 km/h: what the rewards ask for
WHEELBASE = 3.0  # m, of the ego's model
LOOK_AHEAD = (3.0, 0.35)  # m, and s of driving
SPEED_GAINS = (0.4, 0.05, 0.02)  # throttle per m/s of error, per m of its sum, per m/s^2 of its change
LONGEST_SUM = 5.0  # m: bounds the sum, which would wind up while the car sets off
CONSTANT = (0.0, 0.3)  # straight on, three tenths of the throttle


class Driver(Protocol):
    """Chooses actions in one episode after the other."""

    def begin(self, seed: int, info: Mapping[str, Any]) -> None:
        """Take up the episode of ``seed``; ``info`` is what its reset told."""
        ...

    def act(self, observation: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Action | None:
        """The next action, from the newest observation and info; None: the environment's autopilot drives."""
        ...


class Trained:
    """A trained policy without exploration noise."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.state = policy.initial_state()

    def begin(self, seed: int, info: Mapping[str, Any]) -> None:
        """Forget the last episode."""
        self.state = self.policy.initial_state()

    def act(self, observation: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Action:
        """The actor's action."""
        action, self.state = self.policy.act(observation, self.state, noise=0.0)
        return action


class Pid:
    """Pure pursuit (Coulter 1992) steers along the route, a PID controller holds 30 km/h.

    It is told the route, its place and its heading, which a learner from images is not; it does not see other cars.
    """

    def begin(self, seed: int, info: Mapping[str, Any]) -> None:
        """Take up the route.

        Raises:
            UserError: the environment has none.
        """
        if "route" not in info or "max_steer" not in info:
            raise UserError("--policy pid follows the route of env=carla; this environment has none: choose random")
        self._route = np.asarray(info["route"], float)
        self._distances = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(self._route, axis=0).T))])
        self._max_steer = float(info["max_steer"])
        self._step_s = 0.0
        self._sum, self._error = 0.0, 0.0

    def act(self, observation: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Action:
        """Steer for a point on the route ahead, and hold the speed."""
        speed = float(info["speed"])
        steer = pursue(
            self._ahead(float(info["route_fraction"]) * self._distances[-1] + LOOK_AHEAD[0] + LOOK_AHEAD[1] * speed),
            info["position"],
            float(info["heading"]),
            self._max_steer,
        )
        self._step_s = float(info.get("seconds", 0.0))
        return np.array([steer, self._drive(TARGET_SPEED - speed)], np.float32)

    def _ahead(self, distance: float) -> tuple[float, float]:
        x, y = (float(np.interp(distance, self._distances, self._route[:, axis])) for axis in (0, 1))
        return x, y

    def _drive(self, error: float) -> float:
        change = (error - self._error) / self._step_s if self._step_s else 0.0
        self._sum = min(max(self._sum + error * self._step_s, -LONGEST_SUM), LONGEST_SUM)
        self._error = error
        kp, ki, kd = SPEED_GAINS
        return min(max(kp * error + ki * self._sum + kd * change, -1.0), 1.0)


class AutopilotDriver:
    """CARLA's Traffic Manager drives along the route at 30 km/h, and minds other cars."""

    def begin(self, seed: int, info: Mapping[str, Any]) -> None:
        """Nothing to take up."""

    def act(self, observation: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> None:
        """It is the environment that acts."""


class Constant:
    """The same action always."""

    def __init__(self, action: Sequence[float]) -> None:
        self._action = np.array(action, np.float32)

    def begin(self, seed: int, info: Mapping[str, Any]) -> None:
        """Nothing to take up."""

    def act(self, observation: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Action:
        """That action."""
        return self._action


class Random:
    """Uniform actions, drawn anew every step, between the bounds of a training's warm-up."""

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        self._low, self._high = low, high

    def begin(self, seed: int, info: Mapping[str, Any]) -> None:
        """The episode's seed decides its actions."""
        self._rng = np.random.default_rng(seed)

    def act(self, observation: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Action:
        """A fresh draw."""
        return self._rng.uniform(self._low, self._high).astype(np.float32)


def pursue(target: tuple[float, float], position: Sequence[float], heading: float, max_steer: float) -> float:
    """Pure pursuit: the share of the wheel's lock that drives the rear axle along an arc through ``target``.

    Args:
        target, position: metres in the world; the position is the car's centre.
        heading: rad, growing to the right.
        max_steer: wheels' angle for a steer of 1, rad.

    Returns:
        Steer in [-1, 1], positive right.
    """
    cos, sin = math.cos(heading), math.sin(heading)
    dx = target[0] - (position[0] - WHEELBASE / 2 * cos)
    dy = target[1] - (position[1] - WHEELBASE / 2 * sin)
    right = cos * dy - sin * dx
    curvature = 2.0 * right / max(dx * dx + dy * dy, 1e-6)
    return min(max(math.atan(WHEELBASE * curvature) / max_steer, -1.0), 1.0)
