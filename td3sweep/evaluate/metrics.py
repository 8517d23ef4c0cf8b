"""Driving metrics of one episode, and totals with 95 % intervals over all of them.

The formulas are told in docs/evaluation.md. Shares are in [0, 1]; driving scores run to 100, as the leaderboard's do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from td3sweep.collect.evaluation import EpisodeOutcome
from td3sweep.envs.carla.state import DriveState
from td3sweep.stats import ALPHA, DRAWS, Estimate, bootstrapped, resampled, wilson

COMFORTABLE_JERK = 5.0  # m/s^3: where the reward's comfort term turns negative
# Kind of what was hit by the beginning of its type; anything else is static. Factors of the leaderboard 2.0,
# evaluation_v2 and evaluation_v2_1 on leaderboard.carla.org, and summands of 2.1.
KINDS = {"vehicle.": "vehicle", "walker.": "pedestrian"}
FACTORS_2_0 = {"pedestrian": 0.5, "vehicle": 0.6, "static": 0.65}
SUMMANDS_2_1 = {"pedestrian": 1.0, "vehicle": 0.7, "static": 0.6}
SCORE_COVERS = (
    "Covered: collisions and driving outside the route's lane. Not covered, as these routes have none of it: red "
    "lights, stop signs, scenario time-outs, emergency vehicles, minimum speed. An episode ends at its first "
    "collision, where the leaderboard drives on."
)
MEANS = ("return", "length", "route_completion", "speed", "jerk", "comfort", "outside_lane")
SCORES = ("driving_score/leaderboard_2.0", "driving_score/leaderboard_2.1")
COUNTS = ("collisions", "lane_invasions", "lane_departures")


def measure(outcome: EpisodeOutcome, ticks: Sequence[DriveState]) -> dict[str, Any]:
    """The metrics of one episode; those of driving only where the environment told of its ``ticks``."""
    info = outcome.info
    found: dict[str, Any] = {
        "end": str(info.get("end", "")),
        "return": outcome.total,
        "length": outcome.length,
        "success": bool(info.get("success", False)),
    }
    if not ticks:
        return found
    dt = float(info["fixed_delta"])
    speeds = np.array([tick.speed for tick in ticks])
    outside = np.array([abs(tick.lateral) > tick.half_lane for tick in ticks])
    metres = speeds * dt
    driven = float(metres.sum())
    outside_share = float(metres[outside].sum()) / driven if driven > 0 else 0.0
    hits = collisions(ticks)
    completion = float(info["route_fraction"])
    longitudinal = jerks(speeds, dt)
    return found | {
        "route_completion": completion,
        "route_length": float(info["route_length"]),
        "km": driven / 1000.0,
        "seconds": len(ticks) * dt,
        "speed": float(speeds.mean()),
        "jerk": float(np.sqrt(np.mean(longitudinal**2))) if longitudinal.size else 0.0,
        "comfort": float(np.mean(np.abs(longitudinal) <= COMFORTABLE_JERK)) if longitudinal.size else 1.0,
        "outside_lane": outside_share,
        "collisions": len(hits),
        "collided_with": hits,
        "lane_invasions": sum(tick.crossings for tick in ticks),
        "lane_departures": sum(tick.lane_invasion for tick in ticks),
        SCORES[0]: driving_score_2_0(completion, hits, outside_share),
        SCORES[1]: driving_score_2_1(completion, hits, outside_share),
    }


def jerks(speeds: ArrayLike, dt: float) -> Any:
    """Longitudinal jerk (n - 2,), m/s^3: second differences of the speed (n,) in m/s, one every ``dt`` seconds."""
    return np.diff(np.asarray(speeds, float), n=2) / dt**2


def collisions(ticks: Sequence[DriveState]) -> list[str]:
    """Kind of each thing hit; ticks of contact in a row with the same type are one collision."""
    found, before = [], ""
    for tick in ticks:
        if tick.hit and tick.hit != before:
            found.append(next((kind for start, kind in KINDS.items() if tick.hit.startswith(start)), "static"))
        before = tick.hit
    return found


def driving_score_2_0(completion: float, hits: Sequence[str], outside: float) -> float:
    """Leaderboard 2.0: completion times a product with one factor a collision and the share driven in lane."""
    factors = [FACTORS_2_0[kind] for kind in hits]
    return float(100.0 * completion * np.prod(factors) * (1.0 - outside))


def driving_score_2_1(completion: float, hits: Sequence[str], outside: float) -> float:
    """Leaderboard 2.1: completion over one plus a summand a collision, times the share driven in lane."""
    return float(100.0 * completion / (1.0 + sum(SUMMANDS_2_1[kind] for kind in hits)) * (1.0 - outside))


def totals(episodes: Sequence[Mapping[str, Any]]) -> dict[str, Estimate]:
    """Every metric over all episodes, with its 95 % interval.

    Success has Wilson's interval, means have the bootstrap's over episodes; for rates a km see :func:`rate`.
    """
    found = {"success": wilson(sum(episode["success"] for episode in episodes), len(episodes))}
    for key in (*MEANS, *SCORES):
        if key in episodes[0]:
            found[key] = mean([episode[key] for episode in episodes])
    if "km" in episodes[0]:
        km = [episode["km"] for episode in episodes]
        found |= {f"{key}_per_km": rate([episode[key] for episode in episodes], km) for key in COUNTS}
    return found


def mean(values: Sequence[float]) -> Estimate:
    """Mean with the bootstrap's percentile interval; fewer than five episodes have none."""
    average: Callable[..., Any] = np.mean
    return bootstrapped(values, [0] * len(values), average)


def rate(counts: Sequence[int], km: Sequence[float]) -> Estimate:
    """Events a km over all episodes, with the wider at each end of two 95 % intervals.

    Poisson's exact one knows that no event in few km proves little; the bootstrap over episodes, that events of one
    episode come together.
    """
    count, way = sum(counts), sum(km)
    if way <= 0:
        return Estimate(float("nan"), None, None)
    low = float(stats.chi2.ppf(ALPHA / 2, 2 * count) / 2 / way) if count else 0.0
    high = float(stats.chi2.ppf(1 - ALPHA / 2, 2 * count + 2) / 2 / way)
    picked = resampled([0] * len(km), DRAWS, np.random.default_rng(0))
    drawn_km = np.asarray(km, float)[picked].sum(axis=1)
    drawn = np.asarray(counts, float)[picked].sum(axis=1)[drawn_km > 0] / drawn_km[drawn_km > 0]
    below, above = np.percentile(drawn, [100 * ALPHA / 2, 100 * (1 - ALPHA / 2)])
    return Estimate(count / way, min(low, float(below)), max(high, float(above)))
