"""Running the real command line in a process of its own."""

import os
import re
import subprocess
import sys

# What a small run has to say of the recipe that is the default: nobody shows how to drive, a step brings an update.
PLAIN = [
    "demonstrations=none", "critic_only_updates=0", "updates_per_step=1.0", "precision=fp32", "eval_episodes=1",
    "threads=1", "tracking=off",
]  # fmt: skip
QUICK = [
    *PLAIN, "steps=120", "warmup=60", "hyperparams.batch_size=16", "log_every=10", "env.max_episode_steps=40",
    "replay.capacity=1000",
]  # fmt: skip
LAST_LINE = re.compile(r"run=(\S+) steps=(\d+) return=(\S+) length=(\S+) verdict=(\S+)")


def start(*arguments, env=None, python=sys.executable, cwd=None):
    """The command as a process; stop it by its pid."""
    return subprocess.Popen(
        [python, "-m", "td3sweep", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}, cwd=cwd,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process, timeout=300):
    """Exit code, stdout and stderr."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def command(*arguments, **options):
    """Run the command to its end."""
    return finish(start(*arguments, **options))


TOY = (
    "env=gym", "reward=none", "steps=20", "warmup=10", "hyperparams.batch_size=4", "updates_per_step=.1",
    "eval_episodes=1", "tracking=off", "replay.capacity=100", "threads=1", "monitor=off",
)  # fmt: skip
