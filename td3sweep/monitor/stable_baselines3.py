"""The monitor as a callback of stable-baselines3: ``model.learn(..., callback=DivergenceMonitor())``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from stable_baselines3 import TD3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter

from td3sweep.errors import UserError
from td3sweep.monitor.detectors import Alarm
from td3sweep.monitor.guard import harmless
from td3sweep.monitor.report import Report
from td3sweep.monitor.watch import Watch

NOISE_SEED = 0


class DivergenceMonitor(BaseCallback):
    """Watches a TD3 or DDPG learner of stable-baselines3 and prints its verdict at the end.

    Every ``every`` calls it draws a replayed batch of its own and measures on it what the library does not log: the
    actor's Q, both critics, the target. Random streams are left as they were: training goes on bit for bit as without.

    Args:
        every: environment steps (of a vector, all its environments at once) from one measurement to the next.
        stop: end training at the first failure.
        verbose: 0 silent, 1 prints alarms and the verdict.

    Attributes:
        watch: what it knows; ``watch.monitor.must_stop`` tells of a failure.
    """

    def __init__(self, *, every: int = 25, stop: bool = False, verbose: int = 1) -> None:
        super().__init__(verbose)
        self.watch: Watch
        self._every, self._stop = every, stop
        self._tap = _LoggerTap(self)
        self.losses: dict[str, float] = {}

    def report(self) -> Report:
        """The verdict as data."""
        return self.watch.monitor.report()

    def tell(self, alarms: list[Alarm]) -> None:
        """Print alarms."""
        for alarm in alarms if self.verbose else ():
            print(f"{alarm.level} {alarm.detector} at step {alarm.step}: {alarm.evidence}")

    def _on_training_start(self) -> None:
        if not isinstance(self.model, TD3):
            raise UserError(f"DivergenceMonitor reads TD3 and DDPG, not {type(self.model).__name__}; see Watch")
        if not hasattr(self, "watch"):  # a later learn() goes on with what the first one saw
            self.watch = Watch(gamma=self.model.gamma, warmup=self.model.learning_starts)
        count = self.training_env.num_envs
        self._lengths, self._returns = np.zeros(count, np.int64), np.zeros(count)
        self._noise = torch.Generator(self.model.device).manual_seed(NOISE_SEED)
        self.logger.output_formats.append(self._tap)

    def _on_step(self) -> bool:
        self._look()
        return not (self._stop and self.watch.monitor.must_stop)

    @harmless(lambda: None)
    def _look(self) -> None:
        self._episodes(np.asarray(self.locals["rewards"]), np.asarray(self.locals["dones"]), self.locals["infos"])
        model = self.model
        assert isinstance(model, TD3)
        if self.n_calls % self._every == 0 and model._n_updates > 0:
            self.tell(self.watch.update(self.num_timesteps, **self._measured(model)))

    def _on_training_end(self) -> None:
        self.logger.output_formats.remove(self._tap)
        if self.verbose:
            print(self.watch.report())

    def _episodes(self, rewards: Any, dones: Any, infos: list[dict[str, Any]]) -> None:
        """Count the episodes of each environment; where a Monitor wraps it, its numbers stand."""
        self._lengths += 1
        self._returns += rewards
        self.watch.monitor.reward(float(np.abs(rewards).max()))
        for place in np.flatnonzero(dones):
            own = {"l": self._lengths[place], "r": self._returns[place]}
            told = infos[place].get("episode", own)
            self.tell(self.watch.episode(self.num_timesteps, length=told["l"], ret=told["r"]))
            self._lengths[place], self._returns[place] = 0, 0.0

    @torch.no_grad()
    def _measured(self, model: TD3) -> dict[str, Any]:
        """Qs and target of one replayed batch, as the library's own update computes them; the last losses logged."""
        with _as_it_was(model):
            assert model.replay_buffer is not None
            batch = model.replay_buffer.sample(model.batch_size, env=model._vec_normalize_env)
            noise = torch.randn(batch.actions.shape, generator=self._noise, device=model.device)
            noise = (noise * model.target_policy_noise).clamp(-model.target_noise_clip, model.target_noise_clip)
            following = (model.actor_target(batch.next_observations) + noise).clamp(-1, 1)
            q_next = torch.cat(model.critic_target(batch.next_observations, following), dim=1).min(1, keepdim=True)[0]
            discounts = getattr(batch, "discounts", None)  # of n-step returns, from stable-baselines3 2.7 on
            discounts = model.gamma if discounts is None else discounts
            actions = model.actor(batch.observations)
            qs = model.critic(batch.observations, batch.actions)
            gradients = [p.grad for p in model.actor.mu.parameters() if p.grad is not None]
            return {
                "q_actor": model.critic.q1_forward(batch.observations, actions),
                "q1": qs[0],
                "q2": qs[-1],
                "q_target": batch.rewards + (1 - batch.dones) * discounts * q_next,
                "rewards": batch.rewards,
                "actions": actions,
                "actor_gradient": torch.nn.utils.get_total_norm(gradients) if gradients else None,
                **self.losses,
            }


class _LoggerTap(KVWriter):
    """Reads along whatever the library logs: losses, and the evaluations of an ``EvalCallback``."""

    def __init__(self, owner: DivergenceMonitor) -> None:
        self._owner = owner

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """One dump of the logger."""
        for name in ("actor_loss", "critic_loss"):
            if f"train/{name}" in key_values:
                self._owner.losses[name] = key_values[f"train/{name}"]
        if "eval/mean_reward" in key_values:
            self._owner.tell(self._owner.watch.evaluation(step, key_values["eval/mean_reward"]))

    def close(self) -> None:
        """Nothing is held open."""


@contextmanager
def _as_it_was(model: TD3) -> Iterator[None]:
    """Evaluation mode inside; afterwards NumPy's random stream, which replay draws from, and the mode of before."""
    state, training = np.random.get_state(), model.policy.training
    model.policy.set_training_mode(False)
    try:
        yield
    finally:
        model.policy.set_training_mode(training)
        np.random.set_state(state)
