"""One step and one open episode, whoever acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from td3sweep.monitor.bias import Bias

Observation = dict[str, NDArray[Any]]
Floats = NDArray[np.float32]
TOLD = ("speed", "reward_terms", "success", "end")  # of an environment's info, what an episode's story needs


class Acts(Protocol):
    """An agent, or the part of it that acts."""

    def act(
        self, observation: Mapping[str, NDArray[Any]], state: Floats, noise: float = 0.0
    ) -> tuple[Floats, Floats]: ...


def choose(
    policy: Acts,
    observation: Observation,
    state: Floats,
    *,
    noise: float | None,
    bounds: tuple[tuple[float, ...], tuple[float, ...]],
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """An action and the memory state after ``observation``: the policy's with that noise or, for None, a random one."""
    if noise is not None:
        return policy.act(observation, state, noise=noise)
    if state.size:  # the memory must have seen the random phase's observations as well
        _, state = policy.act(observation, state, noise=0.0)
    return rng.uniform(*bounds).astype(np.float32), state


@dataclass(frozen=True)
class Moment:
    """One environment step: what was done, what came of it.

    Attributes:
        action: float32 [action_size].
        random: whether it was a warm-up's.
        state: memory state before ``observation``.
        updates: of the parameters that chose the action.
        info: see ``TOLD``.
    """

    action: Floats
    random: bool
    reward: float
    terminated: bool
    truncated: bool
    observation: Observation
    state: Floats
    updates: int
    info: Mapping[str, Any]

    @property
    def last(self) -> bool:
        """Whether it ended the episode."""
        return self.terminated or self.truncated


@dataclass
class Episode:
    """An open episode: what it takes to tell its story, and to replay it from its seed."""

    seed: int
    observation: Observation
    state: Floats
    bias: Bias
    actions: list[Floats] = field(default_factory=list)
    random: int = 0  # actions that were
    total: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    speed: float | None = None  # largest so far, m/s, where the environment tells
    terminated: bool = False
    success: bool = False
    end: str = ""

    def before(self, agent: Any, action: Floats) -> None:
        """Note what the critic expects of an episode's first action, once it has learnt anything."""
        if not self.actions and agent.updates > 0:
            self.bias.value = agent.value(self.observation, self.state, action)

    def add(self, moment: Moment, scaled: float) -> None:
        """Note one step, whose reward the learner sees as ``scaled``."""
        info = moment.info
        self.actions.append(moment.action)
        self.random += moment.random
        self.observation, self.state = moment.observation, moment.state
        self.total += moment.reward
        self.bias.reward(scaled)
        self.terminated = moment.terminated
        if "speed" in info:
            self.speed = max(self.speed or 0.0, float(info["speed"]))
        for term, value in info.get("reward_terms", {}).items():
            self.terms[term] = self.terms.get(term, 0.0) + float(value)
        self.success, self.end = bool(info.get("success", False)), str(info.get("end", ""))

    @property
    def length(self) -> int:
        """Steps so far."""
        return len(self.actions)

    @property
    def of_one_kind(self) -> bool:
        """Whether all actions were random, or none: an episode of both tells of neither."""
        return self.random in (0, self.length)

    def critics_bias(self, agent: Any) -> float | None:
        """The critic's bias in a finished episode of the policy."""
        if self.bias.value is None:
            return None
        last_value = 0.0
        if not self.terminated:
            action, _ = agent.act(self.observation, self.state, noise=0.0)
            last_value = agent.value(self.observation, self.state, action)
        return self.bias.bias(last_value)
