"""Does pruning pay? ``python -m benchmarks.pruning [--curves FILE] [--repeats N] [--json]``.

Replays searches on the recorded learning curves (``benchmarks.pruning.record``) with different sampler seeds and
orders, and says how many environment steps each spends until it has completed one of the wanted configurations.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.monitor.detection import wilson
from benchmarks.pruning.replay import Array, Method, Replay, Table, load, replay

CURVES = Path("docs/data/pruning_curves.jsonl")
METHODS = {
    "random": Method("random"),
    "random + divergence": Method("random", True),
    "random + divergence + median": Method("random", True, "median"),
    "random + divergence + hyperband": Method("random", True, "hyperband"),
    "tpe": Method("tpe"),
    "tpe + divergence": Method("tpe", True),
    "tpe + divergence + median": Method("tpe", True, "median"),
    "tpe + divergence + hyperband": Method("tpe", True, "hyperband"),
    "tpe + divergence + median from 800": Method("tpe", True, "median", (("n_warmup_steps", 800),)),
    "tpe + divergence + patient": Method("tpe", True, "patient"),
}
RUNGS = (500, 700, 900)
RESAMPLES = 2000


def targets(table: Table) -> dict[str, list[int]]:
    """What is searched for, as places in the table: the best score, one within 5 % of it, one of the best three."""
    scores = table.scores
    best = scores.max()
    return {
        "best": [int(scores.argmax())],
        "5 %": np.flatnonzero(scores >= best - 0.05 * abs(best)).tolist(),
        "top 3": np.argsort(-scores)[:3].tolist(),
    }


def bootstrap(sizes: int, statistic: Callable[[NDArray[np.intp]], float]) -> tuple[float, float]:
    """95 % percentile interval of a statistic of so many items, told the indices of a resample; may be infinite."""
    rng = np.random.default_rng(0)
    drawn = [statistic(rng.integers(0, sizes, sizes)) for _ in range(RESAMPLES)]
    low, high = np.quantile([value for value in drawn if not math.isnan(value)], [0.025, 0.975], method="nearest")
    return float(low), float(high)


def median(values: Array) -> dict[str, float]:
    """The median over the replays and its interval."""
    low, high = bootstrap(len(values), lambda chosen: float(np.median(values[chosen])))
    return {"median": float(np.median(values)), "low": low, "high": high}


def compare(table: Table, repeats: int) -> dict[str, Any]:
    """Every method on the table: steps until each target, their ratio to the unpruned methods, and what was lost."""
    replays = {name: [replay(table, method, seed) for seed in range(repeats)] for name, method in METHODS.items()}
    wanted = targets(table)
    steps = {
        name: {target: np.array([one.steps_until(places) for one in found]) for target, places in wanted.items()}
        for name, found in replays.items()
    }
    return {name: outcome(found, steps[name], steps["random"], steps["tpe"]) for name, found in replays.items()}


def mean_ratio(values: Array, others: Array) -> dict[str, float]:
    """Ratio of two means over the same replays and its interval; ties weigh less in it than in a median of ratios."""
    low, high = bootstrap(len(values), lambda chosen: float(values[chosen].mean() / others[chosen].mean()))
    return {"ratio": float(values.mean() / others.mean()), "low": low, "high": high}


def outcome(
    found: Sequence[Replay], steps: dict[str, Array], random: dict[str, Array], tpe: dict[str, Array]
) -> dict[str, Any]:
    """What one method's replays came to; ``steps``, and those of unpruned random and TPE, by target and replay."""
    lost = {target: int(np.isinf(values).sum()) for target, values in steps.items()}
    return {
        "whole_table": float(np.median([one.spent[-1] for one in found])),
        "pruned_share": float(np.mean([1.0 - one.complete.mean() for one in found])),
        "targets": {
            target: {
                "steps": median(values),
                "to_random": median(values / random[target]),
                "to_tpe": median(values / tpe[target]),
                "mean_to_random": mean_ratio(values, random[target]),
                "lost": lost[target],
                "lost_interval": wilson(lost[target], len(found)),
            }
            for target, values in steps.items()
        },
    }


def ranks(table: Table) -> list[dict[str, Any]]:
    """How runs rank early on and at the end: Spearman's rho, intervals by resampling configurations."""
    size = table.settings.steps
    found = []
    for step in RUNGS:
        pairs = [[(run.window(step), run.window(size)) for run in runs.values()] for runs in table.runs]
        found.append({"pair": f"step {step}, the same run's end"} | _spearman(pairs))
    if table.seeds > 1:
        both = [list(runs.values()) for runs in table.runs if len(runs) > 1]
        for step in (*RUNGS, size):
            pairs = [[(a.window(step), b.window(size)), (b.window(step), a.window(size))] for a, b in both]
            found.append({"pair": f"step {step}, the other seed's end"} | _spearman(pairs))
    return found


def _spearman(pairs: Sequence[Sequence[tuple[float, float]]]) -> dict[str, Any]:
    def rho(chosen: NDArray[np.intp]) -> float:
        early, late = np.array([pair for place in chosen for pair in pairs[place]]).T
        both = np.isfinite(early) & np.isfinite(late)
        return float(spearmanr(early[both], late[both]).statistic)

    low, high = bootstrap(len(pairs), rho)
    return {"rho": rho(np.arange(len(pairs))), "low": low, "high": high, "runs": sum(map(len, pairs))}


def alarms(table: Table) -> dict[str, Any]:
    """How often a FAIL hits a run, and runs of the top third of configurations, where each is a false kill."""
    top = set(np.argsort(-table.scores)[: len(table.params) // 3].tolist())
    hit = [(place, run.alarm is not None) for place, runs in enumerate(table.runs) for run in runs.values()]
    mine = [failed for place, failed in hit if place in top]
    return {
        "runs": len(hit),
        "failed": sum(failed for _, failed in hit),
        "failed_interval": wilson(sum(failed for _, failed in hit), len(hit)),
        "top_runs": len(mine),
        "top_failed": sum(mine),
        "top_interval": wilson(sum(mine), len(mine)),
    }


def study(table: Table, repeats: int) -> dict[str, Any]:
    """All numbers that this benchmark prints."""
    scores = table.scores
    return {
        "configurations": len(table.params),
        "seeds": table.seeds,
        "repeats": repeats,
        "steps_of_all": table.settings.steps * sum(map(len, table.runs)),
        "scores": {"best": scores.max(), "median": float(np.median(scores)), "worst": scores.min()},
        "targets": {name: [table.numbers[place] for place in places] for name, places in targets(table).items()},
        "methods": compare(table, repeats),
        "ranks": ranks(table),
        "alarms": alarms(table),
    }


def _show(found: dict[str, Any]) -> None:
    of = f"{found['configurations']} configurations x {found['seeds']} seed(s), {found['repeats']} replays a method"
    print(f"{of}; the whole table is {found['steps_of_all']} steps; final scores: best {found['scores']['best']:.1f}, "
          f"median {found['scores']['median']:.1f}, worst {found['scores']['worst']:.1f}")  # fmt: skip
    for target, numbers in found["targets"].items():
        print(f"\nsteps until {target} (configurations {', '.join(map(str, numbers))}), medians [95 %]")
        print(f"  {'method':36}{'steps':25}{'/ random':22}{'/ tpe':22}{'means / random':22}never found [95 %]")
        for name, method in found["methods"].items():
            here = method["targets"][target]
            low, high = here["lost_interval"]
            print(f"  {name:36}{_interval(here['steps'], 0):25}{_interval(here['to_random'], 2):22}"
                  f"{_interval(here['to_tpe'], 2):22}{_interval(here['mean_to_random'], 2):22}"
                  f"{here['lost'] / found['repeats']:.0%} [{low:.0%}, {high:.0%}]")  # fmt: skip
    print("\n  method                              steps for the whole table   trials pruned")
    for name, method in found["methods"].items():
        print(f"  {name:36}{method['whole_table']:12.0f} {method['pruned_share']:28.0%}")
    print("\nSpearman's rho of window means [95 %]")
    for row in found["ranks"]:
        print(f"  {row['pair']:36}{row['rho']:6.2f} [{row['low']:.2f}, {row['high']:.2f}], {row['runs']} pairs")
    kills = found["alarms"]
    for what, failed, runs, (low, high) in (
        ("runs with a FAIL", kills["failed"], kills["runs"], kills["failed_interval"]),
        ("of them in the top third", kills["top_failed"], kills["top_runs"], kills["top_interval"]),
    ):
        print(f"{what}: {failed} of {runs} [{low:.1%}, {high:.1%}]")


def _interval(found: dict[str, float], digits: int) -> str:
    middle, low, high = (_number(value, digits) for value in found.values())
    return f"{middle} [{low}, {high}]"


def _number(value: float, digits: int) -> str:
    return "never" if math.isinf(value) else f"{value:.{digits}f}"


def _without_infinity(value: Any) -> Any:
    """JSON has no infinity: null stands for never."""
    if isinstance(value, dict):
        return {key: _without_infinity(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_infinity(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pruning", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--curves", type=Path, default=CURVES, help="what benchmarks.pruning.record wrote")
    parser.add_argument("--repeats", type=int, default=200, help="replays a method")
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of the patient pruner, since 2021
    found = study(load(options.curves), options.repeats)
    if options.json:
        print(json.dumps(_without_infinity(found), indent=1))
    else:
        _show(found)


if __name__ == "__main__":
    main()
