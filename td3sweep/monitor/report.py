"""What a monitor can say: the verdicts, each with what it means and what to do next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from td3sweep.monitor.detectors import H6_LIKE, MIRRORED, Alarm
from td3sweep.monitor.forecast import Growth
from td3sweep.monitor.progress import Progress

FAULTY_WIRING, COLLAPSED, DIVERGING, SUSPICIOUS = "faulty wiring", "collapsed", "diverging", "suspicious"
HEALTHY, LEARNS, NOT_LEARNING, UNDETERMINED = "healthy", "learning", "not learning yet", "undetermined"
FAILURES = (FAULTY_WIRING, COLLAPSED, DIVERGING)
EXPLANATION = {  # the gravest first
    FAULTY_WIRING: "an invariant of the update is broken; more steps will not help, the code must be mended",
    COLLAPSED: "the policy lost what it had, or can no longer learn; more steps will not help",
    DIVERGING: "values left the range that rewards allow, or are no numbers; more steps will not help",
    SUSPICIOUS: "a warning, no failure; not yet known whether more steps help",
    NOT_LEARNING: "no fault is seen, but its returns show no learning",
    UNDETERMINED: "no alarm, but too little evidence for a verdict",
    LEARNS: "its returns rise and no alarm stands, but Q could not be judged: whether it is sound is not known",
    HEALTHY: "sound and learning: no alarm stands, Q could be judged by its bound or by its critic, and returns rose",
}


@dataclass(frozen=True)
class Report:
    """What a monitor has to say.

    Attributes:
        verdict: a key of `EXPLANATION`.
        since: environment step of the first alarm that the verdict rests on; None where it rests on none.
        first_alarm_step: environment step of the first alarm of any kind.
        alarms: all of them, in order.
        until: for each of them the step at which it was last heard; None where it stands.
        evidence: lines for a reader: every alarm and the growth of Q.
        growth: the chosen model of Q's growth with weights and forecasts; None before 12 points.
        more_steps_help: `yes`, `no` or `not yet known`.
        why: the reason of that answer.
        missing: what could not be judged and the series that it needs.
        progress: what the returns say.
    """

    verdict: str
    since: int | None
    first_alarm_step: int | None
    alarms: tuple[Alarm, ...]
    until: tuple[int | None, ...]
    evidence: tuple[str, ...]
    growth: Growth | None
    more_steps_help: str
    why: str
    missing: tuple[str, ...]
    progress: Progress

    def as_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {
            **{key: value for key, value in asdict(self).items() if key != "until"},
            "alarms": [
                alarm.as_dict() | {"until": until} for alarm, until in zip(self.alarms, self.until, strict=True)
            ],
            "evidence": list(self.evidence),
            "missing": list(self.missing),
            "growth": None if self.growth is None else self.growth.as_dict(),
        }


def as_line(alarm: Alarm, until: int | None) -> str:
    """An alarm for a reader; one that no longer stands says until when it did."""
    when = f"at step {alarm.step}" if until is None else f"from step {alarm.step} to {until}, recovered since"
    return f"{alarm.level} {alarm.detector} {when}: {alarm.evidence}"


def next_step(report: Report) -> str:
    """One thing to do that fits the verdict."""
    causes = {alarm.cause for alarm, until in zip(report.alarms, report.until, strict=True) if until is None}
    lacking = next((line for line in report.missing if line.startswith(("d2", "d1"))), "")
    return {
        FAULTY_WIRING: "mend what d0 or d7 names; `python -m td3sweep.doctor` measures it again",
        COLLAPSED: "go back to a checkpoint from before the fall, and lower the actor's learning rate or its noise",
        DIVERGING: (
            "audit your own update: `from td3sweep import audit` (docs/doctor.md) tells which encoder each loss reads"
            if H6_LIKE in causes
            else "check that the target comes from a target network and is detached, then halve the critic's learning "
            "rate; `from td3sweep import audit` measures the first two"
        ),
        SUSPICIOUS: (
            "check the sign of the actor's loss: Q1 must rise along its step (`from td3sweep import audit`)"
            if MIRRORED in causes
            else "look at the alarm above in the chart, and judge again in a tenth of the steps so far"
        ),
        NOT_LEARNING: "look at an episode: is a reward ever reached, and do actions change what is seen? (If the log "
        "begins with a trained policy, its returns cannot show that it learnt)",
        LEARNS: f"to have Q judged as well, log what is missing ({lacking or 'q/q1 and q/target'})",
        UNDETERMINED: "go on, and judge again" if not lacking else f"log what is missing ({lacking}), or go on",
        HEALTHY: "go on while evaluations rise; then compare seeds",
    }[report.verdict]
