"""Rewards as weighted sums of small terms, each a class with its formula, over one simulator tick.

A preset is data, in `conf/reward/`: weights by term, and the progress term's scale. `described_20nov` and
`described_later` are the described system's, whose progress scales differ a hundredfold, so their returns do not
compare; `described_phase3` adds the shaping (`shaping.py`) that its plan names for a third phase, without weights.
`race` is v (cos a - |d|) (Jaritz et al. 2018, "End-to-end race driving with deep reinforcement learning"); `cruise`
has its optimum at the target speed.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from td3sweep.envs.carla.shaping import POTENTIALS, Shaping
from td3sweep.envs.carla.state import OFF_ROAD, DriveState
from td3sweep.errors import UserError

TARGET_SPEED = 8.33  # m/s, 30 km/h


class Term(Protocol):
    """One summand of the reward, before its weight."""

    def __call__(self, state: DriveState) -> float:
        """The term's value for this tick."""
        ...


@dataclass(frozen=True)
class Efficiency:
    """Speed along the route over the target speed, clipped to [-1, 1]."""

    target_speed: float = TARGET_SPEED

    def __call__(self, state: DriveState) -> float:
        """The term's value for this tick."""
        return _clip(state.speed * math.cos(state.heading_error) / self.target_speed, -1.0, 1.0)


@dataclass(frozen=True)
class CruiseSpeed:
    """Speed along the route over the target speed, falling twice as steeply above it."""

    target_speed: float = TARGET_SPEED

    def __call__(self, state: DriveState) -> float:
        """The term's value for this tick."""
        ratio = state.speed * math.cos(state.heading_error) / self.target_speed
        return ratio if ratio <= 1.0 else 1.0 - 2.0 * (ratio - 1.0)


@dataclass(frozen=True)
class LaneKeeping:
    """Near the lane's centre and along it: .5 at best; faded in over .1 to 3 m/s: standing earns nothing."""

    def __call__(self, state: DriveState) -> float:
        """The term's value for this tick."""
        centre = 1.0 - 0.7 * min(abs(state.lateral) / state.half_lane, 1.0)
        aligned = 1.0 - 0.3 * min(abs(state.heading_error) / 0.1, 1.0)
        return ((centre + aligned) / 2.0 - 0.5) * _clip((state.speed - 0.1) / 2.9, 0.0, 1.0)


@dataclass(frozen=True)
class Comfort:
    """Little jerk: .3 at best, 0 at 5 m/s^3, -.3 from 10 m/s^3."""

    def __call__(self, state: DriveState) -> float:
        """The term's value for this tick."""
        n = min(state.jerk / 5.0, 2.0)
        return 0.3 * (1.0 - n) if n <= 1.0 else -0.3 * (n - 1.0) ** 2


@dataclass(frozen=True)
class Safety:
    """Penalties for danger, impact and leaving the lane; `off_road` is the limit of the end by that name, m.

    The described system gives ranges for two parts; here a wrong way costs 1 at 90 degrees to 5 at 180, and
    standing costs .01 at once to .05 after 100 ticks.
    """

    off_road: float = OFF_ROAD

    def __call__(self, state: DriveState) -> float:
        """The term's value for this tick."""
        value = 0.0
        if state.gap < 10.0:
            value -= 1.0 / max(state.gap, 0.5)
        if state.time_to_collision < 3.0:
            value -= 0.5 / max(state.time_to_collision, 0.1)
        if state.collision_speed is not None:
            value -= 5.0 if state.collision_speed < 2.0 else 25.0 if state.collision_speed < 5.0 else 100.0
        if abs(state.lateral) > self.off_road:
            value -= 20.0
        if abs(state.heading_error) > math.pi / 2:
            value -= 1.0 + 4.0 * (abs(state.heading_error) / (math.pi / 2) - 1.0)
        if state.lane_invasion:
            value -= 10.0
        if state.stopped_ticks:
            value -= 0.01 + 0.04 * min(state.stopped_ticks / 100.0, 1.0)
        return value


@dataclass(frozen=True)
class Progress:
    """Metres gained times `scale`, 1 a way-point, 100 at the goal; clipped to [-10, 110]."""

    scale: float = 0.5

    def __call__(self, state: DriveState) -> float:
        """The term's value for this tick."""
        goal = 100.0 if state.route_done else 0.0
        return _clip(self.scale * state.metres_gained + state.waypoints_passed + goal, -10.0, 110.0)


@dataclass(frozen=True)
class Race:
    """v (cos a - |d|), in m/s and metres."""

    def __call__(self, state: DriveState) -> float:
        """The term's value for this tick."""
        return state.speed * (math.cos(state.heading_error) - abs(state.lateral))


@dataclass(frozen=True)
class Failure:
    """-1 at a collision, off the road (`off_road`: metres from the lane's centre) or after so many `stalled` ticks."""

    off_road: float = OFF_ROAD
    stalled: float = math.inf

    def __call__(self, state: DriveState) -> float:
        """The term's value for this tick."""
        left = abs(state.lateral) > self.off_road or state.stopped_ticks >= self.stalled
        return -1.0 if state.collision_speed is not None or left else 0.0


@dataclass(frozen=True)
class Goal:
    """1 at the end of the route."""

    def __call__(self, state: DriveState) -> float:
        """The term's value for this tick."""
        return 1.0 if state.route_done else 0.0


class Reward:
    """A weighted sum of terms, those of every tick and, in `shaping`, those of every agent step."""

    def __init__(self, terms: Mapping[str, tuple[float, Term]], shaping: Shaping) -> None:
        self._terms = dict(terms)
        self.shaping = shaping

    @property
    def names(self) -> tuple[str, ...]:
        """The terms, in order."""
        return (*self._terms, *self.shaping.names)

    def __call__(self, state: DriveState) -> dict[str, float]:
        """The weighted value of every term of a tick; the reward is the sum of all terms."""
        return {name: weight * term(state) for name, (weight, term) in self._terms.items()}

    def bonus(self, state: DriveState) -> float:
        """What of it the end of the route pays once, beside what driving there earns."""
        if not state.route_done:
            return 0.0
        before = replace(state, route_done=False)
        return sum(weight * (term(state) - term(before)) for weight, term in self._terms.values())


def build_reward(
    terms: Mapping[str, float], *, progress_scale: float = 1.0, stalled: float = math.inf, gamma: float = 0.99
) -> Reward:
    """Build a reward from weights by term name.

    Args:
        terms: weight of each term; see the classes of this module, and `shaping.py`, for the formulas.
        progress_scale: reward of one metre in `progress`, before its weight.
        stalled: ticks at a standstill that are a `failure`.
        gamma: the learner's discount, for the shaping.

    Raises:
        UserError: a term is unknown.
    """
    makers: dict[str, Callable[[], Term]] = {
        "comfort": Comfort,
        "cruise_speed": CruiseSpeed,
        "efficiency": Efficiency,
        "failure": lambda: Failure(stalled=stalled),
        "goal": Goal,
        "lane": LaneKeeping,
        "progress": lambda: Progress(progress_scale),
        "race": Race,
        "safety": Safety,
    }
    for name in terms:
        if name not in makers and name not in POTENTIALS:
            raise UserError(f"reward.terms.{name}: no such term; choose from {', '.join([*makers, *POTENTIALS])}")
    return Reward(
        {name: (weight, makers[name]()) for name, weight in terms.items() if name in makers},
        Shaping({name: weight for name, weight in terms.items() if name in POTENTIALS}, gamma),
    )


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
