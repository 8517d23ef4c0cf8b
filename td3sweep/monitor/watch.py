"""The monitor in somebody else's training loop, in three lines and with no library but NumPy and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from td3sweep.monitor.detectors import Alarm
from td3sweep.monitor.episodes import WARM_UP
from td3sweep.monitor.guard import harmless, nothing
from td3sweep.monitor.text import lines
from td3sweep.monitor.verdict import LEARNING, Monitor

SATURATED = 0.99  # |action| beyond which a tanh hardly passes a gradient


class Watch:
    """Follows a TD3 or DDPG loop. Every number may be a float, an array or a tensor of a batch.

    Args:
        gamma: discount; with 1 or more rewards set no bound.
        warmup: environment steps of random actions before learning.

    Example:
        >>> watch = Watch(gamma=0.99, warmup=1000)
        >>> alarms = watch.update(1500, q_actor=[3.0, 5.0], q1=[3.0, 4.0], q_target=[3.0, 4.0], rewards=[0.1, 1.0])
        >>> alarms += watch.episode(1600, length=100, ret=12.0)
        >>> print(watch.report())  # doctest: +ELLIPSIS
        verdict: undetermined ...
    """

    def __init__(self, *, gamma: float, warmup: int = 0) -> None:
        self.monitor = Monitor(gamma=gamma)
        self._warmup = warmup

    @harmless(nothing)
    def update(
        self,
        step: int,
        *,
        q_actor: Any = None,
        q1: Any = None,
        q2: Any = None,
        q_target: Any = None,
        actor_loss: Any = None,
        critic_loss: Any = None,
        rewards: Any = None,
        actions: Any = None,
        actor_gradient: Any = None,
    ) -> list[Alarm]:
        """Judge one update, or one in every so many; returns the alarms not raised before.

        Args:
            step: environment step.
            q_actor: Q1(s, pi(s)), the actor's own actions as the critic values them.
            q1: Q1(s, a) on replayed actions.
            q2: Q2(s, a) on replayed actions.
            q_target: y, the target of both.
            actor_loss: where `q_actor` is not given it is taken as -Q1(s, pi(s)).
            critic_loss: of both critics.
            rewards: of the replayed batch; the largest so far bounds Q.
            actions: pi(s), scaled to [-1, 1].
            actor_gradient: L2 norm of the gradient of the actor, or of its last layers.
        """
        if rewards is not None:
            self.monitor.reward(float(np.abs(_numbers(rewards)).max()))
        means = {
            "q/actor": q_actor,
            "q/q1": q1,
            "q/q2": q2,
            "q/target": q_target,
            "loss/actor": actor_loss,
            "loss/critic": critic_loss,
            "grad/actor/head/before": actor_gradient,
        }
        row = {name: float(_numbers(value).mean()) for name, value in means.items() if value is not None}
        if q_actor is None and actor_loss is not None:
            row["q/actor"] = -row["loss/actor"]
        if q_actor is not None:
            row["q/actor_max"] = float(abs(_numbers(q_actor)).max())
        if q_target is not None and _numbers(q_target).size > 1:
            row["q/target_sd"] = float(_numbers(q_target).std())
        if actions is not None:
            row["action/saturation"] = float((np.abs(_numbers(actions)) > SATURATED).mean())
        return self.monitor.watch(step, row, self._phase(step))[1]

    @harmless(nothing)
    def episode(self, step: int, *, length: Any, ret: Any) -> list[Alarm]:
        """Judge an episode that ended at ``step`` after ``length`` steps with the undiscounted return ``ret``."""
        length, ret = _number(length), _number(ret)
        if self._phase(step) != WARM_UP and step - length < self._warmup:
            return []  # it began with random actions and ended with the policy's: it tells of neither
        return self.monitor.episode(step, length=length, ret=ret, phase=self._phase(step))

    @harmless(nothing)
    def evaluation(self, step: int, ret: Any, *, success: float | None = None) -> list[Alarm]:
        """Judge the mean return of an evaluation, and the share of its episodes that reached their goal, if known."""
        return self.monitor.evaluation(step, _number(ret), 1, success)

    def report(self) -> str:
        """The verdict with its evidence, and whether more steps will help; ``monitor.report()`` has it as data."""
        return "\n".join(lines(self.monitor.report()))

    def _phase(self, step: int) -> str:
        return WARM_UP if step <= self._warmup else LEARNING


def _number(value: Any) -> float:
    """A number, or what libraries put in its place: an array or a tensor of one."""
    return float(_numbers(value).mean())


def _numbers(value: Any) -> npt.NDArray[np.float64]:
    """A batch as an array, whoever made it: a tensor leaves its graph and its device here."""
    if hasattr(value, "detach"):
        value = value.detach().double().cpu().numpy()
    return np.asarray(value, np.float64)
