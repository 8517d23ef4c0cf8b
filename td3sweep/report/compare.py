"""Which factor changed which outcome: matched runs, one family of tests, Holm's correction over all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
import pandas as pd

from td3sweep import stats
from td3sweep.report.factors import Factor
from td3sweep.report.frame import DIVERGED, FAILED, SCORE, STEPS, exact
from td3sweep.stats import ALPHA, Estimate, Floats

OUTCOMES = (DIVERGED, SCORE)
MATCHED, UNMATCHED, SAMPLED = "matched", "unmatched", "sampled"
ENOUGH = 6  # pairs from which a sign-flip test can come below 5 %


@dataclass(frozen=True)
class Side:
    """One level's runs: how many, their share that diverged or the IQM of their returns."""

    level: str
    runs: int
    count: int
    value: Estimate


@dataclass(frozen=True)
class Comparison:
    """One level of a factor against another, in one outcome.

    Attributes:
        side: the runs of ``level`` that the test rests on; ``base`` those of the other.
        design: ``matched`` compares runs that differ in nothing but this factor, seed for seed; ``unmatched``, where
            two configurations were run on other seeds, runs that differ in this factor and in the seed, a seed's
            repeats as one; ``sampled``, where neither can be had, the means of configurations, which differ in other
            settings or in the very value as well: an association, never a claim.
        units: pairs of runs, runs, or configurations that the test rests on; ``pairs`` counts the pairs in each case.
        seeds: how many different ones the runs of the test have.
        until: the step up to which divergence is compared, see :func:`watched`; None where no run went further.
        effect: mean difference (``level`` less ``base``), with its 95 % interval.
        p: of this comparison alone; ``adjusted`` for all comparisons of the report.
        least: the smallest p that a test of so many units can give.
        superiority: probability that a run of ``level`` returns more than one of ``base``; None for divergence.
    """

    factor: str
    outcome: str
    side: Side
    base: Side
    design: str
    units: int
    pairs: int
    seeds: int
    until: int | None
    effect: Estimate
    p: float
    adjusted: float
    least: float
    superiority: Estimate | None

    @property
    def claimed(self) -> bool:
        """Whether chance is ruled out at 5 % after correction, by runs that differ in nothing else."""
        return self.design != SAMPLED and self.adjusted <= ALPHA

    @property
    def associated(self) -> bool:
        """The same from configurations that differ in other settings, too."""
        return self.design == SAMPLED and self.adjusted <= ALPHA


@dataclass(frozen=True)
class Interaction:
    """How much the effect of one factor depends on another: a difference of differences."""

    first: str
    second: str
    outcome: str
    blocks: int
    effect: Estimate
    p: float
    adjusted: float


def comparisons(frame: pd.DataFrame, factors: Sequence[Factor]) -> list[Comparison]:
    """Every pair of levels of every factor in both outcomes; an outcome that never varies has nothing to compare."""
    found = []
    for outcome, factor in product(OUTCOMES, factors):
        known = frame[frame[outcome].notna() & frame[factor.name].notna()]
        if not _varies(known, outcome) or (outcome == SCORE and factor.rescales):
            continue
        for base, level in combinations(factor.levels, 2):
            others = [other for other in factors if other is not factor]
            one = _compare(known, outcome, factor, (level, base), others)
            if one is not None:
                found.append(one)
    adjusted = stats.holm([one.p for one in found])
    return [replace(one, adjusted=float(p)) for one, p in zip(found, adjusted, strict=True)]


def _compare(
    frame: pd.DataFrame, outcome: str, factor: Factor, levels: tuple[str, str], others: Sequence[Factor]
) -> Comparison | None:
    level, base = levels
    here, there = frame[frame[factor.name] == level], frame[frame[factor.name] == base]
    if here.empty or there.empty:
        return None
    keys = list(map(exact, others))
    weights = contrasts(frame, [*keys, "seed"], [factor.name], {(level,): 1.0, (base,): -1.0})
    pairs = len(weights)
    design = _design(here, there, pairs, alike=not factor.halved and _alike(here, there, keys))
    if design is None:
        return None
    if design == MATCHED:  # what has no partner counts nowhere
        used = frame.index[np.flatnonzero(weights.any(axis=0))]
        here, there = here.loc[here.index.isin(used)], there.loc[there.index.isin(used)]
    until = watched(pd.concat([here, there])) if outcome == DIVERGED else np.inf
    here, there = (_by(side, outcome, until) for side in (here, there))
    if design == MATCHED:
        values = pd.concat([here, there])[outcome].reindex(frame.index, fill_value=0.0).to_numpy(float)
        units, differences = pairs, weights @ values
        p, least = float(stats.sign_flip(differences)), stats.least_paired(pairs)
        both = np.maximum(weights, 0.0) @ values, np.maximum(-weights, 0.0) @ values
        effect = stats.newcombe_paired(*both) if outcome == DIVERGED else stats.paired(differences)
    else:
        one = _by_seed if design == UNMATCHED else _means
        x, y = (one(side, outcome) for side in (here, there))
        units = x.size + y.size
        effect, p = stats.unpaired(x, y)
        least = stats.least_unpaired(x.size, y.size)
        if design == UNMATCHED and outcome == DIVERGED:
            effect = stats.newcombe(x.sum(), x.size, y.sum(), y.size)
    superiority = _superiority(here, there, others) if outcome == SCORE else None
    return Comparison(
        factor.name,
        outcome,
        _side(here, level, outcome, others),
        _side(there, base, outcome, others),
        design,
        units,
        pairs,
        _by_seed(pd.concat([here, there]), outcome).size,
        int(until) if until < max(here[STEPS].max(), there[STEPS].max()) else None,
        effect,
        p,
        p,
        least,
        superiority,
    )


def _varies(frame: pd.DataFrame, outcome: str) -> bool:
    values = np.isinf(frame[FAILED]) if outcome == DIVERGED else frame[outcome]
    return bool(values.nunique() > 1)


def watched(frame: pd.DataFrame) -> float:
    """The step up to which all of these runs were watched: where the first of those that did not fail ended.

    Later on only failures would be known, so that a level whose sound runs were ended early would seem to fail more.
    """
    sound = frame.loc[np.isinf(frame[FAILED]), STEPS]
    return float(sound.min()) if len(sound) else np.inf


def _by(side: pd.DataFrame, outcome: str, until: float) -> pd.DataFrame:
    """The runs with what is compared: of divergence, whether it came by the step ``until``."""
    return side.assign(**{DIVERGED: (side[FAILED] <= until).astype(float)}) if outcome == DIVERGED else side


def _design(here: pd.DataFrame, there: pd.DataFrame, pairs: int, *, alike: bool) -> str | None:
    """How two levels can be compared, if at all; ``alike``: their runs agree in all else but the seed."""
    seeds = min(_seeds(side).nunique() for side in (here, there))
    configurations = min(side["configuration"].nunique() for side in (here, there))
    if pairs < ENOUGH and 2 <= seeds > pairs and alike:
        return UNMATCHED
    if pairs >= ENOUGH or (pairs and configurations < ENOUGH / 2):
        return MATCHED
    return SAMPLED if configurations >= 2 else None


def _alike(here: pd.DataFrame, there: pd.DataFrame, keys: Sequence[str]) -> bool:
    """Whether all runs of both sides agree in every other factor."""
    return not keys or len(pd.concat([here, there])[list(keys)].drop_duplicates()) == 1


def contrasts(
    frame: pd.DataFrame, keys: Sequence[str], names: Sequence[str], weights: Mapping[tuple[str, ...], float]
) -> Floats:
    """Weights (blocks, runs) by which outcomes (runs,) become one matched contrast a block.

    Args:
        frame: the tidy frame.
        keys: what the runs of a block agree in.
        names: the factors contrasted.
        weights: of each combination of their levels; a block that lacks one of these is left out, and repeats of one
            are averaged.
    """
    blocks: dict[tuple[object, ...], dict[tuple[str, ...], list[int]]] = {}
    agreed = frame[list(keys)].itertuples(index=False, name=None)
    levels = frame[list(names)].itertuples(index=False, name=None)
    for place, (key, cell) in enumerate(zip(agreed, levels, strict=True)):
        blocks.setdefault(key, {}).setdefault(cell, []).append(place)
    whole = [cells for cells in blocks.values() if weights.keys() <= cells.keys()]
    rows = np.zeros((len(whole), len(frame)))
    for row, cells in zip(rows, whole, strict=True):
        for cell, weight in weights.items():
            row[cells[cell]] = weight / len(cells[cell])
    return rows


def _seeds(side: pd.DataFrame) -> pd.Series[int]:
    """The seed of each run; one whose seed is not known stands for itself."""
    seeds: pd.Series[int] = side["seed"].where(side["seed"] >= 0, -1 - side.index)
    return seeds


def _by_seed(side: pd.DataFrame, outcome: str) -> Floats:
    """The outcome of each seed: its runs averaged."""
    return side.groupby(_seeds(side))[outcome].mean().to_numpy(float)


def _means(side: pd.DataFrame, outcome: str) -> Floats:
    """The outcome of each configuration: its seeds averaged."""
    return side.groupby("configuration")[outcome].mean().to_numpy(float)


def _side(side: pd.DataFrame, level: str, outcome: str, others: Sequence[Factor]) -> Side:
    values = side[outcome].to_numpy(float)
    if outcome == DIVERGED:
        count = int(values.sum())
        return Side(level, values.size, count, stats.wilson(count, values.size))
    return Side(level, values.size, values.size, stats.bootstrapped(values, strata(side, others)))


def strata(frame: pd.DataFrame, others: Sequence[Factor]) -> list[str]:
    """The strata of a bootstrap: runs that agree in the other factors, as far as these are categories.

    A number of many values was drawn at random: it is a part of what varies, not a stratum.
    """
    names = [factor.name for factor in others if not factor.halved]
    rows = frame[names].itertuples(index=False)
    return ["|".join(map(str, row)) for row in rows] if names else [""] * len(frame)


def _superiority(here: pd.DataFrame, there: pd.DataFrame, others: Sequence[Factor]) -> Estimate:
    """Probability of improvement over the configurations that both levels were tried in, else over all runs."""
    sides = []
    for side in (here, there):
        sides.append(pd.Series(side[SCORE].to_numpy(float), index=strata(side, others)))
    shared = [name for name in sides[0].index.unique() if name in sides[1].index]
    if not shared:
        return stats.improvement([(sides[0].to_numpy(), sides[1].to_numpy())])
    return stats.improvement([(sides[0][[name]].to_numpy(), sides[1][[name]].to_numpy()) for name in shared])


def interactions(frame: pd.DataFrame, factors: Sequence[Factor]) -> list[Interaction]:
    """For every two factors of two levels: does the effect of one depend on the other? A family of its own.

    The contrast y11 - y10 - y01 + y00 is symmetric about 0 where the effects add, so its sign may be flipped.
    """
    found = []
    two = [factor for factor in factors if len(factor.levels) == 2]
    for outcome, (first, second) in product(OUTCOMES, combinations(two, 2)):
        if outcome == SCORE and (first.rescales or second.rescales):
            continue
        keys = [exact(factor) for factor in factors if factor not in (first, second)] + ["seed"]
        known = frame[frame[outcome].notna()]
        if not _varies(known, outcome):
            continue
        cells = product(first.levels, second.levels)
        weights: dict[tuple[str, ...], float] = dict(zip(cells, (1.0, -1.0, -1.0, 1.0), strict=True))
        rows = contrasts(known, keys, [first.name, second.name], weights)
        if len(rows) < 2:
            continue
        until = watched(known[rows.any(axis=0)]) if outcome == DIVERGED else np.inf
        contrast = rows @ _by(known, outcome, until)[outcome].to_numpy(float)
        p = float(stats.sign_flip(contrast))
        found.append(Interaction(first.name, second.name, outcome, len(contrast), stats.paired(contrast), p, p))
    adjusted = stats.holm([one.p for one in found])
    return [replace(one, adjusted=float(p)) for one, p in zip(found, adjusted, strict=True)]
