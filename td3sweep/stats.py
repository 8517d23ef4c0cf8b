"""Statistics of few, noisy, matched runs: pure functions over arrays, SciPy where it has them.

IQM, performance profiles and probability of improvement follow Agarwal et al. (NeurIPS 2021), with its stratified
bootstrap: runs are drawn anew within each configuration. Intervals are 95 % unless told otherwise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
ALPHA = 0.05
DRAWS = 2000
FEW = 5  # runs below which a bootstrap has too little to draw from
FEWEST = 3  # runs of a stratum that can be drawn anew by themselves
EXACT = 12  # pairs up to which every one of the 2^n sign flips is tried
FLIPS = 4999  # random ones beyond


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; bounds are None where the data are too few to give one."""

    value: float
    low: float | None
    high: float | None


def iqm(values: ArrayLike, axis: int = -1) -> Floats:
    """Interquartile mean: the floor(n/4) smallest and largest are left out; NaN counts for nothing."""
    ordered = np.sort(np.moveaxis(np.asarray(values, float), axis, -1), axis=-1)  # NaN goes last
    count = (~np.isnan(ordered)).sum(-1)
    cut = count // 4
    rank = np.arange(ordered.shape[-1])
    kept = (rank >= cut[..., None]) & (rank < (count - cut)[..., None])
    total = np.where(kept, np.nan_to_num(ordered), 0.0).sum(-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / (count - 2 * cut))


def resampled(strata: Sequence[Any] | NDArray[Any], draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices (draws, n) of a stratified bootstrap: each stratum is drawn from itself, with replacement.

    A stratum of one run has nothing to vary: those of fewer than three are drawn from as one, and if that has fewer
    than three, too, all are.
    """
    codes = np.unique(np.asarray(strata), return_inverse=True)[1]
    small = np.bincount(codes)[codes] < FEWEST
    if small.any():
        codes = np.zeros_like(codes) if small.sum() < FEWEST else np.where(small, codes.max() + 1, codes)
    picked = np.empty((draws, codes.size), np.intp)
    for code in np.unique(codes):
        members = np.flatnonzero(codes == code)
        picked[:, members] = members[rng.integers(0, members.size, (draws, members.size))]
    return picked


def bootstrapped(
    values: ArrayLike,
    strata: Sequence[Any] | NDArray[Any],
    statistic: Callable[..., Floats] = iqm,
    draws: int = DRAWS,
) -> Estimate:
    """A statistic of a sample (n,) with the percentile interval of a stratified bootstrap, from five runs on."""
    sample = np.asarray(values, float)
    if sample.size < FEW:
        return Estimate(float(statistic(sample, axis=-1)), None, None)
    picked = resampled(strata, draws, np.random.default_rng(0))
    low, high = np.percentile(statistic(sample[picked], axis=-1), [100 * ALPHA / 2, 100 * (1 - ALPHA / 2)])
    return Estimate(float(statistic(sample, axis=-1)), float(low), float(high))


def profile(values: ArrayLike, thresholds: ArrayLike) -> Floats:
    """Performance profile: the share of runs (n,) whose score exceeds each threshold (m,)."""
    return np.asarray((np.asarray(values, float)[:, None] > np.asarray(thresholds, float)).mean(axis=0))


def improvement(pairs: Sequence[tuple[ArrayLike, ArrayLike]], draws: int = DRAWS) -> Estimate:
    """Probability that a run of X beats one of Y, ties counting half: the mean over strata of U / (n m).

    Args:
        pairs: for each stratum (configuration, task) the scores of X and those of Y.
        draws: of the stratified bootstrap behind the interval; there is none where a side has fewer than three runs.
    """
    rng = np.random.default_rng(0)
    values, drawn = [], []
    for first, second in pairs:
        x, y = np.asarray(first, float), np.asarray(second, float)
        values.append(float(_beats(x[None], y[None])[0]))
        many = (x[rng.integers(0, x.size, (draws, x.size))], y[rng.integers(0, y.size, (draws, y.size))])
        drawn.append(_beats(*many))
    if min(np.size(side) for pair in pairs for side in pair) < FEWEST:
        return Estimate(float(np.mean(values)), None, None)
    low, high = np.percentile(np.mean(drawn, axis=0), [100 * ALPHA / 2, 100 * (1 - ALPHA / 2)])
    return Estimate(float(np.mean(values)), float(low), float(high))


def _beats(x: Floats, y: Floats) -> Floats:
    """For each row the share of pairs in which x (draws, n) beats y (draws, m)."""
    above, level = x[:, :, None] > y[:, None, :], x[:, :, None] == y[:, None, :]
    return np.asarray((above + 0.5 * level).mean(axis=(1, 2)))


def wilson(count: float, of: int) -> Estimate:
    """A share with Wilson's score interval; where repeats were averaged the count need not be whole."""
    if of == 0:
        return Estimate(float("nan"), None, None)
    share, z2 = count / of, float(stats.norm.ppf(1 - ALPHA / 2)) ** 2
    middle, reach = share + z2 / (2 * of), np.sqrt(z2 * (share * (1 - share) / of + z2 / (4 * of * of)))
    low, high = (middle - reach) / (1 + z2 / of), (middle + reach) / (1 + z2 / of)
    return Estimate(share, float(np.clip(low, 0.0, share)), float(np.clip(high, share, 1.0)))


def newcombe(count: float, of: int, base_count: float, base_of: int) -> Estimate:
    """Difference of two shares with Newcombe's (1998, method 10) interval, built from Wilson's two."""
    return _difference(wilson(count, of), wilson(base_count, base_of))


def newcombe_paired(first: ArrayLike, second: ArrayLike) -> Estimate:
    """Difference of two shares of the same pairs with Newcombe's (1998, Statistics in Medicine 17:2635) method 10.

    Args:
        first: (n,) 1 where it happened to the first of a pair, a mean where that was repeated.
        second: (n,) the same of the second.
    """
    x, y = np.asarray(first, float), np.asarray(second, float)
    n, one, two = x.size, wilson(float(x.sum()), x.size), wilson(float(y.sum()), y.size)
    margins = n**4 * one.value * (1.0 - one.value) * two.value * (1.0 - two.value)
    joint = n * float(x @ y) - n * one.value * n * two.value  # ad - bc of the fourfold table
    joint = max(joint - n / 2, 0.0) if joint > 0.0 else joint
    return _difference(one, two, joint / np.sqrt(margins) if margins > 0.0 else 0.0)


def _difference(one: Estimate, two: Estimate, phi: float = 0.0) -> Estimate:
    """One share less another, whose outcomes correlate by ``phi``, by squaring and adding their intervals."""
    difference = one.value - two.value
    if one.low is None or one.high is None or two.low is None or two.high is None:
        return Estimate(difference, None, None)

    def reach(mine: float, other: float) -> float:
        return float(np.sqrt(max(mine**2 - 2.0 * phi * mine * other + other**2, 0.0)))

    below, above = reach(one.value - one.low, two.high - two.value), reach(one.high - one.value, two.value - two.low)
    return Estimate(difference, difference - below, difference + above)


def holm(p: ArrayLike) -> Floats:
    """Holm's (1979) step-down correction: the family-wise error stays below alpha whatever the dependence."""
    raw = np.asarray(p, float)
    order = np.argsort(raw)
    stepped = np.maximum.accumulate(raw[order] * np.arange(raw.size, 0, -1))
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


@cache
def _signs(pairs: int) -> Floats:
    """Sign flips (m, pairs): all of them, or random ones beside the flip of nothing."""
    if pairs <= EXACT:
        return np.asarray(1.0 - 2.0 * ((np.arange(2**pairs)[:, None] >> np.arange(pairs)) & 1))
    random = np.random.default_rng(0).integers(0, 2, (FLIPS, pairs)) * 2.0 - 1.0
    return np.concatenate([np.ones((1, pairs)), random])


def sign_flip(differences: ArrayLike) -> Floats:
    """Two-sided p of paired differences (..., n) by flipping signs; exact up to 12 pairs.

    Under the null hypothesis the two members of a pair may change places. For differences of -1, 0 and 1 this is the
    exact McNemar test.
    """
    d = np.asarray(differences, float)
    flipped = np.abs(d @ _signs(d.shape[-1]).T)
    observed = np.abs(d.sum(-1))[..., None]
    return np.asarray((flipped >= observed - 1e-9 * (1.0 + observed)).mean(-1))


def least_paired(pairs: int) -> float:
    """The smallest p that :func:`sign_flip` can give."""
    return 1.0 / (FLIPS + 1) if pairs > EXACT else 2.0 ** (1 - pairs)


def least_unpaired(first: int, second: int) -> float:
    """The smallest p that :func:`unpaired` can give to samples of these sizes."""
    ways = comb(first + second, first)
    return min(2.0 / (ways if ways <= FLIPS else FLIPS + 1), 1.0)


def paired(differences: ArrayLike) -> Estimate:
    """Mean paired difference (n,) with the interval of all shifts that :func:`sign_flip` does not reject.

    Below six pairs no shift can be rejected at 5 %: there is no interval.
    """
    d = np.asarray(differences, float)
    centre = float(d.mean())
    if 2.0 / 2**d.size > ALPHA:
        return Estimate(centre, None, None)
    reach = float(np.ptp(d)) * 2.0
    return Estimate(centre, _edge(d, centre, -reach), _edge(d, centre, reach))


def _edge(d: Floats, centre: float, reach: float) -> float:
    """The shift farthest from the mean, towards ``centre + reach``, that is not rejected: bisection."""
    inside, outside = 0.0, reach
    for _ in range(40):
        middle = (inside + outside) / 2
        if float(sign_flip(d - centre - middle)) > ALPHA:
            inside = middle
        else:
            outside = middle
    return centre + inside


def unpaired(first: ArrayLike, second: ArrayLike) -> tuple[Estimate, float]:
    """Difference of the means of two independent samples, its permutation p, and from five a side on its bootstrap
    interval."""
    x, y = np.asarray(first, float), np.asarray(second, float)

    def difference(a: Floats, b: Floats, axis: int = -1) -> Floats:
        return np.asarray(a.mean(axis) - b.mean(axis))

    p = float(stats.permutation_test((x, y), difference, vectorized=True, n_resamples=FLIPS, rng=0).pvalue)
    if min(x.size, y.size) < FEW:
        return Estimate(float(x.mean() - y.mean()), None, None), p
    values, strata = np.concatenate([x, y]), [0] * x.size + [1] * y.size
    picked = values[resampled(strata, DRAWS, np.random.default_rng(0))]
    drawn = difference(picked[:, : x.size], picked[:, x.size :])
    low, high = np.percentile(drawn, [100 * ALPHA / 2, 100 * (1 - ALPHA / 2)])
    return Estimate(float(x.mean() - y.mean()), float(low), float(high)), p


def survival(times: ArrayLike, happened: ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
    """Kaplan-Meier curve: times, share still without the event after each, and its interval (log-log).

    Args:
        times: (n,) step of the event, or of the last observation.
        happened: (n,) whether it was the event.
    """
    t, event = np.asarray(times, float), np.asarray(happened, bool)
    curve: Any = stats.ecdf(stats.CensoredData(uncensored=t[event], right=t[~event])).sf
    with warnings.catch_warnings():  # Greenwood's formula says nothing where the share is 0 or 1: Wilson's does
        warnings.simplefilter("ignore", RuntimeWarning)
        interval = curve.confidence_interval(1 - ALPHA, method="log-log")
    steps = np.asarray(curve.quantiles, float)
    share = np.asarray(curve.probabilities, float)
    low, high = (np.asarray(side.probabilities, float) for side in (interval.low, interval.high))
    least, most = wilson(t.size, t.size).low or 0.0, wilson(0, t.size).high or 1.0
    low = np.where(np.isnan(low), np.where(share == 1.0, least, 0.0), low)
    high = np.where(np.isnan(high), np.where(share == 0.0, most, 1.0), high)
    return steps, share, low, high
