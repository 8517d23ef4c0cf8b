"""What the loop asks of whoever acts."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from td3sweep.agent.td3 import TD3
from td3sweep.collect.episode import Episode, Transition
from td3sweep.collect.evaluation import Observer
from td3sweep.collect.schedule import Schedule
from td3sweep.errors import SimulatorError
from td3sweep.replay.memory import Store

FAULTS_IN_A_ROW = 5  # simulator faults without a single good step between them after which a simulator is given up
PAUSES_S = (0.0, 2.0, 15.0, 60.0)  # after each of them but the last: a server may be gone for a minute


@dataclass(frozen=True)
class Step:
    """One environment step that is stored and counted.

    Attributes:
        moment: what was done, and what came of it.
        reward: as the learner sees it.
        seconds: that the loop spent on it, without an episode's beginning.
        finished: the episode that it ended, if it did.
    """

    transition: Transition
    reward: float
    seconds: float
    finished: Episode | None


class Collector(ABC):
    """Acts, stores and counts; the loop learns in between.

    Attributes:
        step: environment steps stored since the run began, those of discarded episodes included.
        episodes: finished ones.
        faults: simulator faults survived.
        fault_kinds: the same by kind.
    """

    def __init__(self, schedule: Schedule, agent: TD3) -> None:
        self.schedule, self.agent = schedule, agent
        self.step = self.episodes = self.faults = 0
        self.fault_kinds: Counter[str] = Counter()

    @abstractmethod
    def collect(self) -> Step | None:
        """Store one more step; None: there is none yet, ask again.

        Raises:
            SimulatorError: a simulator failed. Its open episode is discarded, and counted; it is tried again.
        """

    @property
    @abstractmethod
    def pause_s(self) -> float:
        """Seconds that the loop should wait after a fault before it collects again."""

    @property
    @abstractmethod
    def hopeless(self) -> bool:
        """Whether the simulators failed so often that the run should end."""

    @abstractmethod
    def evaluate(
        self, episodes: int, interrupted: Callable[[], bool], observer: Observer | None
    ) -> dict[str, float] | None:
        """:func:`td3sweep.collect.evaluation.evaluate` of the present policy; raises as :meth:`collect`."""

    def row(self) -> dict[str, float]:
        """What it adds to a row of metrics."""
        kinds = {f"env/faults/{kind}": float(count) for kind, count in self.fault_kinds.items()}
        return {"env/faults": float(self.faults)} | kinds

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        counts = {"env_step": self.step, "episodes": self.episodes, "faults": self.faults}
        return counts | {"fault_kinds": dict(self.fault_kinds)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; the replay memory must have been restored before."""
        self.step, self.episodes, self.faults = state["env_step"], state["episodes"], state["faults"]
        self.fault_kinds = Counter(state.get("fault_kinds", {}))  # older checkpoints lack it

    def _count(self, error: SimulatorError) -> None:
        self.faults += 1
        self.fault_kinds[error.kind] += 1

    def _store(self, store: Store, episode: Episode, transition: Transition, started: float) -> Step:
        """Store and count one step, begun at ``started``."""
        scaled = transition.learnt * self.schedule.reward_scale
        chosen, ended = transition.chosen, (transition.terminated, transition.truncated)
        store.add(chosen.action, scaled, *ended, transition.observation, chosen.state, chosen.meant)
        episode.add(transition, scaled)
        self.step += 1
        self.episodes += transition.last
        return Step(transition, scaled, time.perf_counter() - started, episode if transition.last else None)
