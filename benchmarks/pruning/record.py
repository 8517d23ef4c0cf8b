"""Record full learning curves of random points: ``python -m benchmarks.pruning.record [--out FILE] [--width N]``.

48 points of ``space=gamma_tau_lr_batch`` (batch 16 or 32 for speed) x 2 seeds, each a real run of 1,100 steps of the
drive recipe on the stand-in with the monitor watching and nothing pruned. Each finished run is one line of the file,
so that a repeated command goes on where it was stopped. ``python -m benchmarks.pruning`` replays searches on it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from benchmarks.learning.former import DRIVE

CONFIGURATIONS, SEEDS = 48, (0, 1)
TASK = [
    *DRIVE, "warmup=400", "critic_only_updates=100", "steps=1100", "updates_per_step=1.0",
    "eval_every=100", "eval_episodes=2", "env.max_episode_steps=200", "save_every=1000000", "log_every=25",
    "tracking=off", "monitor=warn", "threads=1",
]  # fmt: skip


def points() -> list[dict[str, float]]:
    """The configurations, drawn once and for all."""
    random = np.random.default_rng(20261124)

    def log_uniform(low: float, high: float) -> float:
        return float(np.exp(random.uniform(np.log(low), np.log(high))))

    return [
        {
            "hyperparams.gamma": 1.0 - log_uniform(1e-4, 0.1),
            "hyperparams.tau": log_uniform(1e-3, 8e-2),
            "hyperparams.actor_lr": log_uniform(1e-5, 1e-2),
            "hyperparams.critic_lr": log_uniform(1e-5, 1e-2),
            "hyperparams.batch_size": int(random.choice([16, 32])),
        }
        for _ in range(CONFIGURATIONS)
    ]


def record(configuration: int, point: dict[str, float], seed: int) -> dict[str, Any]:
    """One run from beginning to end: its evaluations, alarms and verdict."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"{key}={value!r}" for key, value in point.items()]
        command = [sys.executable, "-m", "td3sweep", *TASK, *overrides, f"seed={seed}", f"hydra.run.dir={folder}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        row: dict[str, Any] = {"configuration": configuration, "seed": seed, "point": point, "exit": done.returncode}
        if done.returncode:
            return row | {"error": done.stderr.strip().splitlines()[-1:]}
        rows = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
        evaluations = [(r["env_step"], round(r["eval/return"], 3)) for r in rows if r["phase"] == "evaluation"]
        summary = json.loads((Path(folder) / "summary.json").read_text())
        alarms = [(a["detector"], a["level"], a["step"]) for a in summary["alarms"]]
        gaps = [
            (r["env_step"], round(r["q/actor"], 4), round(r["q/q1"], 4)) for r in rows if r.get("q/actor") is not None
        ]
    return row | {
        "verdict": summary["verdict"],
        "alarms": alarms,
        "evaluations": evaluations,
        "gaps": gaps,
        "seconds": round(summary["seconds"], 1),
    }


def main() -> None:
    """Record what the file does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/data/pruning_curves.jsonl"))
    parser.add_argument("--width", type=int, default=1, help="runs at a time")
    options = parser.parse_args()
    lines = options.out.read_text().splitlines() if options.out.exists() else []
    have = {(row["configuration"], row["seed"]) for row in map(json.loads, lines)}
    todo = [(i, point, seed) for seed in SEEDS for i, point in enumerate(points()) if (i, seed) not in have]
    lock = Lock()

    def one(job: tuple[int, dict[str, float], int]) -> None:
        row = record(*job)
        with lock, options.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
            print(f"configuration {row['configuration']} seed {row['seed']}: {row.get('verdict', row.get('error'))}")

    with ThreadPoolExecutor(options.width) as pool:
        list(pool.map(one, todo))


if __name__ == "__main__":
    main()
