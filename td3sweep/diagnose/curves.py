"""The curves that charts and pictures show: which series, and on which scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

from td3sweep.logs.log import EVALUATION, Log

Q_SERIES = ("q/actor", "q/q1", "q/target")
WIDE = 50.0  # largest value over the median, from which on a linear axis shows one curve and flattens the rest


@dataclass(frozen=True)
class Curve:
    """A series by environment step, its finite values only."""

    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]

    def thinned(self, points: int) -> Curve:
        """At most ``points`` of its points, evenly spaced, the last one included."""
        every = max(1, math.ceil(len(self.steps) / points))
        keep = slice((len(self.steps) - 1) % every, None, every)
        return Curve(self.name, self.steps[keep], self.values[keep])


def q_curves(log: Log) -> list[Curve]:
    """The actor's Q, the critic's own, and the target."""
    curves = []
    for name in Q_SERIES:
        points = [(row.step, row.values[name]) for row in log.rows if math.isfinite(row.values.get(name, math.nan))]
        curves.append(_curve(name, points))
    return [curve for curve in curves if curve.steps]


def episode_curve(log: Log) -> Curve | None:
    """Lengths of finished training episodes."""
    points = [
        (episode.step, episode.length)
        for episode in log.episodes
        if episode.length is not None and math.isfinite(episode.length) and episode.phase != EVALUATION
    ]
    return _curve("episode length", points) if points else None


def is_wide(curves: list[Curve]) -> bool:
    """Whether the values ask for an asinh axis: linear around 0, logarithmic far from it."""
    sizes = sorted(abs(value) for curve in curves for value in curve.values)
    return bool(sizes) and sizes[-1] > WIDE * max(sizes[len(sizes) // 2], 1.0)


def asinh_ticks(low: float, high: float) -> list[float]:
    """Round values from ``low`` to ``high`` for an asinh axis: 0 and about five powers of ten."""
    powers = math.ceil(math.log10(max(abs(low), abs(high), 10.0)))
    every = max(1, math.ceil(powers / 5))
    sizes = [10.0**power for power in range(every, powers + 1, every)]
    return [tick for tick in (*(-size for size in reversed(sizes)), 0.0, *sizes) if low <= tick <= high] or [low, high]


def _curve(name: str, points: list[tuple[int, float]]) -> Curve:
    return Curve(name, tuple(float(step) for step, _ in points), tuple(value for _, value in points))
