"""Curves made small: a run's with its extremes kept, a group's as IQM with its interval on a common grid."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from td3sweep.report.runs import Series
from td3sweep.stats import ALPHA, Floats, iqm, resampled

BUCKETS = 60  # of a run's curve; at most two points each
GRID = 40  # points of a group's curve
DRAWS = 200


def thinned(steps: Floats, values: Floats, buckets: int = BUCKETS) -> Series:
    """At most two points a bucket, its smallest and its largest, and both ends of the curve."""
    if steps.size <= 2 * buckets:
        return steps, values
    edges = np.linspace(0, steps.size, buckets + 1).astype(int)
    kept = {0, steps.size - 1}
    for low, high in pairwise(edges):
        kept |= {low + int(values[low:high].argmin()), low + int(values[low:high].argmax())}
    places = np.array(sorted(kept))
    return steps[places], values[places]


def grid(curves: Sequence[Series]) -> Floats:
    """The centres of equal spans over all the curves' steps, (m,)."""
    low = min((float(steps.min()) for steps, _ in curves), default=0.0)
    high = max((float(steps.max()) for steps, _ in curves), default=1.0)
    edges = np.linspace(low, high + 1e-9, GRID + 1)
    return np.asarray((edges[1:] + edges[:-1]) / 2)


def on_grid(curve: Series, centres: Floats) -> Floats:
    """Means of a run's values over each span of the grid, (m,); NaN where it logged nothing, before or after."""
    steps, values = curve
    half = (centres[1] - centres[0]) / 2 if centres.size > 1 else 0.5
    place = np.clip(((steps - (centres[0] - half)) / (2 * half)).astype(int), 0, centres.size - 1)
    count = np.bincount(place, minlength=centres.size)
    total = np.bincount(place, weights=values, minlength=centres.size)
    filled = np.flatnonzero(count)
    means = np.full(centres.size, np.nan)
    if filled.size:  # a span between two logs lies on the line between them
        inside = np.arange(filled[0], filled[-1] + 1)
        means[inside] = np.interp(inside, filled, total[filled] / count[filled])
    return means


def grouped(curves: Sequence[Series], strata: Sequence[str], centres: Floats) -> tuple[Floats, Floats, Floats]:
    """IQM and its pointwise 95 % stratified bootstrap interval, each (m,); NaN where fewer than half the runs are."""
    table = np.array([on_grid(curve, centres) for curve in curves])
    picked = resampled(list(strata), DRAWS, np.random.default_rng(0))
    with np.errstate(all="ignore"):
        middle, drawn = iqm(table, axis=0), iqm(table[picked], axis=1)
        drawn = np.where(np.isnan(drawn), middle, drawn)
    low, high = np.percentile(drawn, [100 * ALPHA / 2, 100 * (1 - ALPHA / 2)], axis=0)
    thin = (~np.isnan(table)).mean(axis=0) < 0.5
    return np.where(thin, np.nan, middle), np.where(thin, np.nan, low), np.where(thin, np.nan, high)
