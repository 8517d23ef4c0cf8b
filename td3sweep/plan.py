"""The loop's numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

LEAD = 2  # steps that an actor in a process of its own may be ahead of the learner


@dataclass(frozen=True)
class Plan:
    """What acting and learning go by.

    Attributes:
        exploration_noise: standard deviation after warm-up, and ``noise_steps`` environment steps later.
        reward_scale: factor on the rewards that the learner sees; returns are reported without it.
        critic_only_updates: updates of the critic alone, all at the end of warm-up.
        random_low, random_high: bounds of the warm-up's uniform actions.
    """

    steps: int
    warmup: int
    updates_per_step: float
    critic_only_updates: int
    batch_size: int
    exploration_noise: tuple[float, float]
    noise_steps: int
    reward_scale: float
    log_every: int
    eval_every: int
    eval_episodes: int
    save_every: int
    seed: int
    random_low: tuple[float, ...]
    random_high: tuple[float, ...]
    gamma: float

    def noise(self, step: int) -> float | None:
        """Exploration noise of the action that follows ``step`` environment steps; None: a random action."""
        if step < self.warmup:
            return None
        first, last = self.exploration_noise
        return first + (last - first) * min((step - self.warmup) / self.noise_steps, 1.0)


def stalest(actors: int, updates_per_step: float) -> int:
    """Updates that the learner can at most have made between an action's choice and its storing, with ``actors``.

    While an action is under way, at most ``actors * LEAD`` steps are stored before the learner waits for it, and as
    many that were heard of earlier before it is stored itself. The critic-only updates at the end of warm-up come on
    top, once.
    """
    return math.ceil(2 * actors * LEAD * updates_per_step - 1e-9)
