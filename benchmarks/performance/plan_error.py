"""How far off is ``sweep.plan=true``?

``python -m benchmarks.performance.plan_error``: a small real sweep, planned and then run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.learning.former import DRIVE
from td3sweep.sweep import frame

SWEEP = [
    "--multirun", *DRIVE, "warmup=300", "critic_only_updates=50", "steps=700", "updates_per_step=1.0",
    "eval_every=200", "eval_episodes=1", "env.max_episode_steps=100", "tracking=off", "sweep.width=2",
    "hyperparams.batch_size=choice(16,32,48,64)",
]  # fmt: skip


def main() -> None:
    """Plan, run, compare the seconds of a trial."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "td3sweep", *SWEEP, f"hydra.sweep.dir={folder}/sweep"]
        planned = subprocess.run([*command, "sweep.plan=true"], check=True, capture_output=True, text=True).stdout
        minutes, seconds = planned.partition("a trial takes ")[2].split()[0].split(":")
        subprocess.run(command, check=True, capture_output=True)
        took = float(frame(Path(folder) / "sweep")["seconds"].mean())
    plan = 60 * int(minutes) + int(seconds)
    print(f"planned {plan} s per trial, took {took:.0f} s: {plan / took - 1:+.0%}")


if __name__ == "__main__":
    main()
