"""D3: Q grows by a law that explodes and will leave the range that rewards allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median

from td3sweep.monitor.detectors import FAIL, Alarm, Stateful
from td3sweep.monitor.forecast import LEVELS, Growth, forecast_growth, lower_value
from td3sweep.monitor.growth import MIN_POINTS, Fits, fit_growth

MAX_POINTS = 100
REFIT, REFIT_NEAR = 1.25, 1.05  # fit anew when there are so many times more rows; while values are near the limit
GAP, ACTOR = "actor Q - critic Q", "actor Q"


class Explosion(Stateful):
    """D3: an exploding model (power > 1, exponential, finite-time) has weight > .95 and the lower end of its 90 %
    forecast crosses the ceiling within twice the observed span: FAIL.

    The series is the gap between the critic's values of the actor's and of replayed actions, which stays small in
    any healthy run, and the ceiling the bound B that rewards allow. Where the critic's own Q is not logged it is
    actor Q, which a healthy run raises as well: then the ceiling is 10 B. Without rewards it is fp16's largest
    number. A series that already bends down is not called exploding.
    """

    name = "d3"
    STATE = ("points", "points_seen", "stride", "next_fit", "weight", "rate", "gap_known", "failed")
    WEIGHT, NEAR = 0.95, 0.75

    def __init__(self) -> None:
        self.points: list[list[float]] = []  # step, gap, actor Q; thinned to at most MAX_POINTS
        self.points_seen = 0
        self.stride = 1  # rows from one kept point to the next
        self.next_fit = MIN_POINTS  # rows seen at which the next fit is due
        self.weight = 0.0
        self.rate: float | None = None
        self.gap_known = True
        self.failed = False

    def update(self, step: int, row: Mapping[str, float], bound: float | None) -> tuple[float, list[Alarm]]:
        """Weight of the exploding models in the latest fit, and the alarm."""
        actor, critic = row.get("q/actor", math.nan), row.get("q/q1", math.nan)
        if not math.isfinite(actor):
            return self.weight, []
        self.gap_known = self.gap_known and math.isfinite(critic)
        if self.points_seen % self.stride == 0:
            self.points.append([float(step), actor - critic if self.gap_known else 0.0, actor])
        self.points_seen += 1
        if len(self.points) > MAX_POINTS:
            self.points = self.points[::2]
            self.stride *= 2
        if self.points_seen < self.next_fit:
            return self.weight, []
        near = median(self._values()[-3:]) >= self.NEAR * self._limits(bound)[0]
        self.next_fit = math.ceil((REFIT_NEAR if near and not self.failed else REFIT) * self.points_seen)
        fits = self._fit()
        if fits is None:
            return self.weight, []
        self.weight, self.rate = fits.exploding, fits.rate()
        return self.weight, self._judge(step, fits, bound) if near else []

    def _judge(self, step: int, fits: Fits, bound: float | None) -> list[Alarm]:
        ceiling, horizon = self._limits(bound)[1], fits.first + 2.0 * fits.span
        if self.weight <= self.WEIGHT or not self._steepens() or fits.at(fits.best, horizon) < ceiling:
            return []  # the bootstrap could not change that, and costs a hundred fits
        low = lower_value(fits, horizon)
        if low < ceiling:
            return []
        self.failed = True
        text = (
            f"{self._series()} grows by a {fits.best.family.name} law (exploding models weigh {self.weight:.3f}): "
            f"at least {low:.4g} by step {horizon:.0f}, above {ceiling:.4g}"
        )
        return [Alarm(self.name, FAIL, step, text)]

    def growth(self, bound: float | None) -> Growth | None:
        """The growth so far with its forecasts; None before 12 points."""
        fits = self._fit()
        return None if fits is None else forecast_growth(fits, self._series(), bound)

    def _series(self) -> str:
        return GAP if self.gap_known else ACTOR

    def _values(self) -> list[float]:
        """The series, upward: its sign is that of its newest values, earlier ones may be negative."""
        column = 1 if self.gap_known else 2
        values = [point[column] for point in self.points]
        return values if median(values[-3:]) >= 0.0 else [-value for value in values]

    def _fit(self) -> Fits | None:
        steps = [point[0] for point in self.points]
        if len(steps) < MIN_POINTS or steps[-1] <= steps[0]:
            return None
        return fit_growth(steps, self._values())

    def _limits(self, bound: float | None) -> tuple[float, float]:
        """The limit that values must come near to, and the ceiling that their forecast must cross."""
        if bound is None:
            return LEVELS["fp16 overflow"] / 10.0, LEVELS["fp16 overflow"]
        return bound, bound if self.gap_known else 10.0 * bound

    def _steepens(self) -> bool:
        """Whether the last quarter of the points rises by more than the quarter before: no law needed."""
        values = self._values()
        size = len(values) // 4
        early, middle, late = (
            median(values[len(values) - (place + 1) * size : len(values) - place * size]) for place in (2, 1, 0)
        )
        return late - middle > middle - early
