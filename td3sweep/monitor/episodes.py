"""Detectors on finished episodes and evaluations: D5 length, D6 return."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from td3sweep.monitor.detectors import FAIL, WARN, Alarm, Stateful

WARM_UP = "warm-up"
RISE, LEVEL, FLAT = "still rise", "no longer rise", "show no trend"  # how evaluations go
NORMAL_MAD = 1.4826  # a normal distribution's SD over its median absolute deviation
KEPT = 100  # newest episodes or evaluations that a trend looks at


def theil_sen(x: Sequence[float], y: Sequence[float]) -> float:
    """Median of the slopes between all pairs of points (Sen, 1968); 0 for fewer than two."""
    first, second = np.triu_indices(len(x), 1)
    run = np.asarray(x, float)[second] - np.asarray(x, float)[first]
    rise = np.asarray(y, float)[second] - np.asarray(y, float)[first]
    slopes = rise[run != 0] / run[run != 0]
    return float(np.median(slopes)) if slopes.size else 0.0


def mann_kendall(y: Sequence[float]) -> tuple[float, float]:
    """Mann (1945) and Kendall's test for a monotone trend: S and its two-sided p, ties allowed for."""
    n = len(y)
    values = np.asarray(y, float)
    s = float(np.sign(np.subtract.outer(values, values))[np.tril_indices(n, -1)].sum())
    _, ties = np.unique(values, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18.0
    if variance <= 0.0 or s == 0.0:
        return s, 1.0
    z = (abs(s) - 1.0) / math.sqrt(variance)
    return s, math.erfc(z / math.sqrt(2.0))


class Lengths(Stateful):
    """D5: a CUSUM (Page, 1954) of shortening episodes against the random phase, one for each later phase.

    z = (median - log length) / max(1.4826 MAD, .1) by the random phase's log lengths; S <- max(0, S + z - .5) and an
    alarm at 8. Learning often begins by getting worse, so this WARNs, where the newest episodes are a fifth shorter and
    return no more, or less a step, than those of random actions: one that reaches its goal is short as well. It FAILs
    where neither length nor return are back at the random phase's within a grace budget; the monitor makes it FAIL
    together with D1, D2 or D4 as well.
    Episodes that end within three steps without the vehicle having moved are the environment's fault, not the
    policy's: they are told apart and stay out of the CUSUM.
    """

    name = "d5"
    STATE = ("lengths", "returns", "phases", "stuck", "latest")
    DRIFT, LIMIT, CAP = 0.5, 8.0, 16.0
    BASELINE = 5  # episodes of the random phase needed
    STUCK_LENGTH, STUCK_SPEED, STUCK_IN_A_ROW = 3, 0.5, 3
    GRACE_STEPS, GRACE_EPISODES, RECENT = 10_000, 50, 20
    SHORTER = 0.8  # of the random phase's median

    def __init__(self) -> None:
        self.lengths: list[float] = []  # log lengths of the random phase
        self.returns: list[float] = []  # and its returns
        self.phases: dict[str, dict[str, Any]] = {}
        self.stuck = 0
        self.latest = ""  # phase of the newest episode

    def update(self, step: int, *, length: float, ret: float, phase: str, speed: float | None) -> list[Alarm]:
        """The alarms that stand after one finished episode; ``speed`` is its largest in m/s, if known."""
        if length <= self.STUCK_LENGTH and speed is not None and speed < self.STUCK_SPEED:
            return self._stuck(step, length)
        self.stuck = 0
        if phase == WARM_UP:
            self.lengths = [*self.lengths, math.log(max(length, 1.0))][-KEPT:]
            self.returns = [*self.returns, ret][-KEPT:]
            return []
        self.latest = phase
        fresh: dict[str, Any] = {
            "sum": 0.0,
            "since": None,
            "after": 0,
            "seen": 0,
            "steps": [],
            "lengths": [],
            "returns": [],
        }
        here = self.phases.setdefault(phase, fresh)
        here["seen"] += 1
        for key, value in (("steps", step), ("lengths", length), ("returns", ret)):
            here[key] = [*here[key], float(value)][-KEPT:]
        return self._judge(step, phase, here) if len(self.lengths) >= self.BASELINE else []

    def _stuck(self, step: int, length: float) -> list[Alarm]:
        self.stuck += 1
        if self.stuck < self.STUCK_IN_A_ROW:
            return []
        text = (
            f"{self.stuck} episodes in a row ended within {self.STUCK_LENGTH} steps with the vehicle standing: "
            "the environment is at fault, not the policy"
        )
        return [Alarm(self.name, WARN, step, text, "environment")]

    def _judge(self, step: int, phase: str, here: dict[str, Any]) -> list[Alarm]:
        usual = float(np.median(self.lengths))
        spread = max(NORMAL_MAD * float(np.median(np.abs(np.subtract(self.lengths, usual)))), 0.1)
        z = (usual - math.log(max(here["lengths"][-1], 1.0))) / spread
        here["sum"] = min(max(0.0, here["sum"] + z - self.DRIFT), self.CAP)
        if here["sum"] < self.LIMIT:
            here["since"], here["after"] = None, 0
            return []
        here["since"] = step if here["since"] is None else here["since"]
        here["after"] += 1
        recent = float(np.median(here["lengths"][-self.RECENT :]))
        newest, usual_return = float(np.median(here["returns"][-self.RECENT :])), float(np.median(self.returns))
        better = newest > usual_return and newest / recent >= usual_return / math.exp(usual)
        if recent > self.SHORTER * math.exp(usual) or better:
            return []
        text = f"episodes of the {phase} phase last {recent:.4g} steps against {math.exp(usual):.4g} of random actions"
        alarms = [Alarm(self.name, WARN, step, f"{text} (CUSUM {here['sum']:.3g} of {self.LIMIT:g})", phase)]
        worse = newest < usual_return
        overdue = step - here["since"] >= self.GRACE_STEPS and here["after"] >= self.GRACE_EPISODES
        if overdue and worse and math.log(max(recent, 1.0)) < usual - spread:
            text += f", with lower returns, and did not recover in {step - here['since']} steps"
            alarms.append(Alarm(self.name, FAIL, step, text, "no recovery"))
        return alarms

    @property
    def statistic(self) -> float:
        """The CUSUM of the newest phase."""
        return float(self.phases[self.latest]["sum"]) if self.latest else 0.0

    @property
    def standing(self) -> bool:
        """Whether episodes of the newest phase are too short now."""
        return self.statistic >= self.LIMIT

    def trend(self) -> float | None:
        """Theil-Sen slope of the newest phase's last episodes, in steps of length per 1,000 environment steps."""
        if not self.latest or len(self.phases[self.latest]["steps"]) < 3:
            return None
        here = self.phases[self.latest]
        return 1000.0 * theil_sen(here["steps"], here["lengths"])

    def seen(self) -> int:
        """Episodes seen after the random phase."""
        return sum(int(here["seen"]) for here in self.phases.values())


class Returns(Stateful):
    """D6: evaluations have fallen. WARNs only.

    Either the median of the last ten is below a quarter of the best such median (measured from zero, or from the
    worst evaluation where that is negative), or all of them fall by Mann-Kendall, p < .01.
    """

    name = "d6"
    STATE = ("returns", "steps", "best", "worst", "statistic")
    WINDOW, SHARE, P = 10, 0.25, 0.01

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.returns: list[float] = []
        self.best: float | None = None  # best median of ten
        self.worst = 0.0  # smallest evaluation, at most 0
        self.statistic = 0.0

    def update(self, step: int, ret: float) -> list[Alarm]:
        """The alarms that stand after one evaluation."""
        if not math.isfinite(ret):
            return []
        self.steps = [*self.steps, float(step)][-KEPT:]
        self.returns = [*self.returns, ret][-KEPT:]
        self.worst = min(self.worst, ret)
        if len(self.returns) < self.WINDOW:
            return []
        now = float(np.median(self.returns[-self.WINDOW :]))
        self.best = now if self.best is None else max(self.best, now)
        height = self.best - self.worst
        self.statistic = 1.0 - (now - self.worst) / height if height > 0.0 else 0.0
        alarms = []
        if height > 0.0 and now - self.worst < self.SHARE * height:
            text = f"median of the last {self.WINDOW} evaluations {now:.4g}, best such median {self.best:.4g}"
            alarms.append(Alarm(self.name, WARN, step, text, "fall"))
        s, p = mann_kendall(self.returns)
        if s < 0.0 and p < self.P:
            slope = 1000.0 * theil_sen(self.steps, self.returns)
            text = f"evaluations fall by {-slope:.4g} per 1,000 steps (Mann-Kendall p = {p:.2g})"
            alarms.append(Alarm(self.name, WARN, step, text, "trend"))
        return alarms

    def trend(self) -> str:
        """How evaluations go, in words: `RISE` only where the later half of them rises, too (Mann-Kendall, p < .05)."""
        if not self.returns:
            return "are not logged"
        if len(self.returns) < self.WINDOW:
            return f"are too few ({self.WINDOW} show a trend)"
        if not _rises(self.returns):
            return FLAT
        return RISE if _rises(self.returns[-max(self.WINDOW, len(self.returns) // 2) :]) else LEVEL


def _rises(returns: Sequence[float]) -> bool:
    s, p = mann_kendall(returns)
    return s > 0.0 and p < 0.05
