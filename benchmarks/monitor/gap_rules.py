"""Which gap between actor and critic tells crossed wiring from correct?

``python -m benchmarks.monitor.gap_rules [--collect]``.

Compares rules for D2 on real runs: ``allowance`` (|actor Q - y| over |y| + 3 SD + .05 R_max) against ``half`` (|actor
Q - Q1| over max(1, |Q1|)) and ``own`` (over max(.5 |Q1|, .5 SD y, .2 R_max), free of the unit of reward). A run
alarms at the third row in a row above the threshold. Calibrated on even runs, reported on odd ones. ``--collect``
makes what the file of runs does not hold yet: crossed and correct ones of ours, and stable-baselines3's TD3 with
random hyperparameters, whose wiring is right whatever becomes of it. Correct runs recorded by
``benchmarks.pruning.record`` are added.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.monitor.detection import wilson
from benchmarks.monitor.runs import CROSSED, VARIANTS, gather, run_ours

FILE = Path("docs/data/gap_rules.jsonl")
CURVES = Path("docs/data/pruning_curves.jsonl")
CORRECT = ("correct", "stable-baselines3", "random drive configurations")
SHORT = ["steps=480", "monitor=warn"]  # 180 updates: the rules are compared on how early they see it
ROW = ("q/actor", "q/q1", "q/target", "q/target_sd")
Row = dict[str, float]
Rule = Callable[[Row], float]


def allowance(row: Row) -> float:
    """D2's first rule."""
    scale = abs(row["q/target"]) + 3.0 * row["q/target_sd"] + 0.05 * row["r_max"]
    return abs(row["q/actor"] - row["q/target"]) / scale


def half(row: Row) -> float:
    """The candidate as it was proposed, in units of reward."""
    return abs(row["q/actor"] - row["q/q1"]) / max(1.0, abs(row["q/q1"]))


def own(row: Row) -> float:
    """The candidate without a unit, as D2 has it; where spread and reward were not recorded it is the stricter."""
    allowed = max(0.5 * abs(row["q/q1"]), 0.5 * row.get("q/target_sd", 0.0), 0.2 * row.get("r_max", 0.0), 1e-12)
    return abs(row["q/actor"] - row["q/q1"]) / allowed


RULES: dict[str, tuple[Rule, float]] = {"allowance": (allowance, 1.0), "half": (half, 0.5), "own": (own, 1.0)}


def ours(overrides: list[str]) -> dict[str, Any]:
    """Rows of one run of the product, counted in updates."""
    with tempfile.TemporaryDirectory() as folder:
        run_ours(overrides, Path(folder))
        rows = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    learnt = [row for row in rows if row.get("q/actor") is not None]
    return {"rows": [[row["updates"], *(_short(row[key]) for key in (*ROW, "reward/max"))] for row in learnt]}


def sb3(seed: int) -> dict[str, Any]:
    """Rows of stable-baselines3's TD3 with hyperparameters drawn far beyond the sane, on two tasks."""
    import numpy as np
    from stable_baselines3 import TD3
    from stable_baselines3.common.noise import NormalActionNoise

    from td3sweep.monitor.stable_baselines3 import DivergenceMonitor
    from td3sweep.monitor.watch import Watch

    random, task = np.random.default_rng(seed), ("Pendulum-v1", "MountainCarContinuous-v0")[seed // 2 % 2]
    gamma = 1.0 - float(np.exp(random.uniform(np.log(1e-4), np.log(0.5))))
    rate, tau = (float(np.exp(random.uniform(np.log(low), np.log(high)))) for low, high in ((1e-5, 1e-2), (1e-3, 8e-2)))
    callback, rows = DivergenceMonitor(every=50, verbose=0), []
    noise = NormalActionNoise(np.zeros(1), 0.1 * np.ones(1))
    net = {"net_arch": [64, 64]}
    model = TD3(
        "MlpPolicy", task, learning_rate=rate, gamma=gamma, tau=tau, batch_size=32, learning_starts=500, seed=seed,
        action_noise=noise, policy_kwargs=net,
    )  # fmt: skip

    def note(step: int, row: Row, *rest: Any) -> Any:
        rows.append([step - 500, *(_short(row[key]) for key in ROW), _short(callback.watch.monitor.r_max)])
        return plain(step, row, *rest)

    callback.watch = Watch(gamma=gamma, warmup=500)
    plain = callback.watch.monitor.watch
    vars(callback.watch.monitor)["watch"] = note
    model.learn(3000, callback=callback)
    return {"task": task, "gamma": round(gamma, 4), "lr": _short(rate), "tau": _short(tau), "rows": rows}


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def runs(collect: bool, curves: Path) -> dict[str, list[dict[str, Any]]]:
    """Recorded runs by kind, each a list in the order of their seeds."""
    todo: dict[str, Callable[[], dict[str, Any]]] = {
        f"{variant}, seed {seed}": (lambda extra=extra, seed=seed: ours([*CROSSED, *SHORT, *extra, f"seed={seed}"]))
        for seed in range(4)
        for variant, extra in ({"correct": ["wiring=separate"]} | VARIANTS).items()
    }
    todo |= {f"stable-baselines3, seed {seed}": (lambda seed=seed: sb3(seed)) for seed in range(14)}
    found: dict[str, list[dict[str, Any]]] = {}
    for row in gather(FILE, todo if collect else {}, everything=True):
        found.setdefault(row["name"].partition(", seed")[0], []).append(_named(row))
    if curves.exists():
        recorded = [json.loads(line) for line in curves.read_text().splitlines()]
        recorded = sorted(
            (row for row in recorded if "gaps" in row), key=lambda row: (row["configuration"], row["seed"])
        )
        found["random drive configurations"] = [
            {"rows": [{"updates": step, "q/actor": actor, "q/q1": q1} for step, actor, q1 in row["gaps"]]}
            for row in recorded
        ]
    return found


def _named(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"rows": [dict(zip(("updates", *ROW, "r_max"), values, strict=True)) for values in row["rows"]]}


def alarm(rows: Sequence[Row], rule: Rule, threshold: float) -> float | None:
    """Updates at the third row in a row above the threshold."""
    streak = 0
    for row in rows:
        streak = streak + 1 if rule(row) > threshold else 0
        if streak == 3:
            return row["updates"]
    return None


def sustained(rows: Sequence[Row], rule: Rule) -> float:
    """The highest threshold at which a run would alarm."""
    values = [rule(row) for row in rows]
    return max((min(values[place : place + 3]) for place in range(len(values) - 2)), default=0.0)


def report(found: dict[str, list[dict[str, Any]]]) -> None:
    """Calibration on even runs, then alarms and delays on odd ones; the correct runs together at the end."""
    false: dict[str, list[bool]] = {}
    for kind, mine in found.items():
        for name, (rule, threshold) in RULES.items():
            if name == "allowance" and "q/target" not in mine[0]["rows"][0]:
                continue
            even = [sustained(run["rows"], rule) for run in mine[::2]]
            at = [alarm(run["rows"], rule, threshold) for run in mine[1::2]]
            hits = [updates for updates in at if updates is not None]
            delay = f", after {statistics.median(hits):.0f} updates" if hits else ""
            print(f"{kind:28} {name:10} even: sustained {min(even):.2f} to {max(even):.2f}; "
                  f"odd: {len(hits)} of {len(at)} above {threshold:g}{delay}")  # fmt: skip
            if kind in CORRECT:
                false.setdefault(name, []).extend(updates is not None for updates in at)
    for name, alarms in false.items():
        low, high = wilson(sum(alarms), len(alarms))
        print(f"all correct, odd             {name:10} {sum(alarms)} of {len(alarms)} alarm [{low:.1%}, {high:.1%}]")


def main() -> None:
    """Collect if asked to, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", action="store_true", help="make the runs that the file lacks")
    parser.add_argument("--curves", type=Path, default=CURVES, help="file of benchmarks.pruning.record")
    options = parser.parse_args()
    report(runs(options.collect, options.curves))


if __name__ == "__main__":
    main()
