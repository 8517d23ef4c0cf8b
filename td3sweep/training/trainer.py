"""THE loop: act, store, learn, watch, evaluate, save."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from td3sweep.agent.td3 import TD3
from td3sweep.collect.collector import Collector
from td3sweep.collect.episode import Episode
from td3sweep.collect.schedule import Schedule
from td3sweep.errors import SimulatorError
from td3sweep.record.recorder import Recorder
from td3sweep.record.rundir import PRUNED, STOPPED
from td3sweep.replay.batch import Batch
from td3sweep.replay.memory import Replay
from td3sweep.training.callbacks import Callback
from td3sweep.training.checkpoint import ADDED, Checkpoints

log = logging.getLogger(__name__)


class Trainer:
    """Trains one agent on the steps of one collector; :meth:`run` is the whole of it."""

    def __init__(
        self,
        schedule: Schedule,
        *,
        collector: Collector,
        agent: TD3,
        replay: Replay,
        recorder: Recorder,
        checkpoints: Checkpoints,
        interrupted: Callable[[], bool],
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """
        Args:
            schedule: when what is done.
            collector: who acts.
            agent: who learns.
            replay: from what.
            recorder: where numbers go.
            checkpoints: where states go.
            interrupted: asked at every step whether a signal asks for the end.
            callbacks: who looks on.
        """
        self.schedule = schedule
        self.collector, self.agent, self.replay = collector, agent, replay
        self.recorder, self.checkpoints = recorder, checkpoints
        self.interrupted = interrupted
        self.callbacks = list(callbacks)
        self.stopped = ""  # how a callback ended the run
        self.evaluation: dict[str, float] = {}
        self.evaluated_at = 0
        self.best_return, self.best_at, self.best_success = -math.inf, 0, 0.0  # of the evaluations so far
        self._evaluation_due = False
        self._told_of_small_replay = False
        self._carried: dict[str, Any] = {}  # what a callback that is absent in this session had saved

    def run(self) -> None:
        """Go on from the newest checkpoint, if there is one, until all steps are taken or something ends the run.

        Raises:
            SimulatorError: the simulator failed again and again.
            UserError: the checkpoint cannot be used with these settings.
        """
        self._restore()
        for callback in self.callbacks:
            callback.on_start(self)
        with self.recorder.progress(self.schedule.steps, self.step):
            self._learn()  # what a signal left of the critic's burst comes before the next step
            while self.step < self.schedule.steps and not self.ended_early:
                if self._evaluation_due:
                    self._evaluate()
                    continue
                try:
                    step = self.collector.collect()
                except SimulatorError as error:
                    self._survive(error)
                    continue
                if step is None:
                    continue
                self.recorder.spent("step", step.seconds)
                for callback in self.callbacks:
                    callback.on_step(self, step)
                self._learn()
                if step.finished is not None:
                    self._finish_episode(step.finished)
                if self.step % self.schedule.save_every == 0 and self.step < self.schedule.steps:
                    self._save()
                self._show()
            self._save()
            while not self.ended_early and self.evaluated_at < self.step:
                self._evaluate(film=True)

    @property
    def step(self) -> int:
        """Environment steps so far."""
        return self.collector.step

    @property
    def episodes(self) -> int:
        """Finished training episodes."""
        return self.collector.episodes

    @property
    def faults(self) -> int:
        """Simulator faults survived."""
        return self.collector.faults

    @property
    def fault_kinds(self) -> dict[str, int]:
        """The same by kind."""
        return dict(self.collector.fault_kinds)

    @property
    def ended_early(self) -> bool:
        """Whether a signal or a callback asks for the end."""
        return self.interrupted() or bool(self.stopped)

    def stop(self, ending: str) -> None:
        """End the run after the present step, evaluated or not; the first ending of several stands.

        Args:
            ending: how, ``record.rundir.STOPPED`` or ``PRUNED``.

        Raises:
            ValueError: it is neither.
        """
        if ending not in (STOPPED, PRUNED):
            raise ValueError(f"stop({ending!r}): give {STOPPED!r} or {PRUNED!r}")
        self.stopped = self.stopped or ending

    @property
    def phase(self) -> str:
        """``warm-up`` or ``learning``: phases never share a trend line."""
        return "warm-up" if self.step <= self.schedule.warmup else "learning"

    # One step

    def _learn(self) -> None:
        for _ in range(self._updates_due()):
            if not self.replay.can_sample(self.schedule.batch_size):
                self._warn_of_small_replay()
                return
            burst = self.agent.updates < self.schedule.critic_only_updates
            if burst and self.interrupted():
                return  # so many updates take longer than a queue waits; the checkpoint knows how many are left
            started = time.perf_counter()
            batch = self.replay.sample(self.schedule.batch_size)
            self.agent.scale_learning_rates(self.schedule.rate_share(self.agent.updates))
            share = self.schedule.cloning_share(self.agent.updates)
            # Before the critic knows anything the actor can only be shown what to do.
            metrics = self.agent.update(batch, train_actor=not burst or share > 0.0, share=share)
            self.replay.update_priorities(batch, self.agent.td_errors)
            self.recorder.gather(metrics)
            self.recorder.spent("update", time.perf_counter() - started)
            if self.agent.updates % self.schedule.log_every == 0:
                self._log(batch)
        self._wait()

    def _wait(self) -> None:
        """Count what a GPU still works on as the updates' time: the next action would wait for it."""
        if self.agent.device.type == "cuda":
            started = time.perf_counter()
            torch.cuda.synchronize(self.agent.device)
            self.recorder.spent("update", time.perf_counter() - started, times=0)

    def _warn_of_small_replay(self) -> None:
        if self.replay.full and not self._told_of_small_replay:
            self._told_of_small_replay = True
            log.warning(
                "step %d: updates are due, but no batch of %d windows can be drawn: the replay is full with %d "
                "transitions (an episode takes one slot more than it has steps); raise replay.capacity or lower "
                "hyperparams.batch_size",
                self.step, self.schedule.batch_size, len(self.replay),
            )  # fmt: skip

    def _updates_due(self, step: int | None = None) -> int:
        return max(0, self.schedule.updates(self.step if step is None else step) - self.agent.updates)

    def _updates_left(self) -> int:
        return self._updates_due(self.schedule.steps)

    def _log(self, batch: Batch) -> None:
        self.recorder.gather(self.agent.weight_norms())
        row = self.recorder.gathered() | self.agent.learning_rates() | self.collector.row()
        row["gamma"] = self.replay.gamma
        row |= {"replay/size": float(len(self.replay)), "replay/trained": float(batch.transitions)}
        for callback in self.callbacks:
            callback.on_log(self, row)
        self.recorder.log(self.step, self.agent.updates, self.phase, row)
        self._show()

    def _show(self) -> None:
        first = self.schedule.critic_only_updates
        burst = self.step >= self.schedule.warmup and self.agent.updates < first
        label = f"update {self.agent.updates}/{first}," if burst else self.phase  # no step is taken meanwhile
        self.recorder.show(self.step, label, self._updates_left())

    # Between steps

    def _finish_episode(self, episode: Episode) -> None:
        for callback in self.callbacks:
            callback.on_episode(self, episode)
        self.recorder.episode(
            self.step,
            self.agent.updates,
            "demonstrations" if episode.shown else self.phase,
            {
                "episode": self.episodes,
                "seed": episode.seed,
                "return": episode.total,
                "length": episode.length,
                "success": episode.success,
                "end": episode.end,
                "terms": episode.terms,
                "speed": episode.speed,
                "bias": episode.critics_bias(self.agent),
            },
        )
        # At the last step the loop is over and the last one is made, with a film; a run that is extended makes it here.
        # In the warm-up there is no policy to judge.
        before = max(self.evaluated_at, self.schedule.warmup)
        self._evaluation_due = self.step // self.schedule.eval_every > before // self.schedule.eval_every

    def _evaluate(self, film: bool = False) -> None:
        """Evaluate between episodes, in an environment that trains: two never share a server."""
        strip = self.recorder.film_strip(self.step) if film else None
        try:
            found = self.collector.evaluate(
                self.schedule.eval_episodes, self.interrupted, None if strip is None else strip.note
            )
        except SimulatorError as error:
            self._survive(error)
            return
        if found is not None:
            self.evaluation, self.evaluated_at, self._evaluation_due = found, self.step, False
            for callback in self.callbacks:
                callback.on_evaluation(self, found)
            self.recorder.log(self.step, self.agent.updates, "evaluation", dict(found))
            if found["eval/return"] >= self.best_return:
                self.checkpoints.save_best({"env_step": self.step, "agent": self.agent.state_dict()} | found)
                self.best_return, self.best_at, self.best_success = (
                    found["eval/return"],
                    self.step,
                    found["eval/success"],
                )
            if strip is not None:
                self.recorder.save_film(strip)

    def _survive(self, error: SimulatorError) -> None:
        """Go on after a simulator fault, or save and end where there are too many."""
        if self.collector.hopeless:
            if self.step > 0:
                self._save()
            raise error
        log.warning("step %d: %s; the episode is discarded (fault %d, %s)", self.step, error, self.faults, error.kind)
        end = time.monotonic() + self.collector.pause_s
        while (left := end - time.monotonic()) > 0.0 and not self.interrupted():
            time.sleep(min(left, 0.5))

    # Save and restore

    def _save(self) -> None:
        payload = self._carried | self._own_state()
        for callback in self.callbacks:
            callback.on_save(self, payload)
        self.checkpoints.save(self.step, payload, self.replay)

    def _own_state(self) -> dict[str, Any]:
        return {
            **self.collector.state_dict(),
            "horizon": self.schedule.horizon,
            "evaluation": self.evaluation,
            "evaluated_at": self.evaluated_at,
            "evaluation_due": self._evaluation_due,
            "agent": self.agent.state_dict(),
            "recorder": self.recorder.state_dict(),
        }

    def _restore(self) -> None:
        saved = self.checkpoints.load()
        if saved is None:
            self.checkpoints.remove_best()
            self.recorder.start_anew()
            return
        payload = saved.payload
        self.schedule = replace(self.schedule, horizon=payload.get("horizon", self.schedule.horizon))
        self.collector.schedule = self.schedule
        self.agent.load_state_dict(payload["agent"])
        self.replay.restore(payload["replay"], saved.segments)
        self.recorder.load_state_dict(payload["recorder"])
        self.evaluation, self.evaluated_at = payload["evaluation"], payload["evaluated_at"]
        self._evaluation_due = payload["evaluation_due"]
        self.best_return, self.best_at, self.best_success = self.checkpoints.best()
        for callback in self.callbacks:
            callback.on_restore(self, payload)
        self._carried = {key: payload[key] for key in payload.keys() - self._own_state().keys() - ADDED}
        self.collector.load_state_dict(payload)  # last: it may drive the open episode again, and fail in that
        self.recorder.say(f"resumed at step {self.step} from {saved.path.name}")
