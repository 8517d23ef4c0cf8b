"""The loop's numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

LEAD = 2  # steps that an actor in a process of its own may be ahead of the learner


class Acting(Enum):
    """Who chooses an action."""

    RANDOM = "random"
    DEMONSTRATOR = "demonstrator"
    POLICY = "policy"


@dataclass(frozen=True)
class Schedule:
    """What acting and learning go by.

    Attributes:
        horizon: environment steps over which the schedules run: those that the run was begun with. Longer ones go on
            as it ended.
        random_steps: first steps of the warm-up that are random; a demonstrator takes the rest.
        exploration_noise: standard deviation after warm-up, and where it has fallen to.
        noise_steps: environment steps after warm-up over which it falls; None: up to the horizon.
        lr_final: share of the learning rates that is left at the horizon; they fall over the last half of its updates.
        cloning: share of cloning in the actor's loss at the end of its fall, and the updates that the fall takes.
        reward_scale: factor on the rewards that the learner sees; returns are reported without it.
        critic_only_updates: updates of the critic alone, all at the end of warm-up.
        random_low, random_high: bounds of the warm-up's uniform actions.
    """

    steps: int
    horizon: int
    warmup: int
    random_steps: int
    updates_per_step: float
    critic_only_updates: int
    batch_size: int
    exploration_noise: tuple[float, float]
    noise_steps: int | None
    lr_final: float
    cloning: tuple[float, int] | None
    reward_scale: float
    log_every: int
    eval_every: int
    eval_episodes: int
    eval_spread: bool
    save_every: int
    seed: int
    random_low: tuple[float, ...]
    random_high: tuple[float, ...]
    gamma: float

    def acting(self, step: int) -> Acting:
        """Who chooses the action that follows ``step`` environment steps."""
        if step >= self.warmup:
            return Acting.POLICY
        return Acting.RANDOM if step < self.random_steps else Acting.DEMONSTRATOR

    def of_one_kind_until(self, step: int) -> int:
        """Environment steps after which somebody else acts than now, or nobody."""
        ends = {Acting.RANDOM: self.random_steps, Acting.DEMONSTRATOR: self.warmup, Acting.POLICY: self.steps}
        return min(ends[self.acting(step)], self.steps)

    def noise(self, step: int) -> float:
        """Exploration noise of the policy's action that follows ``step`` environment steps."""
        first, last = self.exploration_noise
        over = max(self.horizon - self.warmup, 1) if self.noise_steps is None else self.noise_steps
        return first + (last - first) * min((step - self.warmup) / over, 1.0)

    def updates(self, step: int) -> int:
        """Updates that are due after ``step`` environment steps."""
        if step < self.warmup:
            return 0
        return self.critic_only_updates + math.floor((step - self.warmup) * self.updates_per_step + 1e-9)

    def rate_share(self, update: int) -> float:
        """Share of the learning rates for the update that follows ``update`` of them."""
        whole = max(self.updates(self.horizon), 1)
        return 1.0 - (1.0 - self.lr_final) * min(max(2.0 * update / whole - 1.0, 0.0), 1.0)

    def cloning_share(self, update: int) -> float:
        """Share of cloning in the actor's loss: all of it during the critic-only updates, then falling to its floor."""
        if self.cloning is None:
            return 0.0
        floor, fade = self.cloning
        return 1.0 - (1.0 - floor) * min(max(update - self.critic_only_updates, 0) / fade, 1.0)


def stalest(actors: int, updates_per_step: float) -> int:
    """Updates that the learner can at most have made between an action's choice and its storing, with ``actors``.

    While an action is under way, at most ``actors * LEAD`` steps are stored before the learner waits for it, and as
    many that were heard of earlier before it is stored itself. The critic-only updates at the end of warm-up come on
    top, once.
    """
    return math.ceil(2 * actors * LEAD * updates_per_step - 1e-9)
