"""What acting while learning gains: environment steps and updates per second with 0, 1, 2 and 4 actors.

``python -m benchmarks.performance.actors`` runs the product on the stand-in as it is, and on one whose ticks take as
long as those of a real simulator, an update per step, once in a round for every number of actors, and prints medians
over the rounds and ratios to ``actors=0``. Only steps after warm-up count. The learner has ``--threads`` cores, every
actor one; the stand-ins share the machine with them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.learning.former import PLAIN
from benchmarks.monitor.runs import run_ours
from td3sweep.collect.schedule import stalest
from td3sweep.training.trainer import Trainer

WARMUP = 120
ACTION_REPEAT = 4
RUN = [
    *PLAIN,
    f"warmup={WARMUP}", "updates_per_step=1.0", "eval_every=1000000", "eval_episodes=1", "save_every=1000000",
    "tracking=off", "monitor=off", "replay.capacity=5000", "env.max_episode_steps=100",
    f"env.action_repeat={ACTION_REPEAT}",
]  # fmt: skip


def measure(actors: int, slow_tick: float, steps: int, options: list[str]) -> dict[str, float]:
    """Steps and updates per second of one run after its warm-up, and the largest staleness that it logged."""
    moments: list[tuple[float, int, int]] = []
    learn = Trainer._learn

    def learn_and_note(trainer: Trainer) -> None:
        learn(trainer)
        if trainer.step > WARMUP:
            moments.append((time.perf_counter(), trainer.step, trainer.agent.updates))

    overrides = [
        *RUN,
        f"steps={WARMUP + steps}",
        f"actors={actors}",
        f"env.flags=['-fault-slow-tick={slow_tick}']",
        *options,
    ]
    with tempfile.TemporaryDirectory() as folder:
        with patch.object(Trainer, "_learn", learn_and_note), redirect_stdout(sys.stderr):
            run_ours(overrides, Path(folder))
        rows = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    (begun, first, updates), (ended, last, made) = moments[0], moments[-1]
    return {
        "steps_per_s": (last - first) / (ended - begun),
        "updates_per_s": (made - updates) / (ended - begun),
        "staleness_max": max((row.get("actors/staleness_max", 0.0) for row in rows), default=0.0),
    }


def compare(counts: list[int], slow_tick: float, rounds: int, steps: int, options: list[str]) -> list[dict[str, Any]]:
    """A row for each number of actors: medians over interleaved rounds."""
    found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for _ in range(rounds):
        for count in counts:
            found[count].append(measure(count, slow_tick, steps, options))
    rows = []
    for count, runs in found.items():
        speeds = [run["steps_per_s"] for run in runs]
        rows.append(
            {
                "actors": count,
                "tick_s": slow_tick,
                "steps_per_s": statistics.median(speeds),
                "spread": [min(speeds), max(speeds)],
                "updates_per_s": statistics.median(run["updates_per_s"] for run in runs),
                "ratio": statistics.median(speeds) / statistics.median(run["steps_per_s"] for run in found[counts[0]]),
                "staleness_max": max(run["staleness_max"] for run in runs),
                "staleness_bound": stalest(count, 1.0),
            }
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance.actors", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200, help="environment steps measured in a run")
    parser.add_argument("--actors", default="0,1,2,4", help="numbers of actors to compare")
    parser.add_argument("--ticks", default="0,0.05", help="seconds added to a tick")
    parser.add_argument("--threads", type=int, default=1, help="of the learner")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    given = parser.parse_args()
    options = [f"threads={given.threads}", *given.overrides]
    counts, ticks = [int(n) for n in given.actors.split(",")], [float(s) for s in given.ticks.split(",")]
    rows = [row for tick in ticks for row in compare(counts, tick, given.rounds, given.steps, options)]
    if given.json:
        print(json.dumps({"cores": os.cpu_count(), "rows": rows}, indent=1))
        return
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, action repeat {ACTION_REPEAT}, {given.rounds} rounds"
    )
    for row in rows:
        low, high = row["spread"]
        print(
            f"tick +{row['tick_s']:g} s, actors={row['actors']}: {row['steps_per_s']:.2f} steps/s "
            f"({low:.2f} to {high:.2f}), {row['updates_per_s']:.2f} updates/s, {row['ratio']:.2f} x; "
            f"staleness at most {row['staleness_max']:g} of {row['staleness_bound']}"
        )


if __name__ == "__main__":
    main()
