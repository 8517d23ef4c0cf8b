"""From alarms to a verdict: faulty wiring, diverging, suspicious or undetermined, with evidence and since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from td3sweep.monitor.detectors import FAIL, Alarm, Bound, ClipInvariant, Gap, NonFinite

# A growth model and at least ten episodes of the learning phase are needed before a run may be called healthy;
# without the growth model the evidence never suffices, and silence of the detectors is "undetermined".
EXPLANATION = {
    "faulty wiring": "an invariant of the update is broken; more steps will not help, the code must be mended",
    "diverging": "values left the range that rewards allow; more steps will not help",
    "suspicious": "a warning, no failure; not yet known whether more steps help",
    "undetermined": "no alarm, but too little evidence to call the run healthy; not yet known whether more steps help",
}


class Monitor:
    """All detectors over one run. Feed it every reward and every logged row; ask for the verdict at any time."""

    def __init__(
        self, *, gamma: float, clip: str, clip_actor: float, clip_critic: float, stop_on: Iterable[str]
    ) -> None:
        self._bound, self._gap, self._finite = Bound(gamma), Gap(), NonFinite()
        self._clip = ClipInvariant(clip, clip_actor, clip_critic)
        self._stop_on = frozenset(stop_on)
        self.alarms: list[Alarm] = []

    def reward(self, value: float) -> None:
        """Note the reward of one step: the largest |r| sets the bound."""
        self._bound.r_max = self._gap.r_max = max(self._bound.r_max, abs(value))

    def watch(self, step: int, row: Mapping[str, float]) -> tuple[dict[str, float], list[Alarm]]:
        """Judge one row of metrics at environment step ``step``.

        Returns:
            The detectors' statistics as metrics, and the alarms not raised before by that detector at that level.
        """
        statistics, fresh = {}, []
        seen = {(alarm.detector, alarm.level) for alarm in self.alarms}
        for detector in (self._finite, self._bound, self._gap, self._clip):
            value, alarms = detector.update(step, row)
            statistics[f"divergence/{detector.name}"] = value
            for alarm in alarms:
                if (alarm.detector, alarm.level) not in seen:
                    seen.add((alarm.detector, alarm.level))
                    fresh.append(alarm)
        self.alarms += fresh
        return statistics, fresh

    @property
    def must_stop(self) -> bool:
        """Whether a detector that may stop the run has failed."""
        return any(alarm.level == FAIL and alarm.detector in self._stop_on for alarm in self.alarms)

    @property
    def verdict(self) -> str:
        """The gravest reading of the alarms so far."""
        failed = {alarm.detector for alarm in self.alarms if alarm.level == FAIL}
        if self._clip.name in failed:
            return "faulty wiring"
        if failed:
            return "diverging"
        return "suspicious" if self.alarms else "undetermined"

    @property
    def first_alarm_step(self) -> int | None:
        """Environment step of the first alarm."""
        return min((alarm.step for alarm in self.alarms), default=None)

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs to go on judging, as plain values."""
        return {
            "r_max": self._bound.r_max,
            "bound_streak": self._bound.streak,
            "gap_streak": self._gap.streak,
            "alarms": [alarm.as_dict() for alarm in self.alarms],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self._bound.r_max = self._gap.r_max = state["r_max"]
        self._bound.streak, self._gap.streak = state["bound_streak"], state["gap_streak"]
        self.alarms = [Alarm(**alarm) for alarm in state["alarms"]]
