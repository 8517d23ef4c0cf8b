"""THE loop: act, store, learn, watch, evaluate, save."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from td3sweep.agent.td3 import TD3
from td3sweep.checkpoint import Checkpoints
from td3sweep.errors import SimulatorError
from td3sweep.evaluate import FIRST_SEED, evaluate
from td3sweep.monitor.bias import Bias
from td3sweep.monitor.detectors import Alarm
from td3sweep.monitor.verdict import Monitor
from td3sweep.record.recorder import Recorder
from td3sweep.replay.frames import FrameReplay

log = logging.getLogger(__name__)

FAULTS_IN_A_ROW = 5  # simulator faults without a single good step between them that end a run
PAUSES_S = (0.0, 2.0, 15.0, 60.0)  # after each of them but the last: a server may be gone for a minute
Observation = dict[str, NDArray[Any]]
Judge = Callable[[int], bool]


@dataclass(frozen=True)
class Plan:
    """The loop's numbers.

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


@dataclass
class Episode:
    """The open episode: what it takes to tell its story, and to replay it from its seed."""

    seed: int
    observation: Observation
    state: NDArray[np.float32]
    bias: Bias
    actions: list[NDArray[np.float32]] = field(default_factory=list)
    total: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    speed: float | None = None  # largest so far, m/s, where the environment tells
    terminated: bool = False


class Trainer:
    """Trains one agent in one environment; :meth:`run` is the whole of it."""

    def __init__(
        self,
        plan: Plan,
        *,
        env: Any,
        agent: TD3,
        replay: FrameReplay,
        monitor: Monitor | None,
        stop_on_alarm: bool,
        recorder: Recorder,
        checkpoints: Checkpoints,
        interrupted: Callable[[], bool],
        wiring: tuple[Sequence[str], Sequence[str]] | None = None,
        judge: Judge | None = None,
    ) -> None:
        self.plan = plan
        self._wiring = wiring  # faults that an audit of this agent found, and its evidence
        self.env, self.agent, self.replay = env, agent, replay
        self.monitor, self.stop_on_alarm = monitor, stop_on_alarm
        self.recorder, self.checkpoints = recorder, checkpoints
        self.interrupted = interrupted
        self._judge = judge  # told of every evaluation; says whether the run is hopeless
        self.judged_hopeless = False
        self.step = 0
        self.episodes = 0
        self.faults = 0
        self.fault_kinds: Counter[str] = Counter()
        self.evaluation: dict[str, float] = {}
        self.evaluated_at = 0
        self._faults_in_a_row = FAULTS_IN_A_ROW - 1  # a simulator that fails before it ever worked ends the run
        self._random = np.random.default_rng(plan.seed)
        self._episode: Episode | None = None
        self._evaluation_due = False
        self._unwatched: dict[str, Any] | None = None  # the monitor's saved state, kept through a sitting without one

    def run(self) -> None:
        """Go on from the newest checkpoint, if there is one, until all steps are taken or something ends the run.

        Raises:
            SimulatorError: the simulator failed again and again.
            UserError: the checkpoint cannot be used with these settings.
        """
        self._restore()
        if self.monitor is not None and self._wiring is not None:
            self._tell(self.monitor.wiring(self.step, *self._wiring))
        with self.recorder.progress(self.plan.steps, self.step):
            while self.step < self.plan.steps and not self.ended_early:
                if self._evaluation_due:
                    self._evaluate()
                    continue
                try:
                    end = self._act_and_store()
                except SimulatorError as error:
                    self._survive(error)
                    continue
                self._learn()
                if end is not None:
                    self._finish_episode(end)
                if self.step % self.plan.save_every == 0 and self.step < self.plan.steps:
                    self._save()
                self._show()
            self._save()
            while not self.ended_early and self.evaluated_at < self.step:
                self._evaluate(film=True)

    @property
    def ended_early(self) -> bool:
        """Whether a signal, the monitor or the judge asks for the end."""
        return self.interrupted() or self.stopped_by_monitor or self.judged_hopeless

    @property
    def stopped_by_monitor(self) -> bool:
        """Whether an alarm ends this run."""
        return self.stop_on_alarm and self.monitor is not None and self.monitor.must_stop

    @property
    def phase(self) -> str:
        """``warm-up`` or ``learning``: phases never share a trend line."""
        return "warm-up" if self.step <= self.plan.warmup else "learning"

    # One step

    def _act_and_store(self) -> dict[str, Any] | None:
        """Take one environment step and store it; returns the step's info if it ended the episode."""
        if self._episode is None:
            self._episode = self._begin()
            self.replay.begin(self._episode.observation, self._episode.state)
        episode, started = self._episode, time.perf_counter()
        action, state = self._act(episode)
        if not episode.actions and self.agent.updates > 0:
            episode.bias.value = self.agent.value(episode.observation, episode.state, action)
        observation, reward, terminated, truncated, info = self.env.step(action)
        scaled = float(reward) * self.plan.reward_scale
        self.replay.add(action, scaled, terminated, truncated, observation, state)
        episode.actions.append(action)
        episode.observation, episode.state = observation, state
        episode.total += float(reward)
        episode.bias.reward(scaled)
        episode.terminated = terminated
        if "speed" in info:
            episode.speed = max(episode.speed or 0.0, float(info["speed"]))
        for term, value in info.get("reward_terms", {}).items():
            episode.terms[term] = episode.terms.get(term, 0.0) + float(value)
        if self.monitor is not None:
            self.monitor.reward(scaled)
        self.step += 1
        self._faults_in_a_row = 0
        self.recorder.spent("step", time.perf_counter() - started)
        return info if terminated or truncated else None

    def _begin(self) -> Episode:
        seed = int(np.random.SeedSequence([self.plan.seed, self.episodes, self.faults]).generate_state(1)[0])
        observation, _ = self.env.reset(seed=seed % FIRST_SEED)
        return Episode(seed % FIRST_SEED, observation, self.agent.initial_state(), Bias(self.plan.gamma))

    def _act(self, episode: Episode) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if self.step >= self.plan.warmup:
            return self.agent.act(episode.observation, episode.state, noise=self._noise())
        state = episode.state
        if state.size:  # the memory must have seen the random phase's observations as well
            _, state = self.agent.act(episode.observation, state, noise=0.0)
        low, high = self.plan.random_low, self.plan.random_high
        return self._random.uniform(low, high).astype(np.float32), state

    def _noise(self) -> float:
        first, last = self.plan.exploration_noise
        return first + (last - first) * min((self.step - self.plan.warmup) / self.plan.noise_steps, 1.0)

    def _learn(self) -> None:
        for _ in range(self._updates_due()):
            if not self.replay.can_sample(self.plan.batch_size):
                return
            started = time.perf_counter()
            batch = self.replay.sample(self.plan.batch_size)
            metrics = self.agent.update(batch, train_actor=self.agent.updates >= self.plan.critic_only_updates)
            self.recorder.gather(metrics)
            self.recorder.spent("update", time.perf_counter() - started)
            if self.agent.updates % self.plan.log_every == 0:
                self._log()

    def _updates_due(self, step: int | None = None) -> int:
        learnt_steps = (self.step if step is None else step) - self.plan.warmup
        if learnt_steps < 0:
            return 0
        due = self.plan.critic_only_updates + math.floor(learnt_steps * self.plan.updates_per_step + 1e-9)
        return max(0, due - self.agent.updates)

    def _updates_left(self) -> int:
        return self._updates_due(self.plan.steps)

    def _log(self) -> None:
        self.recorder.gather(self.agent.weight_norms())
        row = self.recorder.gathered() | self.agent.learning_rates()
        row["gamma"] = self.replay.gamma
        row["replay/size"] = float(len(self.replay))
        row["env/faults"] = float(self.faults)
        row |= {f"env/faults/{kind}": float(count) for kind, count in self.fault_kinds.items()}
        if self.monitor is not None:
            broken = row["nonfinite"] > 0 or not all(math.isfinite(value) for value in row.values())
            tensors = self.agent.nonfinite_tensors() if broken else ()
            statistics, alarms = self.monitor.watch(self.step, row, self.phase, tensors)
            row |= statistics | {"reward/max": self.monitor.r_max}
            self._tell(alarms)
        self.recorder.log(self.step, self.agent.updates, self.phase, row)
        self._show()

    def _tell(self, alarms: Iterable[Alarm]) -> None:
        for alarm in alarms:
            self.recorder.alarm(alarm)

    def _show(self) -> None:
        self.recorder.show(self.step, self.phase, self._updates_left())

    # Between steps

    def _finish_episode(self, info: dict[str, Any]) -> None:
        episode, self._episode = self._episode, None
        assert episode is not None
        self.episodes += 1
        length = len(episode.actions)
        if self.monitor is not None and not self.step - length < self.plan.warmup < self.step:
            # An episode that began with random actions and ended with the policy's tells of neither.
            self._tell(
                self.monitor.episode(self.step, length=length, ret=episode.total, phase=self.phase, speed=episode.speed)
            )
        self.recorder.episode(
            self.step,
            self.agent.updates,
            self.phase,
            {
                "episode": self.episodes,
                "seed": episode.seed,
                "return": episode.total,
                "length": length,
                "success": bool(info.get("success", False)),
                "end": str(info.get("end", "")),
                "terms": episode.terms,
                "speed": episode.speed,
                "bias": self._bias(episode),
            },
        )
        passed = self.step // self.plan.eval_every > self.evaluated_at // self.plan.eval_every
        self._evaluation_due = passed and self.step < self.plan.steps  # the last one is made at the end, with a film

    def _bias(self, episode: Episode) -> float | None:
        """The critic's bias in a finished episode of the policy."""
        if episode.bias.value is None:
            return None
        last_value = 0.0
        if not episode.terminated:
            action, _ = self.agent.act(episode.observation, episode.state, noise=0.0)
            last_value = self.agent.value(episode.observation, episode.state, action)
        return episode.bias.bias(last_value)

    def _evaluate(self, film: bool = False) -> None:
        """Evaluate between episodes, in the same environment: two never share a server."""
        strip = self.recorder.film_strip(self.step) if film else None
        try:
            found = evaluate(
                self.env,
                self.agent,
                episodes=self.plan.eval_episodes,
                interrupted=self.interrupted,
                observer=None if strip is None else strip.note,
            )
        except SimulatorError as error:
            self._survive(error)
            return
        if found is not None:
            self._faults_in_a_row = 0
            self.evaluation, self.evaluated_at, self._evaluation_due = found, self.step, False
            if self.monitor is not None:
                self._tell(self.monitor.evaluation(self.step, found["eval/return"]))
            self.recorder.log(self.step, self.agent.updates, "evaluation", dict(found))
            if strip is not None:
                self.recorder.save_film(strip)
            if self._judge is not None and self.step < self.plan.steps:
                self.judged_hopeless = self._judge(self.step)

    def _survive(self, error: SimulatorError) -> None:
        """Forget the open episode after a simulator fault; the next one starts on a new server."""
        self.faults += 1
        self.fault_kinds[error.kind] += 1
        self._faults_in_a_row += 1
        if self._episode is not None:
            self.replay.discard_episode()
            self._episode = None
        if self._faults_in_a_row >= FAULTS_IN_A_ROW:
            if self.step > 0:
                self._save()
            raise error
        log.warning("step %d: %s; the episode is discarded (fault %d, %s)", self.step, error, self.faults, error.kind)
        end = time.monotonic() + PAUSES_S[self._faults_in_a_row - 1]
        while (left := end - time.monotonic()) > 0.0 and not self.interrupted():
            time.sleep(min(left, 0.5))

    # Save and restore

    def _save(self) -> None:
        episode = self._episode
        open_episode = episode and {
            "seed": episode.seed,
            "actions": torch.from_numpy(np.array(episode.actions, np.float32)),
            "state": torch.from_numpy(episode.state.copy()),
            "total": episode.total,
            "terms": dict(episode.terms),
            "speed": episode.speed,
            "bias": episode.bias.state_dict(),
            "observation": _fingerprint(episode.observation),
        }
        payload = {
            "env_step": self.step,
            "episodes": self.episodes,
            "faults": self.faults,
            "fault_kinds": dict(self.fault_kinds),
            "evaluation": self.evaluation,
            "evaluated_at": self.evaluated_at,
            "evaluation_due": self._evaluation_due,
            "agent": self.agent.state_dict(),
            "monitor": self._unwatched if self.monitor is None else self.monitor.state_dict(),
            "recorder": self.recorder.state_dict(),
            "random": self._random.bit_generator.state,
            "episode": open_episode,
        }
        self.checkpoints.save(self.step, payload, self.replay)

    def _restore(self) -> None:
        saved = self.checkpoints.load()
        if saved is None:
            return
        payload = saved.payload
        self.agent.load_state_dict(payload["agent"])
        self.replay.restore(payload["replay"], saved.segments)
        self._unwatched = payload["monitor"]
        if self.monitor is not None and payload["monitor"] is not None:
            self.monitor.load_state_dict(payload["monitor"])
        self.recorder.load_state_dict(payload["recorder"])
        self._random.bit_generator.state = payload["random"]
        self.step, self.episodes, self.faults = payload["env_step"], payload["episodes"], payload["faults"]
        self.fault_kinds = Counter(payload.get("fault_kinds", {}))  # older checkpoints lack it
        self.evaluation, self.evaluated_at = payload["evaluation"], payload["evaluated_at"]
        self._evaluation_due = payload["evaluation_due"]
        if payload["episode"] is not None:
            self._reopen(payload["episode"])
        self.recorder.say(f"resumed at step {self.step} from {saved.path.name}")

    def _reopen(self, saved: dict[str, Any]) -> None:
        """Drive the open episode again from its seed; where the simulator does not repeat itself, discard it."""
        episode = Episode(saved["seed"], {}, saved["state"].numpy(), Bias(self.plan.gamma))
        episode.total, episode.terms, episode.speed = saved["total"], saved["terms"], saved["speed"]
        episode.bias.load_state_dict(saved["bias"])
        try:
            episode.observation, _ = self.env.reset(seed=saved["seed"])
            for action in saved["actions"].numpy():
                episode.observation, *_ = self.env.step(action)
                episode.actions.append(action)
        except SimulatorError as error:
            # Nothing was lost: the checkpoint stays as it is, and the next try resumes from it exactly.
            raise SimulatorError(f"resuming at step {self.step}: {error}") from error
        self._faults_in_a_row = 0
        if _fingerprint(episode.observation) == saved["observation"]:
            self._episode = episode
        else:
            self.replay.discard_episode()
            log.warning("the simulator did not repeat the open episode: it is discarded; the learner goes on exactly")


def _fingerprint(observation: Observation) -> str:
    digest = hashlib.sha256()
    for key in sorted(observation):
        digest.update(np.ascontiguousarray(observation[key]).tobytes())
    return digest.hexdigest()
