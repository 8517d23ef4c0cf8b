"""One live sweep by the method that the replays favour, judged on fresh seeds: ``python -m benchmarks.pruning.live``.

The task of the recorded table (`benchmarks/pruning/record.py`), searched by ``sweep.sampler=tpe sweep.pruner=none``.
The best point, and the numbers that ``experiment=drive`` had before, then train on seeds that neither has seen.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.pruning.record import TASK

WINDOW = 3  # last evaluations whose mean is a run's score, as a sweep's
BY_HAND = [
    *("hyperparams.gamma=.95", "hyperparams.tau=.005", "hyperparams.actor_lr=1e-4", "hyperparams.critic_lr=3e-4"),
    "hyperparams.batch_size=32",
]
BATCHES = "hyperparams.batch_size=choice(16,32)"


def score(overrides: list[str], seed: int) -> float:
    """A run's score on a seed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "td3sweep", *TASK, *overrides, f"seed={seed}", f"hydra.run.dir={folder}"]
        subprocess.run(command, check=True, capture_output=True)
        rows = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    return fmean([row["eval/return"] for row in rows if row["phase"] == "evaluation"][-WINDOW:])


def main() -> None:
    """Search, judge, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3, help="fresh ones, from 100 on")
    parser.add_argument("--width", type=int, default=2, help="runs at a time")
    parser.add_argument("--directory", type=Path, default=Path("runs/pruning_live"), help="of the sweep, which resumes")
    parser.add_argument("--out", type=Path, default=Path("docs/data/pruning_live.json"))
    options = parser.parse_args()
    search = [
        "--multirun", *TASK, "space=gamma_tau_lr_batch", BATCHES, "sweep.enqueue=[]", f"sweep.trials={options.trials}",
        f"sweep.width={options.width}", f"hydra.sweep.dir={options.directory}",
    ]  # fmt: skip
    subprocess.run([sys.executable, "-m", "td3sweep", *search], check=True)
    sweep: dict[str, Any] = json.loads((options.directory / "sweep.json").read_text())
    best = sweep["best"]
    winner = [word for word in best["command"].split() if word.startswith("hyperparams.")]
    seeds = range(100, 100 + options.seeds)
    contestants = {"winner": winner, "by hand": BY_HAND}
    with ThreadPoolExecutor(options.width) as pool:
        scores = {
            name: list(pool.map(score, [overrides] * len(seeds), seeds)) for name, overrides in contestants.items()
        }
    values = [trial["value"] for trial in sweep["trials"]]
    found = {"trials": values, "best": best["value"], "point": winner, "fresh": scores}
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
