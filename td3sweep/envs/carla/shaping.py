"""Potential-based shaping: reward terms that teach sooner and leave the best policy what it is.

A term pays gamma Phi(s') - Phi(s) for an agent step from s to s', and Phi is 0 where an episode terminates
(Ng, Harada, Russell 1999, "Policy invariance under reward transformations"; Grzes 2017 on ends of episodes).
Discounted, an episode's sum telescopes to -Phi(s_0), or gamma^T Phi(s_T) - Phi(s_0) where it is truncated, whatever
was done in between. This holds only for the learner's own gamma, and step by step, not tick by tick.

Both potentials are at least 0, so that an end, a crash above all, costs what was reached.
"""

from collections.abc import Callable, Mapping

from td3sweep.envs.carla.state import DriveState

Potential = Callable[[DriveState], float]
REACH, TOUCH = 10.0, 0.5  # m to the car ahead: where its repulsion begins, and where it is at its most


def centre(state: DriveState) -> float:
    """1 at the lane's centre, falling straight to 0 at its edge."""
    return 1.0 - min(abs(state.lateral) / state.half_lane, 1.0)


def apf(state: DriveState) -> float:
    """An artificial potential field, in [0, 2]: drawn by the route's end, pushed off by the car ahead.

    The share of the route behind the car, plus 1 less the repulsion (1/gap - 1/10 m)^2 (Khatib 1986, "Real-time
    obstacle avoidance for manipulators and mobile robots"), scaled to 1 at half a metre.
    """
    near = (1.0 / min(max(state.gap, TOUCH), REACH) - 1.0 / REACH) / (1.0 / TOUCH - 1.0 / REACH)
    return state.route_fraction + 1.0 - near**2


POTENTIALS: Mapping[str, Potential] = {"apf": apf, "centre": centre}


class Shaping:
    """The shaping terms of an episode: `begin` it, then call once an agent step."""

    def __init__(self, weights: Mapping[str, float], gamma: float) -> None:
        """
        Args:
            weights: by name of the potential.
            gamma: the learner's discount.
        """
        self._weights = dict(weights)
        self._gamma = gamma
        self._before = dict.fromkeys(self._weights, 0.0)

    @property
    def names(self) -> tuple[str, ...]:
        """The terms, in order."""
        return tuple(self._weights)

    def begin(self, state: DriveState) -> None:
        """The state with which the episode starts."""
        self._before = {name: POTENTIALS[name](state) for name in self._weights}

    def __call__(self, state: DriveState, terminated: bool) -> dict[str, float]:
        """The weighted terms of the step that led to `state`."""
        before = self._before
        after = {name: 0.0 if terminated else POTENTIALS[name](state) for name in self._weights}
        self._before = after
        return {name: weight * (self._gamma * after[name] - before[name]) for name, weight in self._weights.items()}
