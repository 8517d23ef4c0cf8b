"""Detectors on rows of metrics (D1, D2, D4, D7, not finite): each turns rows into alarms.

All keep plain numbers and can be saved and restored. Where a row lacks what a detector reads, the detector is
silent and the monitor's report names what is missing.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

FAIL, WARN = "FAIL", "WARN"
CAN_FAIL = ("nonfinite", "d0", "d1", "d2", "d3", "d4", "d5", "d7")  # D6 only warns
IN_A_ROW = 3  # logs in a row that D1, D2 and D4 ask for
FULL = 1.0  # D1's and D2's statistics are shares of what they allow
H6_LIKE = "H6-like"  # the actor is scored far from what its critic was trained on; the critic itself is calm
CRITIC = "critic"  # the critic's own Q left its range
MIRRORED = "mirrored"  # the actor's Q is the critic's with the opposite sign


@dataclass(frozen=True)
class Alarm:
    """Something a detector saw.

    Attributes:
        detector: `d0` to `d7` or `nonfinite`.
        level: `FAIL` or `WARN`.
        step: environment step at which it was first seen.
        evidence: the numbers, in words.
        cause: what tells two alarms of one detector apart, such as `H6-like` or `environment`; may be empty.
    """

    detector: str
    level: str
    step: int
    evidence: str
    cause: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """An alarm is raised once for each of these."""
        return self.detector, self.level, self.cause

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as written to ``summary.json``."""
        return asdict(self)


class Stateful:
    """Saves and restores the attributes named in ``STATE``; they hold plain values only."""

    STATE: ClassVar[tuple[str, ...]] = ()

    def state_dict(self) -> dict[str, Any]:
        """Plain values; `torch.load(weights_only=True)` reads them."""
        return {name: copy.deepcopy(getattr(self, name)) for name in self.STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`; what an older version did not save yet stays as it begins."""
        for name in self.STATE:
            if name in state:
                setattr(self, name, copy.deepcopy(state[name]))


class NonFinite(Stateful):
    """A number that is not finite: FAIL at once, with its name.

    A series that was never finite yet may only not be computed yet (a loss before the first update): it fails when it
    is still not finite on the third row in a row.
    """

    name = "nonfinite"
    STATE = ("finite", "waited")

    def __init__(self) -> None:
        self.finite: list[str] = []  # series that were finite once
        self.waited: dict[str, int] = {}  # rows in a row on which a series that never was is not finite

    def update(self, step: int, row: Mapping[str, float], tensors: Sequence[str] = ()) -> tuple[float, list[Alarm]]:
        """The number of non-finite values in ``row`` and an alarm if there is one, naming ``tensors`` if given."""
        bad = [key for key, value in row.items() if not math.isfinite(value)]
        self.finite += sorted(row.keys() - set(self.finite) - set(bad))
        inner = row.get("nonfinite", 0.0)
        if not bad and not inner > 0:
            return 0.0, []
        self.waited |= {key: self.waited.get(key, 0) + 1 for key in bad if key not in self.finite}
        sure = bad if tensors or inner > 0 else [key for key in bad if self.waited.get(key, IN_A_ROW) >= IN_A_ROW]
        value = float(len(bad)) + (inner if math.isfinite(inner) else 1.0)
        if not sure and not inner > 0:
            return value, []
        what = ", ".join(sure) or f"{inner:.0f} gradient or loss values"
        if tensors:
            rest = f" and {len(tensors) - 3} more" if len(tensors) > 3 else ""
            what += f"; tensors {', '.join(tensors[:3])}{rest}"
        return value, [Alarm(self.name, FAIL, step, f"not finite: {what}")]


class Bound(Stateful):
    """D1: a mean Q beyond what rewards allow, on three logs in a row, FAILs; a single Q above the bound WARNs.

    With the discount and the largest |r| of a step that is 1.1 R_max/(1-gamma): time limits bootstrap, so the horizon
    is infinite. Where either is not known, the run's own returns say how large Q may be: ten times the larger of the
    largest |return| and of the largest mean |reward| of an episode over 1-gamma (gamma not known: .999). That mean is
    a floor of R_max, hence the ten.
    """

    name = "d1"
    STATE = ("r_max", "streak", "largest_return", "per_step")
    SLACK, USUAL_GAMMA = 10.0, 0.999

    def __init__(self, gamma: float | None) -> None:
        self.gamma = gamma
        self.r_max = 0.0
        self.streak = 0
        self.largest_return = 0.0
        self.per_step = 0.0  # largest mean |reward| of an episode

    def episode(self, ret: float, length: float) -> None:
        """Note the undiscounted return of an episode of ``length`` steps; not finite: not known."""
        if math.isfinite(ret):
            self.largest_return = max(self.largest_return, abs(ret))
            if math.isfinite(length) and length >= 1.0:
                self.per_step = max(self.per_step, abs(ret) / length)

    @property
    def bound(self) -> float | None:
        """Largest value that rewards seen so far allow; None without a discount below 1 or a reward other than 0."""
        if self.gamma is None or self.gamma >= 1.0 or self.r_max == 0.0:
            return None
        return self.r_max / (1.0 - self.gamma)

    @property
    def scale(self) -> float | None:
        """What returns allow, generously, where the bound is not known; None before one other than 0."""
        gamma = self.USUAL_GAMMA if self.gamma is None or self.gamma >= 1.0 else self.gamma
        largest = max(self.largest_return, self.per_step / (1.0 - gamma))
        return self.SLACK * largest if largest > 0.0 else None

    def update(self, step: int, row: Mapping[str, float]) -> tuple[float, list[Alarm]]:
        """The largest mean |Q| over its limit, and the alarms."""
        means = {key: abs(row[key]) for key in ("q/actor", "q/q1", "q/target") if math.isfinite(row.get(key, math.nan))}
        bound = self.bound
        limit = self.scale if bound is None else 1.1 * bound
        if limit is None or not means:
            return 0.0, []
        key, mean = max(means.items(), key=lambda item: item[1])
        ratio = mean / limit
        self.streak = self.streak + 1 if ratio > FULL else 0
        alarms = []
        if self.streak >= IN_A_ROW:
            calm = means.get("q/q1", mean) <= limit
            text = f"|{key}| = {mean:.4g} exceeds "
            text += f"1.1 x the bound {bound:.4g}" if bound is not None else self._by_returns(limit)
            text += f" on {self.streak} logs in a row"
            text += f"; the critic's own |q/q1| = {means['q/q1']:.4g} does not" if calm else ""
            alarms.append(Alarm(self.name, FAIL, step, text, H6_LIKE if calm else CRITIC if "q/q1" in means else ""))
        peak = abs(row.get("q/actor_max", 0.0))
        if bound is not None and peak > bound:
            alarms.append(Alarm(self.name, WARN, step, f"largest actor Q {peak:.4g} exceeds the bound {bound:.4g}"))
        return ratio, alarms

    def by_returns(self) -> str | None:
        """The limit that the run's own returns stand for; None where a bound is known, or no return is."""
        if self.bound is not None or self.scale is None:
            return None
        known = self.gamma is not None and self.gamma < 1.0
        at = f"{self.gamma:g}" if known else f"{self.USUAL_GAMMA:g}, as none is known"
        return (
            f"limit of Q: {self.scale:.4g}, ten times what returns of up to {self.largest_return:.4g} allow at a "
            f"discount of {at} (--gamma and --r-max make it a bound)"
        )

    def _by_returns(self, limit: float) -> str:
        return f"{limit:.4g}, ten times what returns of up to {self.largest_return:.4g} allow,"


class Gap(Stateful):
    """D2: the critic's value of the actor's own action lies far from what the critic is trained on.

    Two distances, each in allowances; the larger above 1 on three logs in a row FAILs:
    |E Q1(s,pi) - E y| / (|E y| + 3 SD y + .05 R_max), from the target (2 |E y| for 3 SD where neither the spread nor
    the critic's Q is logged), and where the critic's own Q is logged |E Q1(s,pi) - E Q1(s,a)| / max(.5 |E Q1(s,a)|,
    .5 SD y, .2 R_max), from that. The policy's true advantage over replayed actions is smaller, save where Q is
    little more than the next reward. Networks begin with an offset of their own, which the first logs show: twice
    that, at most 2, is allowed in addition.

    Where the critic's own Q agrees with the target by the first measure, the actor is scored on features its critic
    never saw (crossed wiring, H6) and the critic has not diverged: the alarm says which. An actor's Q that is the
    critic's with the opposite sign is no distance but a mirror: WARN, as the log may have written it so.

    Args:
        of_loss: the actor's Q is the negative of its loss. A term or a factor of that loss may then make it smaller
            than the critic's: only a larger one counts.
    """

    name = "d2"
    STATE = ("r_max", "streak", "mirrored", "offset", "rows")
    SHARE, REWARDS = 0.5, 0.2
    OFFSET_ROWS, LARGEST_OFFSET = 2, 2.0
    MIRROR_ROWS = 5

    def __init__(self, *, of_loss: bool = False) -> None:
        self.of_loss = of_loss
        self.r_max = 0.0
        self.streak = self.mirrored = self.rows = 0
        self.offset = 0.0

    def update(self, step: int, row: Mapping[str, float]) -> tuple[float, list[Alarm]]:
        """The larger distance in allowances and the alarm."""
        actor, target, spread, critic = (
            row.get(key, math.nan) for key in ("q/actor", "q/target", "q/target_sd", "q/q1")
        )
        known = {"critic": math.isfinite(critic)}
        known["target"] = math.isfinite(target) and (math.isfinite(spread) or not known["critic"])
        if not math.isfinite(actor) or not any(known.values()):
            return 0.0, []
        reference = critic if known["critic"] else target
        if self.rows < self.OFFSET_ROWS:
            self.offset = max(self.offset, min(2.0 * abs(actor - reference), self.LARGEST_OFFSET))
        self.rows += 1
        mirror = self._mirror(step, actor, critic)
        if mirror or self.mirrored:
            self.streak = 0
            return 0.0, mirror
        allowed, ratio, text = math.inf, 0.0, ""
        if known["target"]:
            apart = 3.0 * spread if math.isfinite(spread) else 2.0 * abs(target)
            allowed = abs(target) + apart + 0.05 * self.r_max + self.offset
            ratio, text = _ratio(self._distance(actor, target), allowed), f"the target {target:.4g}"
        if known["critic"]:
            spread = spread if math.isfinite(spread) else 0.0
            own = max(self.SHARE * abs(critic), self.SHARE * spread, self.REWARDS * self.r_max) + self.offset
            from_critic = _ratio(self._distance(actor, critic), own)
            if from_critic > ratio:
                ratio, text = from_critic, f"the critic's own Q {critic:.4g}"
        self.streak = self.streak + 1 if ratio > FULL else 0
        if self.streak < IN_A_ROW:
            return ratio, []
        text = f"actor Q {actor:.4g} lies {ratio:.3g} allowances from {text} on {self.streak} logs in a row"
        cause = ""
        if known["critic"] and not known["target"]:
            cause = H6_LIKE
            text += "; the actor is scored far from what its critic gives the replayed actions (H6-like)"
        elif known["critic"]:
            calm = abs(critic - target) <= allowed
            cause = H6_LIKE if calm else CRITIC
            text += f"; the critic's own Q {critic:.4g} " + (
                f"agrees with its target {target:.4g}: the actor is scored on what its critic never saw (H6), "
                "the critic is not diverging"
                if calm
                else f"has left its target {target:.4g} too: the critic diverges"
            )
        return ratio, [Alarm(self.name, FAIL, step, text, cause)]

    def _distance(self, actor: float, other: float) -> float:
        if self.of_loss and abs(actor) <= abs(other):
            return 0.0
        return abs(actor - other)

    def _mirror(self, step: int, actor: float, critic: float) -> list[Alarm]:
        """The alarm of an actor's Q that is the critic's with the opposite sign."""
        like = abs(critic) > max(1.0, 0.2 * self.r_max) and abs(actor + critic) < 0.25 * abs(critic)
        self.mirrored = self.mirrored + 1 if like else 0
        if self.mirrored < self.MIRROR_ROWS:
            return []
        text = (
            f"actor Q {actor:.4g} is the critic's own {critic:.4g} with the opposite sign on {self.mirrored} logs in a "
            "row: the actor's loss has the wrong sign, or is logged as +Q"
        )
        return [Alarm(self.name, WARN, step, text, MIRRORED)]


def _ratio(distance: float, allowed: float) -> float:
    return distance / allowed if allowed > 0.0 else 0.0


class DeadActor(Stateful):
    """D4: more than 95 % of actions saturated and no gradient in the actor's head on three logs in a row FAILs.

    Saturation alone WARNs after ten: what gradient passes the flat of a tanh hardly moves the policy.
    """

    name = "d4"
    STATE = ("streak", "saturated")
    SATURATION, GRADIENT, LASTING = 0.95, 1e-8, 10

    def __init__(self) -> None:
        self.streak = self.saturated = 0

    def update(self, step: int, row: Mapping[str, float]) -> tuple[float, list[Alarm]]:
        """The share of saturated actions while the head has no gradient, else 0, and the alarm."""
        saturation, gradient = row.get("action/saturation"), row.get("grad/actor/head/before")
        if saturation is None or gradient is None:
            return 0.0, []
        still, full = gradient < self.GRADIENT, saturation > self.SATURATION
        self.saturated = self.saturated + 1 if full else 0
        self.streak = self.streak + 1 if still and full else 0
        if self.streak < IN_A_ROW:
            return saturation if still else 0.0, self._lasting(step, saturation, gradient)
        text = (
            f"{saturation:.0%} of actions saturated and the actor head's gradient {gradient:.2g} "
            f"on {self.streak} logs in a row: the actor can no longer learn"
        )
        return saturation, [Alarm(self.name, FAIL, step, text)]

    def _lasting(self, step: int, saturation: float, gradient: float) -> list[Alarm]:
        if self.saturated < self.LASTING:
            return []
        text = (
            f"{saturation:.0%} of actions saturated on {self.saturated} logs in a row, though a gradient of "
            f"{gradient:.2g} reaches the actor's head: it can hardly change its mind (see pre_tanh_penalty, trunk)"
        )
        return [Alarm(self.name, WARN, step, text)]


class ClipInvariant:
    """D7: after clipping, the clipped set's norm is at most its limit. An invariant: it has no error rate to tune."""

    name = "d7"
    LIMIT = 1.0 + 1e-3  # of the norm over its limit: rounding is no failure

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
                if ratio > self.LIMIT:
                    text = f"{key} = {row[key]:.5g} exceeds clip.{network}={limit:g} after clipping"
                    alarms.append(Alarm(self.name, FAIL, step, text, network))
            binding, coefficient = (row.get(f"clip/{network}/{what}") for what in ("binding", "coefficient"))
            if binding is not None and coefficient is not None and binding > 0.95 and coefficient < 0.01:
                text = (
                    f"the clip binds on {binding:.0%} of {network} updates and keeps {coefficient:.2%} of the gradient"
                )
                alarms.append(Alarm(self.name, WARN, step, text, network))
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
