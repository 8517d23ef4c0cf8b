"""Where a growing series will be, and when it crosses a limit, with block-bootstrap intervals.

Each draw takes a model by its AICc weight, puts blocks of its residuals (moving-block bootstrap, Kunsch 1989) back on
its curve, refits it and reads the forecast off. Intervals hold 90 % of the draws, the scatter of the log included.
Residuals of a fit are smaller than the noise, the more so the more they hang together: they are widened by the
degrees of freedom left among independent points, and by a factor set on synthetic growth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from td3sweep.monitor.growth import LARGEST, Array, Fit, Fits, fit_family, independent_share

DRAWS = 200
# Of the residuals put back: as they are, 90 % intervals held 74 % of values. Set on even seeds of benchmarks.monitor.
WIDENING = 1.5
LOW, HIGH = 0.05, 0.95
LEVELS = {"fp16 overflow": 65504.0, "fp32 overflow of its square": 1.84e19, "fp32 overflow": 3.4e38}
BOUND = "value bound"
VALUE, STEP = ".3g", ".0f"  # how a value and a step are written
AHEAD = 5000  # environment steps
LARGEST_TOLD, LATEST_TOLD = 3.4e38, 1e12  # a value, a step: beyond it a forecast says no more than that


@dataclass(frozen=True)
class Forecast:
    """A number with its 90 % interval; `inf` in a step means never.

    Attributes:
        estimate: by the model of largest weight.
        low: lower end of the interval.
        high: upper end.
        reliable: False beyond twice the observed span, where models that fit equally well part.
    """

    estimate: float
    low: float
    high: float
    reliable: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain values; what is not finite, or beyond what fp32 holds, becomes None."""
        numbers = {"estimate": self.estimate, "low": self.low, "high": self.high}
        return {key: value if abs(value) <= LARGEST_TOLD else None for key, value in numbers.items()} | {
            "reliable": self.reliable
        }


@dataclass(frozen=True)
class Growth:
    """How Q grows.

    Attributes:
        series: what was fitted, `actor Q - critic Q` or `actor Q`.
        model: family of largest weight.
        weights: AICc weight of each family.
        exploding: weight of the families that grow faster than linearly for good.
        points: points fitted.
        last: environment step of the last one.
        doubling: environment steps to the next doubling at the present rate.
        ahead: value 5,000 steps after the last point.
        crossings: environment step at which each level is reached: the bound that rewards allow, if known, and
            the overflow of fp16, of a square in fp32 and of fp32.
    """

    series: str
    model: str
    weights: Mapping[str, float]
    exploding: float
    points: int
    last: float
    doubling: Forecast
    ahead: Forecast
    crossings: Mapping[str, Forecast]

    def line(self, *, forecast: bool = True) -> str:
        """One line for a reader; without ``forecast`` the law alone."""
        text = f"growth of {self.series}: {self.model} (weight {self.weights[self.model]:.2f}, {self.points} points)"
        if self.exploding <= 0.5 or not forecast:
            return text
        text += f", doubling in {self.doubling.estimate:.0f} steps; at step {self.last + AHEAD:.0f} {_span(self.ahead)}"
        steps = [
            f"{name} at step {_span(crossing, STEP)}"
            for name, crossing in self.crossings.items()
            if math.isfinite(crossing.estimate)
        ]
        return "; ".join([text, *steps])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        forecast = {
            "doubling_steps": self.doubling.as_dict(),
            f"value_in_{AHEAD}_steps": self.ahead.as_dict(),
            **{f"step_of {name}": crossing.as_dict() for name, crossing in self.crossings.items()},
        }
        return {
            "series": self.series,
            "model": self.model,
            "weights": dict(self.weights),
            "exploding": self.exploding,
            "points": self.points,
            "forecast": forecast,
        }


def _span(forecast: Forecast, form: str = VALUE) -> str:
    estimate, low, high = (shown(value, form) for value in (forecast.estimate, forecast.low, forecast.high))
    text = f"{estimate} [{low}, {high}]"
    return text if forecast.reliable else f"{text} (unreliable)"


def shown(value: float, form: str = VALUE) -> str:
    """A forecast in words; one beyond what fp32 holds says no more than that."""
    if form == STEP:
        return f"{value:{form}}" if value <= LATEST_TOLD else "never"
    return f"{value:{form}}" if abs(value) <= LARGEST_TOLD else "beyond fp32"


def redraw(fits: Fits, draws: int = DRAWS) -> list[Fit]:
    """Bootstrap refits of models drawn by their weights; the same fits always give the same draws."""
    rng = np.random.default_rng(len(fits.u))
    n = len(fits.u)
    block = max(2, round(n ** (1.0 / 3.0)))
    independent = n * independent_share(min(fits.fits, key=lambda fit: fit.mse).residuals)
    redrawn = []
    for choice in rng.choice(len(fits.fits), draws, p=fits.weights):
        fit = fits.fits[choice]
        freedom = max(independent - len(fit.theta), n / 6.0)
        spread = (fit.residuals - fit.residuals.mean()) * WIDENING * math.sqrt(n / freedom)
        starts = rng.integers(0, n - block + 1, -(-n // block))
        noise = np.concatenate([spread[start : start + block] for start in starts])[:n]
        with np.errstate(over="ignore"):
            again = fit_family(fit.family, fits.u, np.sinh(fit.fitted + noise), [list(fit.theta)])
        redrawn.append(again if again is not None else fit)
    return redrawn


def values_at(fits: Fits, redrawn: Sequence[Fit], step: float) -> Array:
    """What the log may show at ``step``: one value for each redrawn fit, scatter included."""
    rng = np.random.default_rng(len(redrawn))
    u = np.array([(step - fits.first) / fits.span])
    with np.errstate(all="ignore"):
        z = np.array([float(np.arcsinh(fit.family.curve(fit.theta, u))[0]) for fit in redrawn])
    scatter = np.array([fit.residuals[rng.integers(len(fit.residuals))] for fit in redrawn])
    z = np.nan_to_num(z, nan=LARGEST, posinf=LARGEST, neginf=-LARGEST) + scatter
    with np.errstate(over="ignore"):  # beyond float64 is beyond every limit asked for
        return np.asarray(fits.scale * np.sinh(np.clip(z, -LARGEST, LARGEST)))


def lower_value(fits: Fits, step: float) -> float:
    """Lower end of the 90 % interval at ``step``."""
    return float(np.quantile(values_at(fits, redraw(fits, 100), step), LOW))


def forecast_growth(fits: Fits, series: str, bound: float | None) -> Growth:
    """Everything a report says about growth, from fits to ``series``; ``bound`` is what rewards allow, if known."""
    redrawn = redraw(fits)
    last = fits.first + fits.span
    horizon = last + fits.span
    levels = ({} if bound is None else {BOUND: bound}) | LEVELS

    def forecast(estimate: float, draws: Sequence[float] | Array, step: float) -> Forecast:
        # "lower" and "higher" take draws as they are: infinities are not averaged.
        low = float(np.quantile(draws, LOW, method="lower"))
        return Forecast(estimate, low, float(np.quantile(draws, HIGH, method="higher")), bool(step <= horizon))

    crossings = {}
    for name, level in levels.items():
        estimate = fits.step_of(fits.best, level)
        crossings[name] = forecast(estimate, [fits.step_of(fit, level) for fit in redrawn], estimate)
    return Growth(
        series=series,
        model=fits.best.family.name,
        weights={fit.family.name: weight for fit, weight in zip(fits.fits, fits.weights, strict=True)},
        exploding=fits.exploding,
        points=len(fits.u),
        last=last,
        doubling=forecast(_doubling(fits, fits.best), [_doubling(fits, fit) for fit in redrawn], last),
        ahead=forecast(fits.at(fits.best, last + AHEAD), values_at(fits, redrawn, last + AHEAD), last + AHEAD),
        crossings=crossings,
    )


def _doubling(fits: Fits, fit: Fit) -> float:
    """Environment steps until twice the last fitted value."""
    return fits.step_of(fit, 2.0 * fits.at(fit, fits.first + fits.span)) - fits.first - fits.span
