"""Which law does a growing series follow? Five families, fitted by least squares and weighed by AICc.

Time is rescaled: u = 0 at the first point, 1 at the last. Values are compared on the scale asinh(y / s), which is
linear near zero and logarithmic far from it; s is the noise of the small values. Residuals of a training log are
autocorrelated, so the likelihood counts only as many points as are independent (AR(1) effective sample size), and
the weights still deserve suspicion: forecasts come with block-bootstrap intervals (:mod:`td3sweep.monitor.forecast`).
Sources: Burnham and Anderson (2002) for AICc weights; Johansen and Sornette (2001) for the finite-time singularity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_POINTS = 12
LARGEST = 700.0  # exponents beyond which float64 overflows
SMALLEST_MSE = 1e-10  # on the asinh scale: a fit cannot be better than numbers printed to five digits
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Family:
    """One law y(u; theta), with y in units of s.

    Attributes:
        name: `constant`, `linear`, `power`, `exponential` or `finite-time`.
        curve: y at times u [N] for parameters theta [P].
        starts: first guesses of theta for points (u, y).
        when: the time u at which y reaches a level, inf if never after u = 0.
        explodes: whether theta grows faster than linearly for good.
    """

    name: str
    curve: Callable[[Array, Array], Array]
    starts: Callable[[Array, Array], list[list[float]]]
    when: Callable[[Array, float], float]
    explodes: Callable[[Array], bool]

    @property
    def article(self) -> str:
        """What stands before its name."""
        return "an" if self.name[0] in "aeiou" else "a"


def _exp(x: ArrayLike) -> Array:
    return np.asarray(np.exp(np.clip(x, -LARGEST, LARGEST)), np.float64)


def _ends(u: Array, y: Array) -> tuple[float, float]:
    """Typical values of the first and last quarter."""
    quarter = max(len(u) // 4, 2)
    return float(np.median(y[:quarter])), float(np.median(y[-quarter:]))


def _ratio(u: Array, y: Array) -> tuple[float, float]:
    """Logarithms of the last value and of the growth from first to last."""
    first, last = (math.log(max(abs(value), 0.1)) for value in _ends(u, y))
    return last, last - first


# constant: y = c.  linear: y = a + b u


def _linear_when(theta: Array, level: float) -> float:
    return _later((level - theta[0]) / theta[1]) if theta[1] > 0.0 else math.inf


def _linear_starts(u: Array, y: Array) -> list[list[float]]:
    first, last = _ends(u, y)
    return [[first, last - first]]


# power with an offset in time and in value: y = o + exp(a) ((u + d) / (1 + d))^p, d = exp(delta)


def _power(theta: Array, u: Array) -> Array:
    d = _exp(theta[1])
    grown = _exp(theta[0] + theta[2] * (np.log(np.maximum(u + d, 1e-300)) - np.log1p(d)))
    return np.asarray(theta[3] + grown)


def _power_starts(u: Array, y: Array) -> list[list[float]]:
    last, ratio = _ratio(u, y)
    first_value, _ = _ends(u, y)
    return [[last, math.log(d), ratio / math.log((1.0 + d) / d), o] for d in (0.05, 0.5) for o in (0.0, first_value)]


def _power_when(theta: Array, level: float) -> float:
    a, delta, p, o = theta
    if level <= o:
        return 0.0
    if p <= 0.0:
        return math.inf
    d = math.exp(min(delta, LARGEST))
    return _later((1.0 + d) * math.exp(min((math.log(level - o) - a) / p, LARGEST)) - d)


# exponential with an offset in value: y = o + exp(a + k (u - 1)); for k < 0 it levels off


def _exponential(theta: Array, u: Array) -> Array:
    return np.asarray(theta[2] + _exp(theta[0] + theta[1] * (u - 1.0)))


def _exponential_starts(u: Array, y: Array) -> list[list[float]]:
    last, ratio = _ratio(u, y)
    first_value, last_value = _ends(u, y)
    drop = math.log(max(abs(first_value - last_value), 0.1))
    settle = [[drop - 3.0, -3.0, last_value]] if first_value > last_value else []
    return [[last, ratio, 0.0], *settle]


def _exponential_when(theta: Array, level: float) -> float:
    a, k, o = theta
    if k <= 0.0 or level <= o:
        return 0.0 if level <= o else math.inf
    return _later(1.0 + (math.log(level - o) - a) / k)


# finite-time: y = exp(a) (1 + (1 - u) / tau)^-m, infinite at u = 1 + tau; tau = exp(theta1), m = exp(theta2)


def _finite_time(theta: Array, u: Array) -> Array:
    left = 1.0 + (1.0 - u) / _exp(theta[1])
    grown = theta[0] - _exp(theta[2]) * np.log(np.maximum(left, 1e-300))
    return np.where(left > 0.0, _exp(grown), np.inf)


def _finite_time_starts(u: Array, y: Array) -> list[list[float]]:
    last, ratio = _ratio(u, y)
    return [[last, math.log(tau), math.log(max(ratio, 0.05) / math.log((1.0 + tau) / tau))] for tau in (0.1, 1.0)]


def _finite_time_when(theta: Array, level: float) -> float:
    if level <= 0.0:
        return 0.0
    tau, m = math.exp(min(theta[1], LARGEST)), max(math.exp(min(theta[2], LARGEST)), 1e-300)
    shrunk = math.exp(min((float(theta[0]) - math.log(level)) / m, LARGEST))
    return _later(1.0 + tau * (1.0 - shrunk))


def _later(u: float) -> float:
    return max(u, 0.0)


FAMILIES = (
    Family(
        "constant",
        lambda theta, u: np.full_like(u, theta[0]),
        lambda u, y: [[float(np.median(y))]],
        lambda theta, level: 0.0 if theta[0] >= level else math.inf,
        lambda theta: False,
    ),
    Family("linear", lambda theta, u: theta[0] + theta[1] * u, _linear_starts, _linear_when, lambda theta: False),
    Family("power", _power, _power_starts, _power_when, lambda theta: bool(theta[2] > 1.0)),
    Family("exponential", _exponential, _exponential_starts, _exponential_when, lambda theta: bool(theta[1] > 0.0)),
    Family("finite-time", _finite_time, _finite_time_starts, _finite_time_when, lambda theta: True),
)


@dataclass(frozen=True)
class Fit:
    """One family fitted: parameters, values on the asinh scale [N], their residuals [N] and mean square."""

    family: Family
    theta: Array
    fitted: Array
    residuals: Array

    @property
    def mse(self) -> float:
        """Mean squared residual, on the asinh scale."""
        return max(float(np.mean(self.residuals**2)), SMALLEST_MSE)


@dataclass(frozen=True)
class Fits:
    """All families fitted to one series, with their AICc weights.

    Attributes:
        first: time of the first point, in environment steps.
        span: environment steps from the first point to the last.
        scale: s, in units of the series.
        u: rescaled times [N].
        fits: one for each family that could be fitted.
        weights: of each fit, summing to 1.
    """

    first: float
    span: float
    scale: float
    u: Array
    fits: tuple[Fit, ...]
    weights: tuple[float, ...]

    @property
    def best(self) -> Fit:
        """The fit of largest weight."""
        return self.fits[int(np.argmax(self.weights))]

    @property
    def exploding(self) -> float:
        """Weight of the models that grow faster than linearly for good."""
        return sum(
            weight for fit, weight in zip(self.fits, self.weights, strict=True) if fit.family.explodes(fit.theta)
        )

    def at(self, fit: Fit, step: float) -> float:
        """The fitted value at an environment step, in units of the series."""
        u = np.array([(step - self.first) / self.span])
        with np.errstate(over="ignore"):  # beyond float64 is beyond every ceiling
            return float(self.scale * fit.family.curve(fit.theta, u)[0])

    def step_of(self, fit: Fit, level: float) -> float:
        """The environment step at which a fit reaches ``level``; inf if never."""
        return self.first + self.span * fit.family.when(fit.theta, level / self.scale)

    def rate(self) -> float:
        """Relative growth per 1,000 steps at the last point, by the best fit: d ln|y| / dt."""
        curve, theta = self.best.family.curve, self.best.theta
        before, now = (float(value) for value in curve(theta, np.array([0.999, 1.0])))
        return 1000.0 * (now - before) / (0.001 * self.span * max(abs(now), 1e-12))


def fit_growth(steps: Sequence[float], values: Sequence[float]) -> Fits:
    """Fit every family to ``values`` at environment ``steps`` and weigh them.

    Raises:
        ValueError: fewer than 12 points, or no time passes between them.
    """
    t, y = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    if len(t) < MIN_POINTS or t[-1] <= t[0]:
        raise ValueError(f"{len(t)} points: a growth fit needs {MIN_POINTS} at rising steps")
    u, s = (t - t[0]) / (t[-1] - t[0]), noise_scale(y)
    fits = tuple(fit for family in FAMILIES if (fit := fit_family(family, u, y / s)) is not None)
    return Fits(float(t[0]), float(t[-1] - t[0]), s, u, fits, tuple(aicc_weights(fits)))


def noise_scale(y: Array) -> float:
    """SD of the noise of the smaller half of the values, from their second differences; never 0."""
    half = y[np.sort(np.argsort(np.abs(y), kind="stable")[: max(len(y) // 2, 6)])]
    noise = 1.4826 * float(np.median(np.abs(np.diff(half, 2)))) / math.sqrt(6.0)
    return max(noise, 1e-9 * float(np.abs(y).max()), 1e-12)


def fit_family(family: Family, u: Array, y: Array, starts: list[list[float]] | None = None) -> Fit | None:
    """Least squares on the asinh scale from each of the starts; None where every one fails."""
    from scipy.optimize import leastsq  # imported at the first fit: it takes half a second

    z = np.arcsinh(y)

    def residuals(theta: Array) -> Array:
        fitted: Array = np.arcsinh(family.curve(theta, u))
        return np.nan_to_num(z - fitted, nan=1e3, posinf=1e3, neginf=-1e3)

    best: Fit | None = None
    for start in starts if starts is not None else family.starts(u, y):
        with np.errstate(all="ignore"):
            theta, _, _, _, status = leastsq(residuals, start, full_output=True, maxfev=400)
        if status not in (1, 2, 3, 4, 5):
            continue
        left = residuals(theta)
        fit = Fit(family, np.asarray(theta, np.float64), z - left, left)
        if best is None or fit.mse < best.mse:
            best = fit
    return best


def aicc_weights(fits: Sequence[Fit]) -> list[float]:
    """Akaike weights by AICc, the likelihood counting only the independent points."""
    n = len(fits[0].residuals)
    independent = independent_share(min(fits, key=lambda fit: fit.mse).residuals)
    scores = []
    for fit in fits:
        k = len(fit.theta) + 1
        scores.append(independent * n * math.log(fit.mse) + 2.0 * k + 2.0 * k * (k + 1) / (n - k - 1))
    likelihoods = [math.exp(-(score - min(scores)) / 2.0) for score in scores]
    return [value / sum(likelihoods) for value in likelihoods]


def independent_share(residuals: Array) -> float:
    """(1 - rho) / (1 + rho) of the residuals' lag-1 autocorrelation rho, at least 1/19."""
    centred = residuals - residuals.mean()
    variance = float(centred @ centred)
    rho = float(centred[1:] @ centred[:-1]) / variance if variance > 0.0 else 0.0
    rho = min(max(rho, 0.0), 0.9)
    return (1.0 - rho) / (1.0 + rho)
