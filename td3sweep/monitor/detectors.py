"""Detectors: each turns rows of metrics into alarms, keeps plain numbers and can be saved and restored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FAIL, WARN = "FAIL", "WARN"
IN_A_ROW = 3  # logs in a row that D1 and D2 ask for


@dataclass(frozen=True)
class Alarm:
    """Something a detector saw: which detector, how grave, at which environment step, with what evidence."""

    detector: str
    level: str
    step: int
    evidence: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as written to ``summary.json``."""
        return asdict(self)


class NonFinite:
    """Any number that is not finite: FAIL at once, with its name."""

    name = "nonfinite"

    def update(self, step: int, row: Mapping[str, float]) -> tuple[float, list[Alarm]]:
        """The number of non-finite values in ``row`` and an alarm if there is one."""
        bad = [key for key, value in row.items() if not math.isfinite(value)]
        inner = row.get("nonfinite", 0.0)
        if not bad and not inner > 0:
            return 0.0, []
        what = ", ".join(bad) or f"{inner:.0f} gradient or loss values"
        return float(len(bad)) + (inner if math.isfinite(inner) else 1.0), [
            Alarm(self.name, FAIL, step, f"not finite: {what}")
        ]


class Bound:
    """D1: |E Q| above 1.1 R_max/(1-gamma) on three logs in a row FAILs; a single Q above the bound WARNs.

    Time limits bootstrap, so the horizon is infinite.
    """

    name = "d1"

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma
        self.r_max = 0.0
        self.streak = 0

    def update(self, step: int, row: Mapping[str, float]) -> tuple[float, list[Alarm]]:
        """``|E Q| / (1.1 B)`` and the alarms. Before a reward other than 0 was seen there is no bound."""
        if self.r_max == 0.0:
            return 0.0, []
        bound = self.r_max / (1.0 - self.gamma)
        means = {key: abs(row[key]) for key in ("q/actor", "q/q1") if key in row}
        if not means:
            return 0.0, []
        key, mean = max(means.items(), key=lambda item: item[1])
        ratio = mean / (1.1 * bound)
        self.streak = self.streak + 1 if ratio > 1.0 else 0
        alarms = []
        if self.streak >= IN_A_ROW:
            text = f"|{key}| = {mean:.4g} exceeds 1.1 x the bound {bound:.4g} on {self.streak} logs in a row"
            alarms.append(Alarm(self.name, FAIL, step, text))
        peak = row.get("q/actor_max", 0.0)
        if peak > bound:
            alarms.append(Alarm(self.name, WARN, step, f"largest actor Q {peak:.4g} exceeds the bound {bound:.4g}"))
        return ratio, alarms


class Gap:
    """D2: the critic's value of the actor's own action lies far from the target it is trained on.

    G = |E Q1(s,pi) - E y| / (|E y| + 3 SD y + .05 R_max) above 1 on three logs in a row FAILs. This tells an actor
    scored on features its critic never saw (crossed wiring) from a critic that diverges with its target.
    """

    name = "d2"

    def __init__(self) -> None:
        self.r_max = 0.0
        self.streak = 0

    def update(self, step: int, row: Mapping[str, float]) -> tuple[float, list[Alarm]]:
        """G and the alarm."""
        if not {"q/actor", "q/target", "q/target_sd"} <= row.keys():
            return 0.0, []
        actor, target = row["q/actor"], row["q/target"]
        scale = abs(target) + 3.0 * row["q/target_sd"] + 0.05 * self.r_max
        ratio = abs(actor - target) / scale if scale > 0.0 else 0.0
        self.streak = self.streak + 1 if ratio > 1.0 else 0
        if self.streak < IN_A_ROW:
            return ratio, []
        text = (
            f"actor Q {actor:.4g} lies {ratio:.3g} allowances from the target {target:.4g} "
            f"on {self.streak} logs in a row"
        )
        return ratio, [Alarm(self.name, FAIL, step, text)]


class ClipInvariant:
    """D7: after clipping, the clipped set's norm is at most its limit. An invariant: it has no error rate to tune."""

    name = "d7"

    def __init__(self, kind: str, actor: float, critic: float) -> None:
        self.kind = kind
        self.limits = {"actor": actor, "critic": critic}

    def update(self, step: int, row: Mapping[str, float]) -> tuple[float, list[Alarm]]:
        """The largest norm after clipping over its limit, and the alarms."""
        worst, alarms = 0.0, []
        for network, limit in self.limits.items():
            for key in self._clipped(network, row):
                ratio = row[key] / limit
                worst = max(worst, ratio)
                if ratio > 1.0 + 1e-3:
                    text = f"{key} = {row[key]:.5g} exceeds clip.{network}={limit:g} after clipping"
                    alarms.append(Alarm(self.name, FAIL, step, text))
            binding, coefficient = (row.get(f"clip/{network}/{what}") for what in ("binding", "coefficient"))
            if binding is not None and coefficient is not None and binding > 0.95 and coefficient < 0.01:
                text = (
                    f"the clip binds on {binding:.0%} of {network} updates and keeps {coefficient:.2%} of the gradient"
                )
                alarms.append(Alarm(self.name, WARN, step, text))
        return worst, alarms

    def _clipped(self, network: str, row: Mapping[str, float]) -> list[str]:
        """The norms that the limit applies to: of the whole, of each module, of the largest element."""
        if self.kind == "joint":
            keys = [f"grad/{network}/joint/after"]
        elif self.kind == "per_module":
            keys = [f"grad/{network}/{module}/after" for module in ("cnn", "memory", "head")]
        elif self.kind == "value":
            keys = [f"grad/{network}/max/after"]
        else:
            keys = []
        return [key for key in keys if key in row]
