"""D3: values grow by a law that explodes and will leave the range that rewards allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from td3sweep.monitor.detectors import FAIL, IN_A_ROW, Alarm, Stateful
from td3sweep.monitor.forecast import Growth, forecast_growth, lower_value, shown
from td3sweep.monitor.growth import MIN_POINTS, Fits, fit_growth

MAX_POINTS = 100
REFIT, REFIT_NEAR = 1.25, 1.05  # fit anew when there are so many times more rows; while values are near the limit
GAP, ACTOR, CRITIC, TARGET, LOSS = "actor Q - critic Q", "actor Q", "critic Q", "target", "critic's loss"
OWN = {ACTOR: "q/actor", CRITIC: "q/q1", TARGET: "q/target", LOSS: "loss/critic"}
MANIFOLD, MANIFOLD_LOSS = 1e4, 1e8  # what a series must grow by where no reward or return says how large Q may be
FEW = 6  # first points whose median is where a series began


@dataclass(frozen=True)
class Limits:
    """How large Q may be: by a known bound, else by the run's own returns, else not known."""

    bound: float | None = None
    scale: float | None = None

    def of(self, name: str, began: float) -> tuple[float, float]:
        """The limit that a series must come near to, and the ceiling that its forecast must cross."""
        if self.bound is not None:
            limit, ceiling = self.bound, 10.0 * self.bound
        elif self.scale is not None:
            limit, ceiling = self.scale / 10.0, self.scale
        else:
            ceiling = (MANIFOLD_LOSS if name == LOSS else MANIFOLD) * max(began, 1.0)
            return ceiling / 10.0, ceiling
        if name == GAP:  # stays small in any healthy run
            return limit, limit
        return (limit**2, ceiling**2) if name == LOSS else (limit, ceiling)


class Series(Stateful):
    """One series, thinned to at most 100 points, and what its growth was found to be."""

    STATE = ("points", "points_seen", "stride", "next_fit", "weight", "rate", "failed_at")
    WEIGHT, NEAR, BEFORE = 0.95, 0.75, 0.1

    def __init__(self, name: str) -> None:
        self.name = name
        self.points: list[list[float]] = []  # step, value
        self.points_seen = 0
        self.stride = 1  # rows from one kept point to the next
        self.next_fit = MIN_POINTS  # rows seen at which the next fit is due
        self.weight = 0.0
        self.rate: float | None = None
        self.failed_at: float | None = None  # |value| at which it was called exploding

    def update(self, step: int, value: float, limits: Limits, always: bool) -> list[Alarm]:
        """The alarm that stands; ``always`` fit when due, not only where values come near their limit."""
        if self.points_seen % self.stride == 0:
            self.points.append([float(step), value])
        self.points_seen += 1
        if len(self.points) > MAX_POINTS:
            self.points = self.points[::2]
            self.stride *= 2
        if self.failed_at is not None and abs(value) >= 0.5 * self.failed_at:
            return [Alarm("d3", FAIL, step, f"{self.name} stays beyond half of {self.failed_at:.4g}", self.name)]
        if self.points_seen < self.next_fit:
            return []
        limit, _ = self._limits(limits)
        near = median(self._values()[-3:]) >= self.NEAR * limit
        self.next_fit = math.ceil((REFIT_NEAR if near else REFIT) * self.points_seen)
        if not near and not always:
            return []
        fits = self.fit()
        if fits is None:
            return []
        self.weight, self.rate = fits.exploding, fits.rate()
        return self._judge(step, fits, limits) if near else []

    def _judge(self, step: int, fits: Fits, limits: Limits) -> list[Alarm]:
        ceiling, horizon = self._limits(limits)[1], fits.first + 2.0 * fits.span
        if self.weight <= self.WEIGHT or not self._steepens(fits.scale) or fits.at(fits.best, horizon) < ceiling:
            return []  # the bootstrap could not change that, and costs a hundred fits
        low = lower_value(fits, horizon)
        if low < ceiling:
            return []
        self.failed_at = median(self._values()[-3:])
        text = (
            f"{self.name} grows by {fits.best.family.article} {fits.best.family.name} law (exploding models weigh "
            f"{self.weight:.3f}): at least {shown(low, '.4g')} by step {horizon:.0f}, above {ceiling:.4g}"
        )
        return [Alarm("d3", FAIL, step, text, self.name)]

    def fit(self) -> Fits | None:
        """All laws fitted; None before 12 points."""
        steps = [point[0] for point in self.points]
        if len(steps) < MIN_POINTS or steps[-1] <= steps[0]:
            return None
        return fit_growth(steps, self._values())

    def _limits(self, limits: Limits) -> tuple[float, float]:
        return limits.of(self.name, median(abs(value) for _, value in self.points[:FEW]))

    def _values(self) -> list[float]:
        """The series, upward: its sign is that of its newest values, earlier ones may be negative."""
        values = [value for _, value in self.points]
        return values if median(values[-3:]) >= 0.0 else [-value for value in values]

    def _steepens(self, scale: float) -> bool:
        """Whether the last quarter of the points rises by more than the quarter before, and that one rises: no law.

        A jump is no law of growth. Whether it rose is asked on the scale of the fit, linear near 0 and logarithmic far
        from it: there a law rises in the quarter before by a good part of what it rises by in the last.
        """
        values = self._values()
        size = len(values) // 4
        early, middle, late = (
            median(values[len(values) - (place + 1) * size : len(values) - place * size]) for place in (2, 1, 0)
        )
        before, after = (math.asinh(b / scale) - math.asinh(a / scale) for a, b in ((early, middle), (middle, late)))
        return late - middle > middle - early and before > self.BEFORE * after


class Explosion:
    """D3: an exploding model (power > 1, exponential, finite-time) has weight > .95 and the lower end of its 90 %
    forecast crosses a ceiling within twice the observed span: FAIL.

    Each series is judged for itself, so that values which explode together are seen as well as one that leaves the
    others: the gap between the critic's values of the actor's and of replayed actions, which stays small in any
    healthy run (ceiling: the bound B that rewards allow); the actor's Q, the critic's own, the target, which a healthy
    run raises as well (10 B); the critic's loss, which goes as their square (100 B^2). Without the bound the run's own
    returns stand for it (:attr:`Bound.scale`), and without those what the series began with: ten thousand times that,
    1e8 times for the loss. A series that already bends down is not called exploding. An alarm stands while values
    stay above half of those at which it was raised.
    """

    name = "d3"

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}

    @property
    def points_seen(self) -> int:
        """Rows of the series that was logged most often."""
        return max((series.points_seen for series in self.series.values()), default=0)

    @property
    def rate(self) -> float | None:
        """Relative growth per 1,000 steps of the main series; None before its first fit."""
        main = self._main()
        return None if main is None else main.rate

    def update(self, step: int, row: Mapping[str, float], limits: Limits) -> tuple[float, list[Alarm]]:
        """The weight of the exploding models in the main series' latest fit, and the alarms that stand."""
        values = {name: row[key] for name, key in OWN.items() if math.isfinite(row.get(key, math.nan))}
        if ACTOR in values and CRITIC in values:
            values[GAP] = values[ACTOR] - values[CRITIC]
        alarms = []
        for name, value in values.items():
            series = self.series.setdefault(name, Series(name))
            alarms += series.update(step, value, limits, always=series is self._main())
        main = self._main()
        return 0.0 if main is None else main.weight, alarms

    def growth(self, limits: Limits) -> Growth | None:
        """The growth of the main series so far, or of the first that failed, with its forecasts."""
        failed = [series for series in self.series.values() if series.failed_at is not None]
        series = next(iter(failed), self._main())
        fits = None if series is None else series.fit()
        return None if fits is None or series is None else forecast_growth(fits, series.name, limits.bound)

    def _main(self) -> Series | None:
        """The gap where it is known from the start, else the actor's Q, the critic's own, the loss."""
        gap, actor = self.series.get(GAP), self.series.get(ACTOR)
        if gap is not None and actor is not None and gap.points_seen < actor.points_seen - IN_A_ROW:
            gap = None
        candidates = (gap, actor, self.series.get(CRITIC), self.series.get(LOSS))
        return next((series for series in candidates if series is not None), None)

    def state_dict(self) -> dict[str, Any]:
        """Plain values; `torch.load(weights_only=True)` reads them."""
        return {"series": {name: series.state_dict() for name, series in self.series.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`; an older version's knew one series only, and begins anew."""
        self.series = {}
        for name, saved in state.get("series", {}).items():
            self.series[name] = Series(name)
            self.series[name].load_state_dict(saved)
