"""Does a run that is killed end as one that is not?

``python -m benchmarks.robustness.kill_9 [--kills 20] [--out FILE]``.

Each encoder with each memory: the same small run on the stand-in once undisturbed and once killed by SIGKILL again
and again, every other time in the middle of writing a checkpoint. Afterwards all parameters, optimiser moments,
replayed transitions, random generators and logged metrics (times aside) must be equal, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.learning.former import MEMORY, PLAIN
from td3sweep.training.checkpoint import BEST, Checkpoints, read_checkpoint

COMBINATIONS = [(cnn, recurrent) for cnn in ("nature", "pooled") for recurrent in ("none", "gru48", "lstm256")]
TASK = [
    *PLAIN,
    "warmup=60", "updates_per_step=.5", "hyperparams.batch_size=16", "log_every=10", "eval_every=40", "eval_episodes=1",
    "env.max_episode_steps=40", "tracking=off", "replay.capacity=1000", "save_every=4", "threads=1",
]  # fmt: skip
WITH_MEMORY = [*MEMORY, "hyperparams.batch_size=1"]  # a window of ten
LAST_STEPS = 8  # a kill comes before these, so that there is something left to go on with


@dataclass
class Result:
    """What became of one combination.

    Attributes:
        kills: by SIGKILL.
        while_writing: those that left a half-written file behind.
        resumed_at: steps at which it went on.
        different: what was not equal in the end; empty is the claim.
    """

    cnn: str
    recurrent: str
    kills: int
    while_writing: int
    resumed_at: list[int]
    different: list[str]


def torment(cnn: str, recurrent: str, folder: Path, *, kills: int, steps: int, seed: int = 0) -> Result:
    """Run one combination undisturbed and killed ``kills`` times, and compare."""
    remembering = [] if recurrent == "none" else WITH_MEMORY
    task = [*TASK, *remembering, f"cnn={cnn}", f"recurrent={recurrent}", f"steps={steps}"]
    command = [sys.executable, "-m", "td3sweep", *task]
    whole, killed = folder / "whole", folder / "killed"
    subprocess.run([*command, f"hydra.run.dir={whole}"], check=True, capture_output=True)
    moments = random.Random(seed)
    # Spread over the run, in order: each one is a distance from where the killed run stood.
    goals = sorted(moments.uniform(0, steps - LAST_STEPS) for _ in range(kills))
    writing, resumed, log = 0, [], folder / "killed.log"
    for number, goal in enumerate(goals):
        process = subprocess.Popen(
            [*command, f"hydra.run.dir={killed}"], stdout=subprocess.DEVNULL, stderr=log.open("ab")
        )
        if _wait(process, killed, goal, moments.random() * 0.5, mid_write=number % 2 == 1):
            process.kill()
        process.wait()
        writing += any(killed.glob("*/.*.part"))
        resumed.append(newest(killed))
    done = subprocess.run([*command, f"hydra.run.dir={killed}"], capture_output=True, text=True, check=False)
    different = [f"exit code {done.returncode}: {done.stderr[-300:]}"] if done.returncode else compare(whole, killed)
    return Result(cnn, recurrent, len(goals), writing, resumed, different)


def _wait(process: subprocess.Popen[bytes], run: Path, goal: float, delay: float, *, mid_write: bool) -> bool:
    """Wait until the run has passed ``goal`` and it is time to kill it; False if it ended by itself."""
    while newest(run) < goal - 4:
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    due = time.monotonic() + delay
    while not (_frozen_in_a_write(process, run) if mid_write else time.monotonic() >= due):
        if process.poll() is not None:
            return False
        time.sleep(0.0005)
    return True


def _frozen_in_a_write(process: subprocess.Popen[bytes], run: Path) -> bool:
    """Whether the process is stopped with a file half written; it goes on if the file was whole by then."""
    if not any(run.glob("*/.*.part")):
        return False
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.01)  # until it has stopped
    if any(run.glob("*/.*.part")):
        return True
    process.send_signal(signal.SIGCONT)
    return False


def newest(run: Path) -> int:
    """Environment step of the newest checkpoint, 0 for none."""
    return max((int(path.stem.partition("-")[2]) for path in run.glob("checkpoints/step-*.pt")), default=0)


def compare(one: Path, other: Path) -> list[str]:
    """Names of what differs between two finished runs: checkpoint, replay and metrics."""
    step = newest(one)
    if newest(other) != step:
        return [f"ended at step {newest(other)} instead of {step}"]
    loaded = [_state(run) for run in (one, other)]
    found = _differences("", *loaded)
    for file in ("metrics.jsonl", "episodes.jsonl"):
        rows = [[_timeless(line) for line in (run / file).read_text().splitlines()] for run in (one, other)]
        found += [] if rows[0] == rows[1] else [file]
    return found


def _state(run: Path) -> dict[str, Any]:
    """The newest checkpoint and all slots of the replay, without what depends on when it was saved."""
    saved = Checkpoints(run / "checkpoints", run / "replay").load()
    assert saved is not None
    payload = {key: value for key, value in saved.payload.items() if key not in ("segments", "segments_end")}
    # Byte positions in the logs move with the digits of times.
    payload["recorder"] = {key: payload["recorder"][key] for key in ("sums", "counts")}
    recurrent = yaml.safe_load((run / "config.yaml").read_text())["recurrent"]
    stride = math.gcd(recurrent["sequence_length"], recurrent["burn_in"])
    slots: dict[str, dict[int, bytes]] = {}
    for segment in saved.segments:
        numbers = segment.pop("slots")
        for name, rows in segment.items():
            written = numbers[numbers % stride == 0] if name == "states" else numbers
            found = {int(slot): row.tobytes() for slot, row in zip(written, rows, strict=True)}
            slots.setdefault(name, {}).update(found)
    return payload | {"slots": slots, "best": read_checkpoint(run / "checkpoints" / BEST)}


def _differences(name: str, a: Any, b: Any) -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        found = [] if a.keys() == b.keys() else [f"{name}: keys"]
        return found + [d for key in a.keys() & b.keys() for d in _differences(f"{name}.{key}", a[key], b[key])]
    if isinstance(a, torch.Tensor):
        return [] if torch.equal(a, b) else [name]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in _differences(f"{name}[{i}]", x, y)]
    return [] if repr(a) == repr(b) else [name]  # nan equals nan


def _timeless(line: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(line).items() if not key.startswith("time/")}


def main() -> None:
    """Torment all combinations and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="a combination")
    parser.add_argument("--steps", type=int, default=200, help="of a run")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    results = []
    print("| encoder | memory | kills | while writing | different afterwards |\n|---|---|---|---|---|")
    for cnn, recurrent in COMBINATIONS:
        with tempfile.TemporaryDirectory() as folder:
            result = torment(cnn, recurrent, Path(folder), kills=options.kills, steps=options.steps)
        results.append(asdict(result))
        different = ", ".join(result.different) or "nothing"
        print(f"| {cnn} | {recurrent} | {result.kills} | {result.while_writing} | {different} |", flush=True)
        if options.out:
            options.out.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
