"""The monitor as a callback: it hears of everything, tells its alarms to the recorder, and may end the run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from td3sweep.monitor.detectors import Alarm
from td3sweep.monitor.guard import harmless
from td3sweep.monitor.verdict import Monitor
from td3sweep.record.rundir import STOPPED
from td3sweep.training.callbacks import Callback

if TYPE_CHECKING:
    from td3sweep.collect.collector import Step
    from td3sweep.collect.episode import Episode
    from td3sweep.training.trainer import Trainer


class Watching(Callback):
    """Lets a monitor watch a trainer.

    Args:
        monitor: what watches.
        stop: whether an alarm that it may stop on ends the run.
        wiring: faults that an audit of the agent found, and its evidence; None: there was no audit.
    """

    def __init__(
        self, monitor: Monitor, *, stop: bool = False, wiring: tuple[Sequence[str], Sequence[str]] | None = None
    ) -> None:
        self.monitor, self._stop, self._wiring = monitor, stop, wiring

    def on_start(self, trainer: Trainer) -> None:
        """Tell what the audit found."""
        self._tell(trainer, () if self._wiring is None else self.monitor.wiring(trainer.step, *self._wiring))

    @harmless(lambda: None)
    def on_step(self, trainer: Trainer, step: Step) -> None:
        """Note its reward."""
        self.monitor.reward(step.reward)

    @harmless(lambda: None)
    def on_episode(self, trainer: Trainer, episode: Episode) -> None:
        """Judge it, if one chose all its actions; a demonstrator's tell nothing of the policy."""
        if episode.of_one_kind and not episode.shown:
            phase = "warm-up" if episode.random else "learning"
            alarms = self.monitor.episode(
                trainer.step, length=episode.length, ret=episode.total, phase=phase, speed=episode.speed
            )
            self._tell(trainer, alarms)

    @harmless(lambda: None)
    def on_log(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Judge it, and add what was measured in doing so."""
        broken = row["nonfinite"] > 0 or not all(math.isfinite(value) for value in row.values())
        tensors = trainer.agent.nonfinite_tensors() if broken else ()
        statistics, alarms = self.monitor.watch(trainer.step, row, trainer.phase, tensors)
        row |= statistics | {"reward/max": self.monitor.r_max}
        self._tell(trainer, alarms)

    @harmless(lambda: None)
    def on_evaluation(self, trainer: Trainer, found: Mapping[str, float]) -> None:
        """Judge it."""
        self._tell(trainer, self._judged(trainer.step, found))

    def _judged(self, step: int, found: Mapping[str, float]) -> list[Alarm]:
        return self.monitor.evaluation(
            step, found["eval/return"], int(found["eval/episodes"]), found.get("eval/success")
        )

    def on_save(self, trainer: Trainer, payload: dict[str, Any]) -> None:
        """Keep all that it knows."""
        payload["monitor"] = self.monitor.state_dict()

    def on_restore(self, trainer: Trainer, payload: Mapping[str, Any]) -> None:
        """Know it again."""
        if payload.get("monitor") is not None:
            self.monitor.load_state_dict(payload["monitor"])

    def _tell(self, trainer: Trainer, alarms: Iterable[Alarm]) -> None:
        for alarm in alarms:
            trainer.recorder.alarm(alarm)
        if self._stop and self.monitor.must_stop:
            trainer.stop(STOPPED)
