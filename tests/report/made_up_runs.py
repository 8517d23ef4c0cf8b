"""Runs made up for the tests: in memory for the statistics, on disk for the loader and the page."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import yaml

from td3sweep.report.runs import EVAL, FINISHED, Run

ALARM = {"detector": "d2", "level": "FAIL", "step": 400, "evidence": "Q left its range", "cause": "H6-like"}


def run(levels, seed, *, diverged=False, ret=0.0, state=FINISHED, steps=1000, more="not yet known", name=""):
    """A run in memory with the settings ``levels`` (dotted names)."""
    one = Run(name or f"{'-'.join(map(str, levels.values()))}/seed-{seed}", Path("nowhere"), "sweep", state)
    one.config, one.seed, one.steps, one.more_steps = {**levels, "seed": seed}, seed, steps, more
    one.overrides = {key.removesuffix(".name"): str(value) for key, value in levels.items()}
    one.verdict = "diverging" if diverged else "healthy"
    one.alarms = [ALARM] if diverged else []
    steps_at = np.arange(100.0, steps + 1, 100.0)
    one.series = {EVAL: (steps_at, np.full(steps_at.size, float(ret)))}
    return one


def crossed(outcome, seeds=3, factors=None):
    """Every combination of the factors' levels on every seed; ``outcome(levels, seed)`` gives (diverged, return)."""
    factors = factors or {
        "wiring.name": ("separate", "crossed"),
        "clip.name": ("joint", "off"),
        "hyperparams.gamma": (0.9, 0.99),
    }
    runs = []
    for levels in product(*factors.values()):
        for seed in range(seeds):
            named = dict(zip(factors, levels, strict=True))
            diverged, ret = outcome(named, seed)
            runs.append(run(named, seed, diverged=diverged, ret=ret))
    return runs


def two(seeds, other_seeds, diverged=lambda level, seed: level == "crossed", ret=lambda level, seed: 0.0):
    """Runs of two configurations that differ in the wiring, on seeds of their own."""
    sides = (("separate", seeds), ("crossed", other_seeds))
    return [
        run({"wiring.name": level}, seed, diverged=diverged(level, seed), ret=ret(level, seed))
        for level, mine in sides
        for seed in mine
    ]


def write_run(path, *, wiring="separate", seed=0, rows=30, summary=None, diverged=False, evals=True):
    """A run directory as the trainer leaves one; ``summary`` False leaves it out, a dict changes it."""
    path.mkdir(parents=True)
    config = {
        "steps": rows * 10, "seed": seed, "warmup": 50, "wiring": {"name": wiring}, "hyperparams": {"gamma": 0.99},
        "monitor": {"name": "warn", "stop_on": ["d1", "d2"]}, "clip": {"name": "joint", "actor": 1.0, "critic": 10.0},
    }  # fmt: skip
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    command = f"python -m td3sweep wiring={wiring} seed={seed} hydra.run.dir=somewhere"
    stamp = {"seed": seed, "commit": "c" * 40, "dirty": False, "python": "3.11.7", "versions": {"torch": "2.6"}}
    (path / "provenance.json").write_text(json.dumps(stamp | {"sessions": [{"command": command}]}))
    with (path / "metrics.jsonl").open("w") as file:
        for row in range(rows):
            step = 10 * (row + 1)
            q = 2.0 * 1.4**row if diverged else 5.0 + 0.1 * row
            values = {"q/actor": q, "q/q1": 5.0, "q/target": 5.0, "q/target_sd": 1.0, "reward/max": 1.0}
            values |= {"grad/actor/cnn/before": q, "grad/actor/cnn/after": min(q, 1.0)}
            file.write(json.dumps({"env_step": step, "updates": row, "phase": "learning", **values}) + "\n")
            if evals and row % 5 == 4:
                ret = 100.0 + seed - (50.0 if diverged else 0.0)
                file.write(json.dumps({"env_step": step, "phase": "evaluation", "eval/return": ret}) + "\n")
    with (path / "episodes.jsonl").open("w") as file:
        for step in range(60, rows * 10, 20):
            one = {"env_step": step, "phase": "learning", "return": 90.0, "length": 20, "speed": 3.0, "bias": 1.5}
            file.write(json.dumps(one) + "\n")
    if summary is not False:
        whole = {
            "finished": True, "verdict": "diverging" if diverged else "healthy", "env_steps": rows * 10,
            "alarms": [ALARM | {"step": 100}] if diverged else [],
            "evidence": ["FAIL d2 at step 100"] if diverged else [],
            "more_steps_help": "no" if diverged else "yes", "final_return": 100.0 + seed,
        }  # fmt: skip
        (path / "summary.json").write_text(json.dumps(whole | (summary or {})))
    return path


def write_sweep(root, seeds=7):
    """Separate against crossed wiring, a directory a run."""
    for number, wiring in enumerate(("separate", "crossed")):
        for seed in range(seeds):
            write_run(root / str(number) / f"seed-{seed}", wiring=wiring, seed=seed, diverged=wiring == "crossed")
    return root
