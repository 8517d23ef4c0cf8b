"""Acting in the learner's own process, step by step: a run can be resumed bit for bit."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from td3sweep.agent.td3 import TD3
from td3sweep.collect.collector import FAULTS_IN_A_ROW, PAUSES_S, Collector, Step
from td3sweep.collect.demonstrate import Shows
from td3sweep.collect.episode import Chooser, Episode, Observation
from td3sweep.collect.evaluation import FIRST_SEED, Observer, evaluate
from td3sweep.collect.recorded import Recorded
from td3sweep.collect.schedule import Acting, Schedule
from td3sweep.envs.protocol import Env
from td3sweep.errors import SimulatorError
from td3sweep.monitor.bias import Bias
from td3sweep.replay.memory import Store

log = logging.getLogger(__name__)

CUT = "cut"  # how an episode ends that others go on from elsewhere


class InProcess(Collector):
    """One environment, driven by the agent itself.

    Attributes:
        env: the environment.
        episode: the open one.
    """

    def __init__(
        self, schedule: Schedule, env: Env, agent: TD3, replay: Store, demonstrator: Shows | None = None
    ) -> None:
        """``demonstrator``: drives the rest of the warm-up; a recorded one brings its own environment along."""
        super().__init__(schedule, agent)
        self.env = env
        self.episode: Episode | None = None
        self._replay = replay
        self._recorded = demonstrator if isinstance(demonstrator, Recorded) else None
        random = np.random.default_rng(schedule.seed)
        self._chooser = Chooser(agent, (schedule.random_low, schedule.random_high), random, demonstrator)
        self._faults_in_a_row = FAULTS_IN_A_ROW - 1  # a simulator that fails before it ever worked ends the run

    def collect(self) -> Step:
        """See :class:`Collector`."""
        stage = self._stage(self.step)
        with self._surviving():
            if self.episode is None:
                self.episode = self._begin()
                self._replay.begin(self.episode.observation, self.episode.state)
            episode, started = self.episode, time.perf_counter()
            transition = self._chooser.step(
                stage,
                self.schedule.acting(self.step),
                self.schedule.noise(self.step),
                observation=episode.observation,
                info=episode.info,
                state=episode.state,
                updates=self.agent.updates,
            )
        episode.before(self.agent, transition.chosen.action)
        if not transition.last and self._stage(self.step + 1) is not stage:
            episode.cut = True
            transition = replace(transition, truncated=True, info={**transition.info, "end": CUT})
        step = self._store(self._replay, episode, transition, started)
        if stage is self.env:
            self._faults_in_a_row = 0
        if step.finished:
            self.episode = None
        return step

    def evaluate(
        self, episodes: int, interrupted: Callable[[], bool], observer: Observer | None
    ) -> dict[str, float] | None:
        """Evaluate between episodes, in the same environment: two never share a server."""
        with self._surviving():
            found = evaluate(
                self.env,
                self.agent,
                episodes=episodes,
                spread=self.schedule.eval_spread,
                interrupted=interrupted,
                observer=observer,
            )
        if found is not None:
            self._faults_in_a_row = 0
        return found

    @property
    def pause_s(self) -> float:
        """See :class:`Collector`."""
        return PAUSES_S[min(self._faults_in_a_row, len(PAUSES_S)) - 1]

    @property
    def hopeless(self) -> bool:
        """See :class:`Collector`."""
        return self._faults_in_a_row >= FAULTS_IN_A_ROW

    def _stage(self, step: int) -> Env:
        """The environment in which the action that follows ``step`` environment steps is taken."""
        if self._recorded is not None and self.schedule.acting(step) is Acting.DEMONSTRATOR:
            return self._recorded
        return self.env

    def _begin(self) -> Episode:
        stage = self._stage(self.step)
        if isinstance(stage, Recorded):
            seed = stage.seek(self.step - self.schedule.random_steps)
        else:
            entropy = [self.schedule.seed, self.episodes, self.faults]
            seed = int(np.random.SeedSequence(entropy).generate_state(1)[0]) % FIRST_SEED
        observation, info = stage.reset(seed=seed)
        self._chooser.begin(seed, info)
        return Episode(seed, observation, self.agent.initial_state(), Bias(self.schedule.gamma), info)

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        """Forget the open episode at a simulator fault; the next one starts on a new server."""
        try:
            yield
        except SimulatorError as error:
            self._count(error)
            self._faults_in_a_row += 1
            if self.episode is not None:
                self._replay.discard_episode()
                self.episode = None
            raise

    # Save and restore

    def state_dict(self) -> dict[str, Any]:
        """See :class:`Collector`; the open episode is kept as its seed and actions."""
        episode = self.episode
        return super().state_dict() | {
            "random": self._chooser.rng.bit_generator.state,
            "recording": self._recorded and self._recorded.digest,
            "episode": episode
            and {
                "seed": episode.seed,
                "actions": torch.from_numpy(np.array(episode.actions, np.float32)),
                "state": torch.from_numpy(episode.state.copy()),
                "total": episode.total,
                "terms": dict(episode.terms),
                "speed": episode.speed,
                "bias": episode.bias.state_dict(),
                "observation": _fingerprint(episode.observation),
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See :class:`Collector`; the open episode is driven again."""
        super().load_state_dict(state)
        self._chooser.rng.bit_generator.state = state["random"]
        if (
            self._recorded is not None
            and self.step < self.schedule.warmup
            and state["recording"] != self._recorded.digest
        ):
            raise self._recorded.changed()
        if state["episode"] is not None:
            self._reopen(state["episode"])

    def _reopen(self, saved: Mapping[str, Any]) -> None:
        """Drive the open episode again from its seed; where the simulator does not repeat itself, discard it."""
        episode = Episode(saved["seed"], {}, saved["state"].numpy(), Bias(self.schedule.gamma))
        began = self.step - len(saved["actions"])
        stage = self._stage(began)
        if isinstance(stage, Recorded):
            stage.seek(began - self.schedule.random_steps)
        episode.total, episode.terms, episode.speed = saved["total"], dict(saved["terms"]), saved["speed"]
        episode.bias.load_state_dict(saved["bias"])
        try:
            episode.observation, episode.info = stage.reset(seed=saved["seed"])
            self._chooser.begin(saved["seed"], episode.info)
            for number, action in enumerate(saved["actions"].numpy()):
                acting = self.schedule.acting(began + number)
                again: Any = action
                if acting is Acting.DEMONSTRATOR:  # so that it goes on as if it had never stopped
                    shown, _ = self._chooser.outside(acting, episode.observation, episode.info)
                    again = None if shown is None else action  # an autopilot drives again
                episode.random += acting is Acting.RANDOM
                episode.shown += acting is Acting.DEMONSTRATOR
                episode.observation, *_, episode.info = stage.step(again)
                episode.actions.append(action)
        except SimulatorError as error:
            # Nothing was lost: the checkpoint stays as it is, and the next try resumes from it exactly.
            raise SimulatorError(f"resuming at step {self.step}: {error}") from error
        if stage is self.env:
            self._faults_in_a_row = 0
        if _fingerprint(episode.observation) == saved["observation"]:
            self.episode = episode
        elif isinstance(stage, Recorded):
            raise stage.changed()
        else:
            self._replay.discard_episode()
            log.warning("the simulator did not repeat the open episode: it is discarded; the learner goes on exactly")


def _fingerprint(observation: Observation) -> str:
    digest = hashlib.sha256()
    for key in sorted(observation):
        digest.update(np.ascontiguousarray(observation[key]).tobytes())
    return digest.hexdigest()
