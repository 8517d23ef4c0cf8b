"""What must hold at a gate: each rule reads what the run logged and its monitor found, at the monitor's limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from td3sweep.monitor.detectors import FAIL, FULL, IN_A_ROW, ClipInvariant, DeadActor
from td3sweep.monitor.episodes import Lengths, Returns
from td3sweep.monitor.explosion import Series
from td3sweep.monitor.growth import MIN_POINTS
from td3sweep.monitor.verdict import MIN_EPISODES

PASS, FAILS, UNKNOWN, NOT_ASKED = "pass", "FAIL", "not known", "not asked"

Numbers = Sequence[float]


@dataclass(frozen=True)
class Evidence:
    """What is known of a run at a gate.

    Attributes:
        gate: environment step of the gate.
        summary: the run's ``summary.json``.
        rows: the learner's rows of ``metrics.jsonl``: those with ``q/actor``.
        evaluations: environment step and mean return of each.
        episodes: finished episodes of the policy.
        clip: kind of the gradient clip, ``off`` without one.
    """

    gate: int
    summary: Mapping[str, Any]
    rows: Sequence[Mapping[str, float]]
    evaluations: Sequence[tuple[int, float]] = ()
    episodes: int = 0
    clip: str = "joint"

    def alarms(self, detector: str) -> list[Mapping[str, Any]]:
        """The alarms of one detector."""
        return [alarm for alarm in self.summary["alarms"] if alarm["detector"] == detector]

    def series(self, name: str) -> list[float] | None:
        """A metric over the learner's rows; None where a row lacks it."""
        values = [row[name] for row in self.rows if name in row]
        return values if values and len(values) == len(self.rows) else None


@dataclass(frozen=True)
class GateFinding:
    """One rule at one gate: what was measured (None: nothing), its limit and what follows."""

    rule: str
    what: str
    measured: float | None
    limit: float
    outcome: str
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)


def latest(values: Numbers) -> float:
    """The newest."""
    return values[-1]


def sustained(values: Numbers) -> float:
    """The highest value held on as many rows in a row as D1, D2 and D4 ask for."""
    return max(min(values[i : i + IN_A_ROW]) for i in range(len(values) - IN_A_ROW + 1))


@dataclass(frozen=True)
class Rule:
    """A detector's statistic, held to its limit over all rows of the learner so far.

    Attributes:
        name: the detector.
        what: what is measured, in words.
        limit: the largest value that passes.
        measure: makes one number of the statistic's values.
        rows: how many the measure needs.
        may_warn: the limit alone fails nothing; the detector has further conditions.
    """

    name: str
    what: str
    limit: float
    measure: Callable[[Numbers], float] = field(default=max)
    rows: int = 1
    may_warn: bool = False

    def judge(self, evidence: Evidence) -> GateFinding:
        """This rule on what is known of a run; too little is ``not known``, never ``pass``."""
        if self.name == "d7" and evidence.clip == "off":
            return self._finding(None, NOT_ASKED, "clip=off: there is no limit to keep")
        values = evidence.series(f"divergence/{self.name}")
        measured = self.measure(values) if values is not None and len(values) >= self.rows else None
        failed = [alarm for alarm in evidence.alarms(self.name) if alarm["level"] == FAIL]
        if failed:
            return self._finding(measured, FAILS, f"since step {failed[0]['step']}: {failed[0]['evidence']}")
        if measured is not None and measured > self.limit and not self.may_warn:
            return self._finding(measured, FAILS, "above the limit")
        lacking = self._lacking(evidence, measured)
        return self._finding(measured, UNKNOWN, lacking) if lacking else self._finding(measured, PASS)

    def _lacking(self, evidence: Evidence, measured: float | None) -> str:
        """What it takes to judge and is not there; empty: nothing."""
        missing = [text for text in evidence.summary["missing"] if text.startswith(f"{self.name}:")]
        if missing:
            return str(missing[0]).partition(": ")[2]
        if measured is None:
            return f"it takes {self.rows} rows of the learner, all watched by a monitor"
        return "" if math.isfinite(measured) else "the statistic is not a number"

    def _finding(self, measured: float | None, outcome: str, note: str = "") -> GateFinding:
        return GateFinding(self.name, self.what, measured, self.limit, outcome, note)


class ShortEpisodes(Rule):
    """D5: healthy runs shorten their episodes at first, so a CUSUM above its limit is not known, and FAILs in time."""

    def _lacking(self, evidence: Evidence, measured: float | None) -> str:
        lacking = super()._lacking(evidence, measured)
        if lacking:
            return lacking
        if evidence.episodes < MIN_EPISODES:
            return f"{evidence.episodes} of {MIN_EPISODES} episodes of the policy"
        if measured is not None and measured >= self.limit:
            return (
                "episodes are shorter than those of random actions; so healthy runs begin, and it fails "
                f"without recovery after {Lengths.GRACE_STEPS} steps and {Lengths.GRACE_EPISODES} episodes"
            )
        return ""


class FallenReturn(Rule):
    """D6, which only warns: an alarm that stands at the gate's own evaluation FAILs it, a past one does not."""

    def judge(self, evidence: Evidence) -> GateFinding:
        """The detector over the run's evaluations, as it stands after the last."""
        detector, alarms = Returns(), []
        for step, value in evidence.evaluations:
            alarms = detector.update(step, value)
        if len(detector.returns) < Returns.WINDOW:
            return self._finding(None, UNKNOWN, f"{len(detector.returns)} of {Returns.WINDOW} evaluations")
        if alarms:
            return self._finding(detector.statistic, FAILS, alarms[0].evidence)
        return self._finding(detector.statistic, PASS)


RULES: tuple[Rule, ...] = (
    Rule("nonfinite", "numbers that are not finite", 0.0),
    Rule("d0", "wiring faults, by the audit", 0.0, latest),
    Rule("d7", "norm after clipping / its limit", ClipInvariant.LIMIT),
    Rule("d1", "|Q| / (1.1 x bound by rewards)", FULL, sustained, IN_A_ROW),
    Rule("d2", "actor's Q off the critic's", FULL, sustained, IN_A_ROW),
    Rule("d3", "weight of exploding growth laws", Series.WEIGHT, latest, MIN_POINTS, may_warn=True),
    Rule("d4", "saturated without gradient", DeadActor.SATURATION, sustained, IN_A_ROW),
    ShortEpisodes("d5", "CUSUM of shorter episodes", Lengths.LIMIT, latest, may_warn=True),
    FallenReturn("d6", "evaluations' fall from the best", 1.0 - Returns.SHARE, latest),
)
MAY_BE_UNKNOWN = frozenset({"d5", "d6"})  # they need a longer run than the first gate; every other rule must be known


def reached(evidence: Evidence) -> GateFinding:
    """Whether the run came to the gate; one that its monitor stopped did not."""
    steps = evidence.summary["env_steps"]
    short = steps < evidence.gate or not evidence.summary["finished"]
    return GateFinding(
        "steps", "environment steps, at least", float(steps), float(evidence.gate),
        *((FAILS, "the run was stopped before the gate") if short else (PASS, "")),
    )  # fmt: skip


def judge(evidence: Evidence) -> list[GateFinding]:
    """Every rule at one gate."""
    return [reached(evidence), *(rule.judge(evidence) for rule in RULES)]


def stops(finding: GateFinding) -> bool:
    """Whether a finding keeps the run from going on."""
    return finding.outcome == FAILS or (finding.outcome == UNKNOWN and finding.rule not in MAY_BE_UNKNOWN)
