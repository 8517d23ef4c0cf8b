"""From alarms to a verdict, with evidence, since when, and whether more steps will help."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from td3sweep.monitor.detectors import (
    CAN_FAIL,
    FAIL,
    H6_LIKE,
    MIRRORED,
    WARN,
    Alarm,
    Bound,
    ClipInvariant,
    DeadActor,
    Gap,
    NonFinite,
)
from td3sweep.monitor.episodes import RISE, WARM_UP, Lengths, Returns
from td3sweep.monitor.explosion import Explosion, Limits
from td3sweep.monitor.growth import MIN_POINTS
from td3sweep.monitor.progress import Learning, Progress
from td3sweep.monitor.report import (
    COLLAPSED,
    DIVERGING,
    FAULTY_WIRING,
    HEALTHY,
    LEARNS,
    NOT_LEARNING,
    SUSPICIOUS,
    UNDETERMINED,
    Report,
    as_line,
)

MIN_EPISODES = 10  # of the policy, in the learning phase or in evaluations, before a run may be called healthy
QUIET = 20  # judgements without a word after which an alarm no longer stands
SOON = {"nonfinite": 3}  # fewer where what is broken stays so
LEARNING = "learning"
NEEDS = {  # series that a detector reads from one row: any of the sets will do
    "d2": (("q/actor", "q/q1"), ("q/actor", "q/target")),
    "d3": (("q/actor",), ("q/q1",), ("loss/critic",)),
    "d4": (("action/saturation", "grad/actor/head/before"),),
}
VALUES = {"q/actor", "q/q1", "q/target", "loss/critic"}


class Monitor:
    """All detectors over one run. Feed it what the run logs; ask for the verdict at any time.

    Args:
        gamma: discount; None leaves D1 out.
        clip: how gradients are clipped: `joint`, `per_module`, `value` or `off`.
        clip_actor: limit of the actor's gradients.
        clip_critic: limit of the critic's gradients.
        stop_on: detectors whose FAIL sets :attr:`must_stop`.
        of_loss: the actor's Q is the negative of the actor's loss, not measured (see :class:`Gap`).

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
        of_loss: bool = False,
    ) -> None:
        self._bound, self._gap, self._dead = Bound(gamma), Gap(of_loss=of_loss), DeadActor()
        self._finite, self._clip = NonFinite(), ClipInvariant(clip, clip_actor, clip_critic)
        self._explosion, self._lengths, self._returns = Explosion(), Lengths(), Returns()
        self._learning = Learning()
        self._stateful: dict[str, Any] = {
            detector.name: detector
            for detector in (
                self._finite, self._bound, self._gap, self._explosion, self._dead, self._lengths, self._returns,
            )
        } | {"learning": self._learning}  # fmt: skip
        self._stop_on = frozenset(stop_on)
        self._faults: list[str] | None = None  # None: not audited
        self._seen: set[str] = set()  # names of metrics seen
        self._fed: set[str] = set()  # detectors of `NEEDS` for which one row held all
        self._trend: float | None = None
        self._evaluated = 0  # episodes of evaluations
        self.alarms: list[Alarm] = []
        self._quiet: list[int] = []  # for each alarm, judgements of its detector since it was last heard
        self._heard: list[int] = []  # and the step of that

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
        self._fed.update(name for name, sets in NEEDS.items() if any(row.keys() >= set(keys) for keys in sets))
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
            weight, found = self._explosion.update(step, row, self._limits)
            statistics["divergence/d3"] = weight
            alarms += found
            judged.append(self._explosion.name)
        if self._explosion.rate is not None:
            statistics["divergence/q_growth_rate"] = self._explosion.rate
        statistics["divergence/d5"] = self._lengths.statistic
        statistics["divergence/d6"] = self._returns.statistic
        if self._trend is not None:
            statistics["divergence/length_trend"] = self._trend
        # A row without a value, such as one that other numbers share the log with, makes no alarm quieter.
        fresh = self._raise(step, alarms, judged if VALUES & row.keys() else [])
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
        step, length, ret = int(step), float(length), float(ret)
        self._bound.episode(ret, length)
        self._gap.r_max = max(self._gap.r_max, self._bound.per_step)
        if math.isfinite(ret):
            (self._learning.random if phase == WARM_UP else self._learning.training).add(ret)
        if not math.isfinite(length):
            return []
        alarms = self._lengths.update(step, length=length, ret=ret, phase=phase, speed=speed)
        self._trend = self._lengths.trend()
        return self._raise(step, alarms, [self._lengths.name]) + self._short_and_failing(step)

    def evaluation(self, step: int, ret: float, episodes: int = 0, success: float | None = None) -> list[Alarm]:
        """Judge the mean return of one evaluation; returns the alarms not raised before.

        Args:
            step: environment step.
            ret: undiscounted mean return.
            episodes: how many it was the mean of.
            success: share of them that reached their goal, where there is one.
        """
        self._evaluated += episodes
        if math.isfinite(ret):
            self._learning.evaluations.add(ret)
            self._bound.episode(ret, math.nan)
        if success is not None and math.isfinite(success):
            self._learning.success(success)
        return self._raise(int(step), self._returns.update(int(step), float(ret)), [self._returns.name])

    def wiring(self, step: int, faults: Sequence[str], evidence: Sequence[str]) -> list[Alarm]:
        """D0: note an audit of the wiring; ``faults`` are names such as `H6`, each with its ``evidence``."""
        self._faults = list(faults)
        return self._raise(
            step,
            [Alarm("d0", FAIL, step, f"{fault}: {text}", fault) for fault, text in zip(faults, evidence, strict=True)],
            ["d0"],
        )

    def _short_and_failing(self, step: int) -> list[Alarm]:
        """D5 fails where short episodes come together with values out of range or a dead actor."""
        failed = sorted({alarm.detector for alarm in self._standing(FAIL)} & {"d1", "d2", "d4"})
        if not failed or not self._lengths.standing:
            return []
        text = f"episodes shorter than those of random actions while {', '.join(failed)} fails"
        return self._raise(step, [Alarm("d5", FAIL, step, text, "d4" if "d4" in failed else "diverging")], [])

    @property
    def _limits(self) -> Limits:
        return Limits(self._bound.bound, self._bound.scale)

    def _raise(self, step: int, alarms: Iterable[Alarm], judged: Collection[str]) -> list[Alarm]:
        """Keep what is new; count for each older alarm whether its detector still says so."""
        heard = {alarm.key: alarm for alarm in alarms}
        for place, old in enumerate(self.alarms):
            if heard.pop(old.key, None) is not None:
                self._quiet[place], self._heard[place] = 0, step
            elif old.detector in judged:
                self._quiet[place] += 1
        self.alarms += heard.values()
        self._quiet += [0] * len(heard)
        self._heard += [step] * len(heard)
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
        return self._reading(self._learning.progress())[0]

    def _standing(self, level: str) -> list[Alarm]:
        """The alarms of a level whose detector has not been silent since, for long."""
        return [
            alarm
            for alarm, quiet in zip(self.alarms, self._quiet, strict=True)
            if alarm.level == level and quiet < SOON.get(alarm.detector, QUIET)
        ]

    def _reading(self, progress: Progress) -> tuple[str, list[Alarm]]:
        """The verdict, and the alarms that it rests on: those that stand."""
        failing = self._standing(FAIL)
        out_of_range = {alarm.detector for alarm in failing} & {"d1", "d2", "d3", "nonfinite"}
        collapsed = {"d4"} if out_of_range else {"d4", "d5"}  # what the values do explains short episodes
        ranks = ((FAULTY_WIRING, {"d0", "d7"}), (COLLAPSED, collapsed), (DIVERGING, out_of_range))
        for verdict, detectors in ranks:
            if behind := [alarm for alarm in failing if alarm.detector in detectors]:
                return verdict, behind
        warnings = self._standing(WARN)
        fallen = [alarm for alarm in warnings if alarm.detector == "d6"]
        if progress.kind == "lost" or (progress.kind == "fell" and fallen):
            return COLLAPSED, fallen
        if progress.kind == "rose":  # then a mirrored sign is the log's, and shorter episodes are a better policy's
            warnings = [alarm for alarm in warnings if alarm.cause != MIRRORED]
        if warnings or progress.kind == "falls":
            return SUSPICIOUS, warnings
        if progress.kind in ("flat", "fell"):
            return NOT_LEARNING, []
        lacking = self._lacking()
        if progress.kind == "rose":
            return (LEARNS if lacking else HEALTHY), []
        return UNDETERMINED, []

    def _lacking(self) -> list[str]:
        """What it still takes to call a silent run sound."""
        lacking = []
        if self._explosion.points_seen < MIN_POINTS:
            lacking.append(f"{self._explosion.points_seen} of the {MIN_POINTS} rows that a growth fit needs")
        seen = max(self._lengths.seen(), self._learning.training.count) + self._evaluated
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
        growth = self._explosion.growth(self._limits)
        progress = self._learning.progress()
        verdict, behind = self._reading(progress)
        answer, why = self._outlook(verdict, behind, progress)
        standing = {alarm.key for level in (FAIL, WARN) for alarm in self._standing(level)}
        until = tuple(
            None if alarm.key in standing else heard for alarm, heard in zip(self.alarms, self._heard, strict=True)
        )
        evidence = [as_line(alarm, last) for alarm, last in zip(self.alarms, until, strict=True)]
        evidence.append(f"returns: {progress.text}")
        if (limit := self._bound.by_returns()) is not None:
            evidence.append(limit)
        if growth is not None:
            evidence.append(growth.line(forecast=any(alarm.detector == "d3" for alarm in self.alarms)))
        return Report(
            verdict,
            min((alarm.step for alarm in behind), default=None),
            self.first_alarm_step,
            tuple(self.alarms),
            until,
            tuple(evidence),
            growth,
            answer,
            why,
            tuple(self._missing()),
            progress,
        )

    def _outlook(self, verdict: str, behind: list[Alarm], progress: Progress) -> tuple[str, str]:
        """Will more steps help? The answer and its reason."""
        if verdict in (HEALTHY, LEARNS):
            trend = self._returns.trend()
            if trend == RISE:
                return "yes", f"evaluations {trend} and nothing is wrong"
            return "not yet known", f"nothing is wrong, but evaluations {trend}"
        crossed = any(alarm.cause == H6_LIKE for alarm in behind)
        lost = progress.kind in ("lost", "fell") and all(alarm.detector == "d6" for alarm in behind)
        return {
            FAULTY_WIRING: ("no", "the update itself is wrong: mend it and start anew"),
            COLLAPSED: (
                "no",
                f"{progress.text}, and they stay there"
                if lost
                else "the policy can no longer learn, or never came back to what random driving does",
            ),
            DIVERGING: (
                "no",
                "the actor chases values that its critic never learnt: check which encoder the actor's loss reads (H6)"
                if crossed
                else "a number is not finite, and what is computed with it will not be either"
                if all(alarm.detector == "nonfinite" for alarm in behind)
                else "values leave the range that rewards allow, and more updates carry them further",
            ),
            SUSPICIOUS: ("not yet known", "a warning stands; see the evidence" if behind else progress.text),
            NOT_LEARNING: ("not yet known", progress.text),
            UNDETERMINED: ("not yet known", f"too little data: {'; '.join([*self._lacking(), progress.text])}"),
        }[verdict]

    def _missing(self) -> list[str]:
        """What was left out and why, in the order of the detectors."""
        missing = [] if self._faults is not None else ["d0: the wiring was not audited"]
        if self._bound.bound is None and self._bound.scale is None:
            missing.append(f"d1: {self._unbounded()}")
        for name, sets in NEEDS.items():
            if name in self._fed:
                continue
            lacking = min(([key for key in keys if key not in self._seen] for keys in sets), key=len)
            either = " or ".join(", ".join(keys) for keys in sets)
            missing.append(
                f"{name}: {', '.join(lacking)} not logged" if lacking else f"{name}: {either} never in one row"
            )
        if len(self._lengths.lengths) < Lengths.BASELINE:
            missing.append(f"d5: fewer than {Lengths.BASELINE} episodes of random actions to compare with")
        if len(self._returns.returns) < Returns.WINDOW:
            missing.append(f"d6: fewer than {Returns.WINDOW} evaluations")
        if self._clip.kind != "off" and not any(key.startswith("grad/") for key in self._seen):
            missing.append("d7: no gradient norms logged")
        return missing

    def _unbounded(self) -> str:
        """Why there is no bound, nor returns to stand for it."""
        gamma = self._bound.gamma
        if gamma is None:
            return "neither the discount nor a return is known"
        if gamma >= 1.0:
            return f"with a discount of {gamma:g} rewards set no bound, and no return is known"
        return "no reward other than 0 was seen"

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
            "heard": list(self._heard),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        for name, detector in self._stateful.items():
            detector.load_state_dict(state["detectors"].get(name, {}))
        self._faults = copy.copy(state["faults"])
        self._seen = set(state["seen"])
        self._fed = set(state.get("fed", ()))  # an older version did not save it; the next row tells
        self._evaluated = state.get("evaluated", 0)  # nor this
        self.alarms = [Alarm(**alarm) for alarm in state["alarms"]]
        self._quiet = list(state["quiet"])
        self._heard = list(state.get("heard", [alarm.step for alarm in self.alarms]))
        self._trend = self._lengths.trend()
