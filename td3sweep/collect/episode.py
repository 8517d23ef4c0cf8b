"""One step and one open episode, whoever acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3sweep.agent.policy import Policy
from td3sweep.agent.td3 import TD3
from td3sweep.collect.demonstrate import Shows
from td3sweep.collect.schedule import Acting
from td3sweep.envs.protocol import Env, executed
from td3sweep.monitor.bias import Bias

Observation = dict[str, NDArray[Any]]
Floats = NDArray[np.float32]
EPISODE_INFO = ("speed", "reward_terms", "success", "end", "unlearnt")  # of an environment's info, what the loop needs


@dataclass(frozen=True)
class Choice:
    """An action, who chose it, what a demonstrator meant by it, and the memory state after it."""

    action: Floats
    acting: Acting
    state: Floats
    meant: Floats | None = None


class Chooser:
    """Chooses actions for whoever's turn it is.

    Args:
        policy: what learns.
        bounds: lowest and highest random actions.
        rng: of the random ones.
        demonstrator: who shows how to drive; None: nobody does.
    """

    def __init__(
        self,
        policy: Policy,
        bounds: tuple[tuple[float, ...], tuple[float, ...]],
        rng: np.random.Generator,
        demonstrator: Shows | None,
    ) -> None:
        self._policy, self._bounds, self.rng, self._demonstrator = policy, bounds, rng, demonstrator

    def begin(self, seed: int, info: Mapping[str, Any]) -> None:
        """Take up the episode of ``seed``; ``info`` is what its reset told."""
        if self._demonstrator is not None:
            self._demonstrator.begin(seed, info)

    def step(
        self,
        env: Env,
        acting: Acting,
        noise: float,
        *,
        observation: Observation,
        info: Mapping[str, Any],
        state: Floats,
        updates: int,
    ) -> Transition:
        """Choose an action for ``observation``, the policy's with that exploration noise, and take it in ``env``.

        What an autopilot does is known afterwards, so that the two are one.
        """
        action: Floats | None
        meant: Floats | None = None
        if acting is Acting.POLICY:
            action, state = self._policy.act(observation, state, noise=noise)
        else:
            if state.size:  # the memory must have seen the warm-up's observations as well
                _, state = self._policy.act(observation, state, noise=0.0)
            action, meant = self.outside(acting, observation, info)
        after, reward, terminated, truncated, told = env.step(action)
        done = executed(action, told)
        if acting is not Acting.POLICY:
            state = self._policy.after(state, done)
        choice = Choice(done, acting, state, done if action is None else meant)
        return Transition(choice, float(reward), terminated, truncated, after, updates, told)

    def outside(
        self, acting: Acting, observation: Observation, info: Mapping[str, Any]
    ) -> tuple[Floats | None, Floats | None]:
        """An action that is not the policy's (None: the autopilot's), and what was meant by it."""
        if acting is Acting.DEMONSTRATOR and self._demonstrator is not None:
            return self._demonstrator.act(observation, info)
        return self.rng.uniform(*self._bounds).astype(np.float32), None


@dataclass(frozen=True)
class Transition:
    """One environment step: what was done, what came of it.

    Attributes:
        chosen: the action, with the memory state before ``observation``.
        updates: of the parameters that chose the action.
        info: see ``EPISODE_INFO``.
    """

    chosen: Choice
    reward: float
    terminated: bool
    truncated: bool
    observation: Observation
    updates: int
    info: Mapping[str, Any]

    @property
    def last(self) -> bool:
        """Whether it ended the episode."""
        return self.terminated or self.truncated

    @property
    def learnt(self) -> float:
        """The reward without what the goal pays once where it does not end the task: nobody can see it coming."""
        return self.reward - float(self.info.get("unlearnt", 0.0))


@dataclass
class Episode:
    """An open episode: what it takes to tell its story, and to replay it from its seed."""

    seed: int
    observation: Observation
    state: Floats
    bias: Bias
    info: Mapping[str, Any] = field(default_factory=dict)  # the newest
    actions: list[Floats] = field(default_factory=list)
    random: int = 0  # actions that were
    shown: int = 0  # actions that were a demonstrator's
    total: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    speed: float | None = None  # largest so far, m/s, where the environment tells
    terminated: bool = False
    success: bool = False
    end: str = ""
    cut: bool = False  # it did not end by itself: what follows is shown elsewhere

    def before(self, agent: TD3, action: Floats) -> None:
        """Note what the critic expects of an episode's first action, once it has learnt anything."""
        if not self.actions and agent.updates > 0:
            self.bias.value = agent.value(self.observation, self.state, action)

    def add(self, transition: Transition, scaled: float) -> None:
        """Note one step, whose reward the learner sees as ``scaled``."""
        info = transition.info
        self.actions.append(transition.chosen.action)
        self.random += transition.chosen.acting is Acting.RANDOM
        self.shown += transition.chosen.acting is Acting.DEMONSTRATOR
        self.observation, self.state, self.info = transition.observation, transition.chosen.state, info
        self.total += transition.reward
        self.bias.reward(scaled)
        self.terminated = transition.terminated
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
        """Whether one chose all actions, up to its end: an episode of several tells of none."""
        whole = self.length in (self.random, self.shown) or self.random == self.shown == 0
        return whole and not self.cut

    def critics_bias(self, agent: TD3) -> float | None:
        """The critic's bias in a finished episode of the policy."""
        if self.bias.value is None:
            return None
        last_value = 0.0
        if not self.terminated:
            action, _ = agent.act(self.observation, self.state, noise=0.0)
            last_value = agent.value(self.observation, self.state, action)
        return self.bias.bias(last_value)
