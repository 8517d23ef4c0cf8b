"""Q bias: the critic's value at the start of an episode less the discounted return that followed.

Positive is overestimation (Fujimoto et al., 2018). The value is infinite-horizon, the episode is not: an episode cut
off by a time limit is completed by the critic's value of its last observation, an ended one by nothing.
"""

from __future__ import annotations

from td3sweep.monitor.detectors import Stateful


class Bias(Stateful):
    """One episode's discounted return as it comes in, against the value it began with."""

    STATE = ("value", "realised", "weight")

    def __init__(self, gamma: float, value: float | None = None) -> None:
        self.gamma = gamma
        self.value = value  # of the first observation and action; None: the policy did not act
        self.realised = 0.0
        self.weight = 1.0  # gamma to the number of rewards so far

    def reward(self, value: float) -> None:
        """Add the reward of the next step."""
        self.realised += self.weight * value
        self.weight *= self.gamma

    def bias(self, last_value: float = 0.0) -> float | None:
        """Value at the start less what was realised; ``last_value`` completes an episode that was cut off."""
        return None if self.value is None else self.value - self.realised - self.weight * last_value
