"""How well the monitor tells growth that explodes from growth that does not, on series whose law is known.

``python -m benchmarks.monitor`` prints (a) when the detectors fire on the synthetic version of the described
system's log, and (b) how often D3 fires on growth of every law, and how often 90 % forecasts hold. Thresholds were
set on even seeds; what is printed are odd seeds (``--calibration``: even ones).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3sweep.monitor.explosion import Explosion, Limits
from td3sweep.monitor.forecast import HIGH, LOW, redraw, values_at
from td3sweep.monitor.growth import fit_growth
from td3sweep.monitor.verdict import Monitor

Array = NDArray[np.float64]
BOUND = 100.0  # value bound of the synthetic runs: R_max 1, gamma .99
POINTS = (20, 50, 150)
NOISES = (0.03, 0.1, 0.3)
CORRELATION = 0.6  # of the noise from one row to the next
Law = Callable[[Array, np.random.Generator], Array]


# (a) the described system's log


def described_log(seed: int = 0) -> Iterator[tuple[int, dict[str, float]]]:
    """Rows of the synthetic log: actor Q = c (t - 625)^5.95 with 1.8e6 at step 5,000, target and critic about 15."""
    rng = np.random.default_rng(seed)
    for step in range(1100, 5001, 100):
        target, critic = 15.0 + 3.0 * rng.standard_normal(2)
        actor = 1.8e6 * ((step - 625) / 4375.0) ** 5.95
        yield step, {"q/actor": actor, "q/q1": critic, "q/q2": critic, "q/target": target, "q/target_sd": 3.0}


def described_episodes(seed: int = 0) -> Iterator[tuple[int, str, float, float]]:
    """Episodes of the same log as (step, phase, length, speed): about 57 steps, then 17, then 2 or 3 standing still."""
    rng = np.random.default_rng(seed)
    step = 0
    while step < 5000:
        phase, usual, speed = ("warm-up", 57.0, 4.0) if step < 1000 else ("learning", 17.0, 4.0)
        if step > 3001:
            phase, usual, speed = "after-evaluation", 2.5, 0.0
        length = max(2.0, round(usual * math.exp(0.3 * rng.standard_normal())) if speed else rng.integers(2, 4))
        step += int(length)
        yield step, phase, length, speed


def watch_seed_log(seed: int = 0) -> Monitor:
    """A monitor that has seen the whole synthetic log, rows and episodes in order."""
    monitor = Monitor(gamma=0.99)
    monitor.reward(20.0)
    episodes = list(described_episodes(seed))
    for step, row in described_log(seed):
        while episodes and episodes[0][0] <= step:
            at, phase, length, speed = episodes.pop(0)
            monitor.episode(at, length=length, ret=2.0 * length, phase=phase, speed=speed)
        monitor.watch(step, row)
    return monitor


def healthy_run(seed: int) -> Monitor:
    """A monitor that has seen a healthy run: Q rises and levels off below the bound, episodes first shorten, then last.

    Rewards are of one sign or both; the gap between actor and critic wanders, autocorrelated, about the advantage of
    the policy over the replayed actions, which grows with Q to at most .2 of it, as in the real runs of `gap_rules`.
    """
    rng = np.random.default_rng([seed, 7])
    monitor = Monitor(gamma=0.99)
    monitor.reward(1.0)
    sign, height, gap = rng.choice([-1.0, 1.0]), rng.uniform(10.0, 90.0), 0.0
    rate, dip, advantage = rng.uniform(500.0, 3000.0), rng.uniform(0.3, 1.0), rng.uniform(0.0, 0.2)
    next_row, next_evaluation, step = 1025, 1500, 0
    while step < 6000:
        learnt = max(step - 1000.0, 0.0)
        skill = 1.0 + 2.0 * (1.0 - math.exp(-learnt / 2000.0)) - dip * math.exp(-learnt / 400.0) * (learnt > 0)
        length = max(2.0, round(50.0 * max(skill, 0.1) * math.exp(0.3 * rng.standard_normal())))
        began, step = step, step + int(length)
        while next_row <= step:
            gap = 0.9 * gap + 0.007 * height * rng.standard_normal()
            learnt_q = height * (1.0 - math.exp(-(next_row - 1000.0) / rate))
            q = sign * learnt_q + 0.5 * rng.standard_normal()
            row = {"q/q1": q, "q/actor": q + gap + advantage * learnt_q, "q/target": q + 0.3 * rng.standard_normal()}
            monitor.watch(next_row, row | {"q/target_sd": 0.1 * height, "q/actor_max": row["q/actor"]})
            next_row += 25
        if not began < 1000 < step:
            monitor.episode(step, length=length, ret=length, phase="warm-up" if step <= 1000 else "learning", speed=5.0)
        if step >= next_evaluation:
            monitor.evaluation(step, 50.0 * skill * math.exp(0.2 * rng.standard_normal()))
            next_evaluation += 500
    return monitor


def healthy_runs(runs: int, odd: bool) -> dict[str, Any]:
    """Verdicts of so many healthy runs."""
    monitors = [healthy_run(2 * seed + odd) for seed in range(runs)]
    verdicts = [monitor.verdict for monitor in monitors]
    counts = {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}
    return {"runs": runs, "failed": sum(bool(monitor.failed) for monitor in monitors), "verdicts": counts}


# (b) growth of known law; every law maps u in [0, 1] to values in units of its own


def _exploding_rise(rng: np.random.Generator) -> float:
    """Growth factor over the run, log-uniform from 1e3 to 1e7: from 1 to 10 to 1e5 times the bound."""
    return float(np.exp(rng.uniform(math.log(1e3), math.log(1e7))))


def power(u: Array, rng: np.random.Generator) -> Array:
    """A power law of exponent 2 to 7 with an offset in time."""
    exponent = rng.uniform(2.0, 7.0)
    d = 1.0 / (_exploding_rise(rng) ** (1.0 / exponent) - 1.0)
    return np.asarray(((u + d) / d) ** exponent)


def exponential(u: Array, rng: np.random.Generator) -> Array:
    """An exponential."""
    return np.asarray(_exploding_rise(rng) ** u)


def finite_time(u: Array, rng: np.random.Generator) -> Array:
    """A hyperbola of exponent .5 to 2 whose pole lies beyond the run."""
    exponent = rng.uniform(0.5, 2.0)
    pole = 1.0 / (1.0 - _exploding_rise(rng) ** (-1.0 / exponent))
    return np.asarray((1.0 - u / pole) ** -exponent)


def constant(u: Array, rng: np.random.Generator) -> Array:
    """No growth."""
    return np.full_like(u, 30.0 ** rng.uniform(0.0, 1.0))


def linear(u: Array, rng: np.random.Generator) -> Array:
    """A straight line up or down."""
    return np.asarray(40.0 + rng.uniform(-38.0, 38.0) * u)


def noisy_linear(u: Array, rng: np.random.Generator) -> Array:
    """A straight line up, under additive noise as large as half its rise."""
    rise = rng.uniform(5.0, 40.0)
    return np.asarray(2.0 + rise * u + rng.uniform(0.1, 0.5) * rise * rng.standard_normal(len(u)))


def logistic(u: Array, rng: np.random.Generator) -> Array:
    """An S whose turn lies in the run, up to 60 % of the bound."""
    turn, width = rng.uniform(0.15, 0.7), rng.uniform(0.03, 0.15)
    return np.asarray(rng.uniform(5.0, 60.0) / (1.0 + np.exp((turn - u) / width)))


def plateau(u: Array, rng: np.random.Generator) -> Array:
    """A rise that levels off, up to 60 % of the bound."""
    return np.asarray(rng.uniform(5.0, 60.0) * (1.0 - np.exp(-u / rng.uniform(0.05, 0.4))))


def hump(u: Array, rng: np.random.Generator) -> Array:
    """Up and down again."""
    return np.asarray(1.0 + rng.uniform(5.0, 60.0) * np.exp(-(((u - rng.uniform(0.2, 0.6)) / 0.12) ** 2)))


def wander(u: Array, rng: np.random.Generator) -> Array:
    """The size of a random walk."""
    steps = rng.standard_normal(len(u)) * rng.uniform(2.0, 20.0) / math.sqrt(len(u))
    return np.abs(np.cumsum(steps))


EXPLODING: tuple[Law, ...] = (power, exponential, finite_time)
FITTED_CALM: tuple[Law, ...] = (constant, linear)
NEVER_FITTED: tuple[Law, ...] = (noisy_linear, logistic, plateau, hump, wander)


def draw(law: Law, points: int, noise: float, rng: np.random.Generator, irregular: bool) -> tuple[Array, Array]:
    """Steps and values of one run; noise is multiplicative and autocorrelated, sampling even or not."""
    u = np.linspace(0.0, 1.0, points)
    if irregular:
        u = np.sort(np.concatenate([[0.0, 1.0], rng.uniform(0.0, 1.0, points - 2)]))
    shocks = rng.standard_normal(points)
    scatter = np.zeros(points)
    for place in range(points):
        past = CORRELATION * scatter[place - 1] if place else 0.0
        scatter[place] = past + math.sqrt(1.0 - CORRELATION**2) * shocks[place]
    return 1000.0 + 4000.0 * u, law(u, rng) * np.exp(noise * scatter)


@dataclass(frozen=True)
class Case:
    """One synthetic run."""

    law: Law
    points: int
    noise: float
    irregular: bool
    seed: int

    def draw(self) -> tuple[Array, Array]:
        """Steps and values."""
        rng = np.random.default_rng([self.seed, self.points, round(1000 * self.noise), self.irregular])
        return draw(self.law, self.points, self.noise, rng, self.irregular)


def cases(laws: tuple[Law, ...], seeds: int, odd: bool) -> Iterator[Case]:
    """Every law x points x noise x sampling with so many seeds of one half."""
    for law in laws:
        for points in POINTS:
            for noise in NOISES:
                for irregular in (False, True):
                    for seed in range(int(odd), 2 * seeds, 2):
                        yield Case(law, points, noise, irregular, seed)


def first_alarm(steps: Array, values: Array, *, critic_known: bool) -> tuple[float | None, float | None]:
    """Step at which D3 fires in a run of that gap, or of that |actor Q|, and at which D1 would: the third above B."""
    d3 = Explosion()
    beyond = steps[values > BOUND]
    crossed = float(beyond[2]) if len(beyond) > 2 else None
    for step, value in zip(steps, values, strict=True):
        row = {"q/actor": 20.0 + value, "q/q1": 20.0} if critic_known else {"q/actor": value}
        if d3.update(round(step), row, Limits(BOUND))[1]:
            return float(step), crossed
    return None, crossed


def confusion(seeds: int, odd: bool) -> list[dict[str, Any]]:
    """For each law: runs, how many D3 called exploding, and what share of those beyond the bound it caught, when."""
    rows = []
    for law in (*EXPLODING, *FITTED_CALM, *NEVER_FITTED):
        for critic_known in (True, False):
            found = [first_alarm(*case.draw(), critic_known=critic_known) for case in cases((law,), seeds, odd)]
            alarms = [alarm for alarm, _ in found if alarm is not None]
            leads = [crossed - alarm for alarm, crossed in found if alarm is not None and crossed is not None]
            rows.append(
                {
                    "law": law.__name__,
                    "series": "gap" if critic_known else "actor",
                    "explodes": law in EXPLODING,
                    "runs": len(found),
                    "crossed": sum(crossed is not None for _, crossed in found),
                    "alarms": len(alarms),
                    "caught": sum(alarm is not None and crossed is not None for alarm, crossed in found),
                    "median_lead": float(np.median(leads)) if leads else None,
                }
            )
    return rows


def coverage(seeds: int, odd: bool) -> list[dict[str, Any]]:
    """For each law: how often the 90 % interval, fitted to the first part of a run, holds a later value.

    The part is 40 to 70 % of the run, the later value lies up to twice the observed span from its start.
    """
    rows = []
    for law in (*EXPLODING, *FITTED_CALM, *NEVER_FITTED):
        held = total = 0
        for case in cases((law,), seeds, odd):
            steps, values = case.draw()
            rng = np.random.default_rng([case.seed, 99])
            known = max(12, round(rng.uniform(0.4, 0.7) * len(steps)))
            reachable = np.flatnonzero(steps[known:] <= 2.0 * steps[known - 1] - steps[0])
            if not len(reachable):
                continue
            later = known + int(rng.choice(reachable))
            fits = fit_growth(list(steps[:known]), list(values[:known]))
            low, high = np.quantile(values_at(fits, redraw(fits), steps[later]), [LOW, HIGH])
            held += int(low <= values[later] <= high)
            total += 1
        rows.append(
            {"law": law.__name__, "fitted": law in (*EXPLODING, *FITTED_CALM), "forecasts": total, "held": held}
        )
    return rows


def wilson(hits: int, runs: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927)."""
    share, square = hits / runs, z * z / runs
    middle, half = share + square / 2, z * math.sqrt(share * (1 - share) / runs + square / (4 * runs))
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


def cost(rows: int = 2000) -> dict[str, float]:
    """Seconds per call of ``watch`` over a long healthy run, fits included: mean, and the dearest single one."""
    monitor, rng, spent = Monitor(gamma=0.99, clip="joint"), np.random.default_rng(0), []
    monitor.reward(1.0)
    for step in range(rows):
        row = {f"grad/{net}/{part}/{when}": 0.5 for net in ("actor", "critic") for part in ("cnn", "head", "joint")
               for when in ("before", "after")}  # fmt: skip
        row |= {"q/actor": 21 + rng.normal(), "q/q1": 20 + rng.normal(), "q/target": 20.0, "q/target_sd": 3.0}
        begun = time.perf_counter()
        monitor.watch(step, row)
        spent.append(time.perf_counter() - begun)
    return {"rows": rows, "mean_s": float(np.mean(spent[12:])), "first_100_mean_s": float(np.mean(spent[12:112])),
            "max_s": max(spent[12:])}  # fmt: skip


def validate(seeds: int, odd: bool = True) -> dict[str, Any]:
    """All numbers that this benchmark prints."""
    log = watch_seed_log()
    report = log.report()
    return {
        "described_log": {
            "verdict": report.verdict,
            "alarms": [alarm.as_dict() for alarm in report.alarms],
            "growth": None if report.growth is None else report.growth.as_dict(),
        },
        "healthy": healthy_runs(20, odd),
        "confusion": confusion(seeds, odd),
        "coverage": coverage(seeds, odd),
        "cost": cost(),
    }


def _print(found: dict[str, Any]) -> None:
    print(f"(a) the described system's log: {found['described_log']['verdict']}")
    for alarm in found["described_log"]["alarms"]:
        print(f"  {alarm['level']} {alarm['detector']} {alarm['cause']} at step {alarm['step']}: {alarm['evidence']}")
    calm = found["healthy"]
    low, high = wilson(calm["failed"], calm["runs"])
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in calm["verdicts"].items())
    print(f"\nsynthetic healthy runs: {calm['failed']} of {calm['runs']} FAIL [{low:.1%}, {high:.1%}]; {verdicts}")
    print("\n(b) D3 on growth of known law")
    print("  law           series   runs  called exploding  [95 %]       above bound   caught  steps before D1")
    for row in found["confusion"]:
        low, high = wilson(row["alarms"], row["runs"])
        lead = "" if row["median_lead"] is None else f"{row['median_lead']:.0f}"
        print(f"  {row['law']:13} {row['series']:6} {row['runs']:6} {row['alarms'] / row['runs']:10.1%}"
              f"      [{low:6.1%}, {high:6.1%}] {row['crossed']:10} {row['caught']:12} {lead:>10}")  # fmt: skip
    for explodes, name in ((True, "exploding laws"), (False, "all others")):
        alarms, runs = (
            sum(r[key] for r in found["confusion"] if r["explodes"] is explodes) for key in ("alarms", "runs")
        )
        low, high = wilson(alarms, runs)
        print(f"  {name}: {alarms} of {runs} called exploding [{low:.1%}, {high:.1%}]")
    print("\n90 % forecast intervals on held-out values\n  law            forecasts  held")
    for row in found["coverage"]:
        note = "" if row["fitted"] else "  (law never fitted)"
        print(f"  {row['law']:13} {row['forecasts']:9}  {row['held'] / row['forecasts']:6.1%}{note}")
    for fitted, name in (({True}, "fitted laws"), ({False}, "never fitted"), ({True, False}, "all")):
        held, total = (sum(r[key] for r in found["coverage"] if r["fitted"] in fitted) for key in ("held", "forecasts"))
        low, high = wilson(held, total)
        print(f"  {name:13} {total:9}  {held / total:6.1%} [{low:.1%}, {high:.1%}]")
    cost = found["cost"]
    mean, first, most = (1e3 * cost[key] for key in ("mean_s", "first_100_mean_s", "max_s"))
    print(f"\ncost of watch(): {mean:.2f} ms a row of {cost['rows']}, {first:.2f} of the first 100, at most {most:.0f}")


def main() -> None:
    """Print the tables, or with ``--json`` their numbers."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.monitor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each law x points x noise x sampling")
    parser.add_argument("--calibration", action="store_true", help="the even seeds, on which thresholds were set")
    options = parser.parse_args()
    found = validate(options.seeds, odd=not options.calibration)
    if options.json:
        print(json.dumps(found))
    else:
        _print(found)


if __name__ == "__main__":
    main()
