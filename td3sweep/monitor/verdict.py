"""From alarms to a verdict, with evidence, since when, and whether more steps will help."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from td3sweep.monitor.detectors import (
    CAN_FAIL,
    FAIL,
    H6_LIKE,
    WARN,
    Alarm,
    Bound,
    ClipInvariant,
    DeadActor,
    Gap,
    NonFinite,
)
from td3sweep.monitor.episodes import RISE, WARM_UP, Lengths, Returns
from td3sweep.monitor.explosion import Explosion
from td3sweep.monitor.forecast import Growth
from td3sweep.monitor.growth import MIN_POINTS

MIN_EPISODES = 10  # of the policy, in the learning phase or in evaluations, before a run may be called healthy
QUIET = 20  # judgements without a word after which a warning no longer counts against a run
LEARNING = "learning"
NEEDS = {  # series that a detector reads from one row
    "d2": ("q/actor", "q/target", "q/target_sd"),
    "d3": ("q/actor",),
    "d4": ("action/saturation", "grad/actor/head/before"),
}
EXPLANATION = {
    "faulty wiring": "an invariant of the update is broken; more steps will not help, the code must be mended",
    "collapsed": "the policy can no longer learn; more steps will not help",
    "diverging": "values left the range that rewards allow; more steps will not help",
    "suspicious": "a warning, no failure; not yet known whether more steps help",
    "healthy": "no alarm stands, and Q could be judged by its bound or by its critic",
    "undetermined": "no alarm, but too little evidence to call the run healthy; not yet known whether more steps help",
}


@dataclass(frozen=True)
class Report:
    """What a monitor has to say.

    Attributes:
        verdict: a key of `EXPLANATION`.
        since: environment step of the first alarm that the verdict rests on; None where it rests on none.
        first_alarm_step: environment step of the first alarm of any kind.
        alarms: all of them, in order.
        evidence: lines for a reader: every alarm and the growth of Q.
        growth: the chosen model of Q's growth with weights and forecasts; None before 12 points.
        more_steps_help: `yes`, `no` or `not yet known`.
        why: the reason of that answer.
        missing: what could not be judged and the series that it needs.
    """

    verdict: str
    since: int | None
    first_alarm_step: int | None
    alarms: tuple[Alarm, ...]
    evidence: tuple[str, ...]
    growth: Growth | None
    more_steps_help: str
    why: str
    missing: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {
            **asdict(self),
            "alarms": [alarm.as_dict() for alarm in self.alarms],
            "evidence": list(self.evidence),
            "missing": list(self.missing),
            "growth": None if self.growth is None else self.growth.as_dict(),
        }


class Monitor:
    """All detectors over one run. Feed it what the run logs; ask for the verdict at any time.

    Args:
        gamma: discount; None leaves D1 out.
        clip: how gradients are clipped: `joint`, `per_module`, `value` or `off`.
        clip_actor: limit of the actor's gradients.
        clip_critic: limit of the critic's gradients.
        stop_on: detectors whose FAIL sets :attr:`must_stop`.

    Phases are `warm-up` (random actions: the baseline), `learning`, and any other name for a stretch that must not
    share a trend line with it, such as `after-evaluation`.
    """

    def __init__(
        self,
        *,
        gamma: float | None,
        clip: str = "off",
        clip_actor: float = 1.0,
        clip_critic: float = 10.0,
        stop_on: Iterable[str] = CAN_FAIL,
    ) -> None:
        self._bound, self._gap, self._dead = Bound(gamma), Gap(), DeadActor()
        self._finite, self._clip = NonFinite(), ClipInvariant(clip, clip_actor, clip_critic)
        self._explosion, self._lengths, self._returns = Explosion(), Lengths(), Returns()
        self._stateful = {
            detector.name: detector
            for detector in (self._bound, self._gap, self._explosion, self._dead, self._lengths, self._returns)
        }
        self._stop_on = frozenset(stop_on)
        self._faults: list[str] | None = None  # None: not audited
        self._seen: set[str] = set()  # names of metrics seen
        self._fed: set[str] = set()  # detectors of `NEEDS` for which one row held all
        self._trend: float | None = None
        self._evaluated = 0  # episodes of evaluations
        self.alarms: list[Alarm] = []
        self._quiet: list[int] = []  # for each alarm, judgements of its detector since it was last heard

    # What a run logs

    def reward(self, value: float) -> None:
        """Note the reward of one step: the largest |r| sets the bound."""
        self._bound.r_max = self._gap.r_max = max(self._bound.r_max, abs(float(value)))

    @property
    def r_max(self) -> float:
        """The largest |r| seen."""
        return self._bound.r_max

    def watch(
        self, step: int, row: Mapping[str, float], phase: str = LEARNING, tensors: Sequence[str] = ()
    ) -> tuple[dict[str, float], list[Alarm]]:
        """Judge one row of metrics at environment step ``step``.

        Args:
            step: environment step.
            row: metrics by their documented names; those that are missing leave out what needs them.
            phase: see the class.
            tensors: names of network tensors known not to be finite, for the evidence.

        Returns:
            The detectors' statistics as metrics, and the alarms not raised before.
        """
        step, row = int(step), {key: float(value) for key, value in row.items()}  # no NumPy scalar in a checkpoint
        self._seen.update(row)
        self._fed.update(name for name, keys in NEEDS.items() if row.keys() >= set(keys))
        finite, alarms = self._finite.update(step, row, tensors)
        statistics = {"divergence/nonfinite": finite}
        if self._faults is not None:
            statistics["divergence/d0"] = float(len(self._faults))
        judged = [self._finite.name]
        for detector in (self._bound, self._gap, self._dead, self._clip):
            value, found = detector.update(step, row)
            statistics[f"divergence/{detector.name}"] = value
            alarms += found
            judged.append(detector.name)
        if phase != WARM_UP:
            weight, found = self._explosion.update(step, row, self._bound.bound)
            statistics["divergence/d3"] = weight
            alarms += found
            judged.append(self._explosion.name)
        if self._explosion.rate is not None:
            statistics["divergence/q_growth_rate"] = self._explosion.rate
        statistics["divergence/d5"] = self._lengths.statistic
        statistics["divergence/d6"] = self._returns.statistic
        if self._trend is not None:
            statistics["divergence/length_trend"] = self._trend
        # A row without the actor's Q, such as one that other numbers share the log with, makes no warning quieter.
        fresh = self._raise(alarms, judged if "q/actor" in row else [])
        return statistics, fresh + self._short_and_failing(step)

    def episode(
        self, step: int, *, length: float, ret: float, phase: str = LEARNING, speed: float | None = None
    ) -> list[Alarm]:
        """Judge one finished episode; returns the alarms not raised before.

        Args:
            step: environment step at its end.
            length: agent steps.
            ret: undiscounted return.
            phase: see the class; leave out episodes that span two.
            speed: the vehicle's largest speed in it, m/s, None where unknown.
        """
        step = int(step)
        alarms = self._lengths.update(step, length=float(length), ret=float(ret), phase=phase, speed=speed)
        self._trend = self._lengths.trend()
        return self._raise(alarms, [self._lengths.name]) + self._short_and_failing(step)

    def evaluation(self, step: int, ret: float, episodes: int = 0) -> list[Alarm]:
        """Judge the mean return of one evaluation, of so many episodes; returns the alarms not raised before."""
        self._evaluated += episodes
        return self._raise(self._returns.update(int(step), float(ret)), [self._returns.name])

    def wiring(self, step: int, faults: Sequence[str], evidence: Sequence[str]) -> list[Alarm]:
        """D0: note an audit of the wiring; ``faults`` are names such as `H6`, each with its ``evidence``."""
        self._faults = list(faults)
        return self._raise(
            [Alarm("d0", FAIL, step, f"{fault}: {text}", fault) for fault, text in zip(faults, evidence, strict=True)],
            ["d0"],
        )

    def _short_and_failing(self, step: int) -> list[Alarm]:
        """D5 fails where short episodes come together with values out of range or a dead actor."""
        failed = sorted(self.failed & {"d1", "d2", "d4"})
        if not failed or not self._lengths.standing:
            return []
        text = f"episodes shorter than those of random actions while {', '.join(failed)} fails"
        return self._raise([Alarm("d5", FAIL, step, text, "d4" if "d4" in failed else "diverging")], [])

    def _raise(self, alarms: Iterable[Alarm], judged: Collection[str]) -> list[Alarm]:
        """Keep what is new; count for each older alarm whether its detector still says so."""
        heard = {alarm.key: alarm for alarm in alarms}
        for place, old in enumerate(self.alarms):
            if heard.pop(old.key, None) is not None:
                self._quiet[place] = 0
            elif old.detector in judged:
                self._quiet[place] += 1
        self.alarms += heard.values()
        self._quiet += [0] * len(heard)
        return list(heard.values())

    # What it has to say

    @property
    def failed(self) -> set[str]:
        """Names of the detectors that have failed."""
        return {alarm.detector for alarm in self.alarms if alarm.level == FAIL}

    @property
    def must_stop(self) -> bool:
        """Whether a detector that may stop the run has failed."""
        return bool(self.failed & self._stop_on)

    @property
    def verdict(self) -> str:
        """The gravest reading of the alarms so far."""
        return self._reading()[0]

    def _reading(self) -> tuple[str, list[Alarm]]:
        """The verdict, and the alarms that it rests on."""
        out_of_range = self.failed & {"d1", "d2", "d3", "nonfinite"}
        collapsed = {"d4"} if out_of_range else {"d4", "d5"}  # what the values do explains short episodes
        ranks = (("faulty wiring", {"d0", "d7"}), ("collapsed", collapsed), ("diverging", out_of_range))
        for verdict, detectors in ranks:
            if behind := [alarm for alarm in self.alarms if alarm.level == FAIL and alarm.detector in detectors]:
                return verdict, behind
        standing = [a for a, quiet in zip(self.alarms, self._quiet, strict=True) if a.level == WARN and quiet < QUIET]
        if standing:
            return "suspicious", standing
        return "undetermined" if self._lacking() else "healthy", []

    def _lacking(self) -> list[str]:
        """What it still takes to call a silent run healthy."""
        lacking = []
        if self._explosion.points_seen < MIN_POINTS:
            lacking.append(f"{self._explosion.points_seen} of the {MIN_POINTS} rows that a growth fit needs")
        seen = self._lengths.seen() + self._evaluated
        if seen < MIN_EPISODES:
            lacking.append(f"{seen} of {MIN_EPISODES} episodes of the learning phase")
        blind = [text for text in self._missing() if text.startswith(("d1:", "d2:"))]
        if len(blind) == 2:
            lacking.append(f"neither bound nor gap could be judged ({'; '.join(blind)})")
        return lacking

    @property
    def first_alarm_step(self) -> int | None:
        """Environment step of the first alarm."""
        return min((alarm.step for alarm in self.alarms), default=None)

    def report(self) -> Report:
        """The verdict with everything that speaks for it; fits and bootstraps, so not for every step."""
        growth = self._explosion.growth(self._bound.bound)
        answer, why = self._outlook()
        verdict, behind = self._reading()
        evidence = [f"{a.level} {a.detector} at step {a.step}: {a.evidence}" for a in self.alarms]
        if growth is not None:
            evidence.append(growth.line())
        return Report(
            verdict,
            min((alarm.step for alarm in behind), default=None),
            self.first_alarm_step,
            tuple(self.alarms),
            tuple(evidence),
            growth,
            answer,
            why,
            tuple(self._missing()),
        )

    def _outlook(self) -> tuple[str, str]:
        """Will more steps help? The answer and its reason."""
        if self.verdict == "healthy":
            trend = self._returns.trend()
            if trend == RISE:
                return "yes", f"evaluations {trend} and nothing is wrong"
            return "not yet known", f"nothing is wrong, but evaluations {trend}"
        crossed = any(alarm.cause == H6_LIKE for alarm in self.alarms)
        return {
            "faulty wiring": ("no", "the update itself is wrong: mend it and start anew"),
            "collapsed": ("no", "the policy can no longer learn, or never came back to what random driving does"),
            "diverging": (
                "no",
                "the actor chases values that its critic never learnt: check which encoder the actor's loss reads (H6)"
                if crossed
                else "values leave the range that rewards allow, and more updates carry them further",
            ),
            "suspicious": ("not yet known", "a warning stands; see the evidence"),
            "undetermined": ("not yet known", f"too little data: {'; '.join(self._lacking())}"),
        }[self.verdict]

    def _missing(self) -> list[str]:
        """What was left out and why, in the order of the detectors."""
        missing = [] if self._faults is not None else ["d0: the wiring was not audited"]
        if self._bound.gamma is None:
            missing.append("d1: gamma is not known")
        elif self._bound.bound is None:
            missing.append("d1: no reward other than 0 was seen")
        for name, keys in NEEDS.items():
            if lacking := [key for key in keys if key not in self._seen]:
                missing.append(f"{name}: {', '.join(lacking)} not logged")
            elif name not in self._fed:
                missing.append(f"{name}: {', '.join(keys)} never logged in one row")
        if len(self._lengths.lengths) < Lengths.BASELINE:
            missing.append(f"d5: fewer than {Lengths.BASELINE} episodes of random actions to compare with")
        if len(self._returns.returns) < Returns.WINDOW:
            missing.append(f"d6: fewer than {Returns.WINDOW} evaluations")
        if self._clip.kind != "off" and not any(key.startswith("grad/") for key in self._seen):
            missing.append("d7: no gradient norms logged")
        return missing

    # Save and restore

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs to go on judging exactly, as plain values."""
        return {
            "detectors": {name: detector.state_dict() for name, detector in self._stateful.items()},
            "faults": copy.copy(self._faults),
            "seen": sorted(self._seen),
            "fed": sorted(self._fed),
            "evaluated": self._evaluated,
            "alarms": [alarm.as_dict() for alarm in self.alarms],
            "quiet": list(self._quiet),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        for name, detector in self._stateful.items():
            detector.load_state_dict(state["detectors"][name])
        self._faults = copy.copy(state["faults"])
        self._seen = set(state["seen"])
        self._fed = set(state.get("fed", ()))  # an older version did not save it; the next row tells
        self._evaluated = state.get("evaluated", 0)  # nor this
        self.alarms = [Alarm(**alarm) for alarm in state["alarms"]]
        self._quiet = list(state["quiet"])
        self._trend = self._lengths.trend()
