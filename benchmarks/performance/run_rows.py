"""Rows of whole runs of the product: its loop, its start, its memory; and what its replay holds."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.learning.former import LEARNER, STANDIN
from benchmarks.performance import first_step, tree_memory
from benchmarks.performance.inside import WATCHING, measure
from benchmarks.performance.learners import ACTIONS, EPISODE, STACK, STORED_BY_PEERS, our_replay
from benchmarks.performance.rows import Goal, Row
from benchmarks.performance.sections import Size, Told, share_row, speed_row
from benchmarks.performance.update_rows import bf16_is_slow, installed

WARMUP = 120
LOOP = [
    *LEARNER,
    "updates_per_step=1.0", f"warmup={WARMUP}", "eval_every=1000000", "eval_episodes=1", "save_every=1000000",
    "threads=1",
]  # fmt: skip
LOOPS = {  # the first one also says what watching and logging cost
    "stand-in, fp32": STANDIN,
    "stand-in, bf16": [*STANDIN, "precision=bf16"],
    "blank environment, fp32": ["env=gym", "env.id=benchmarks.learning.blank:td3sweep-benchmarks/Blank-v0"],
    "blank environment, bf16": [
        "precision=bf16",
        "env=gym",
        "env.id=benchmarks.learning.blank:td3sweep-benchmarks/Blank-v0",
    ],
}
LOOP_NOTE = (
    "one thread, the TD3 paper's numbers, an update per step; the bare rate is that of the updates inside the same "
    "loop, without sampling. The stand-in runs in processes of its own, beside the learner"
)
WATCHING_NOTE = "monitor, metrics.jsonl, episodes.jsonl, wandb offline and terminal; a row every 25 updates"
REPLAY_NOTE = (
    f"a vector of 53 numbers and 2 actions, episodes of {EPISODE} steps, whose last observation is part of the price; "
    "theirs stores every stack twice (its memory option refuses dict observations)"
)
START_NOTE = "from the command to the end of the first environment step, imports, server and wandb offline included"
MEMORY_NOTE = (
    "experiment=described_5k (5,000 steps, batch 256); learner, environment worker and stand-in together, shared pages "
    "once, polled twice a second"
)


def loop(size: Size, told: Told) -> list[Row]:
    """Loops of real runs, one after the other in rounds."""
    runs: dict[str, list[dict[str, float]]] = defaultdict(list)
    skipped = {name: bf16_is_slow() if name.endswith("bf16") else "" for name in LOOPS}
    chosen = {name: overrides for name, overrides in LOOPS.items() if not skipped[name]}
    for round_ in range(size.runs):
        for number, (name, overrides) in enumerate(chosen.items(), 1):
            runs[name].append(measure([*LOOP, f"steps={WARMUP + size.loop_updates}", *overrides]))
            told(round_ * len(chosen) + number, size.runs * len(chosen))
    rows = []
    for name, why in skipped.items():
        full, goal = f"full loop, {name}", Goal("ratio", ">=", 0.9) if name.startswith("stand-in") else None
        if why:
            rows.append(Row(full, goal=goal, skipped=why))
        else:
            whole, bare = ([run[part] / run["updates"] for run in runs[name]] for part in ("loop", "update"))
            rows.append(speed_row(full, whole, bare, "bare updates", goal, LOOP_NOTE))
    many = next(iter(runs.values()))
    watching = [1000 * sum(found.get(part, 0.0) for part in WATCHING) / found["updates"] for found in many]
    whole = [1000 * found["loop"] / found["updates"] for found in many]
    goal = Goal("ratio", "<=", 0.02)
    return [
        *rows,
        share_row("monitor and logging, stand-in, fp32", "ms", watching, whole, "a step", goal, WATCHING_NOTE),
    ]


def replay(size: Size, told: Told) -> list[Row]:
    """Bytes of a transition, ours and stable-baselines3's."""
    name, goal = "replay bytes per transition", Goal("ours", "<=", 7400.0)
    ours = our_replay(STORED_BY_PEERS, vector_size=53).bytes_per_transition
    why = installed("stable_baselines3")
    theirs = None if why else sb3_bytes()
    told(1, 1)
    return [
        Row(
            name, "bytes", ours, theirs, "stable_baselines3", None if theirs is None else ours / theirs, None, goal,
            REPLAY_NOTE,
        )
    ]  # fmt: skip


def sb3_bytes() -> float:
    """Bytes of a transition in stable-baselines3's replay for dict observations."""
    import warnings

    import numpy as np
    from gymnasium import spaces
    from stable_baselines3.common.buffers import DictReplayBuffer

    vector = spaces.Box(-np.inf, np.inf, (53,), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        buffer = DictReplayBuffer(EPISODE, spaces.Dict({"image": STACK, "vector": vector}), ACTIONS)
    arrays = [*buffer.observations.values(), *buffer.next_observations.values()]
    arrays += [buffer.actions, buffer.rewards, buffer.dones, buffer.timeouts]
    return sum(array.nbytes for array in arrays) / EPISODE


def startup(size: Size, told: Told) -> list[Row]:
    """Starts of the product."""
    seconds = []
    for number in range(size.start_ups + 1):  # the first one fills the disk cache
        seconds.append(start())
        told(number + 1, size.start_ups + 1)
    median = statistics.median(seconds[1:])
    spread = f"; {min(seconds[1:]):.2f} to {max(seconds[1:]):.2f} s"
    return [
        Row("start-up to the first step, stand-in", "s", median, goal=Goal("ours", "<=", 6.0), note=START_NOTE + spread)
    ]


def start() -> float:
    """Seconds of one start."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "benchmarks.performance.first_step", "demonstrations=none", "critic_only_updates=0",
            "steps=107", "warmup=103", "eval_episodes=1", "env.max_episode_steps=4", f"hydra.run.dir={folder}/run",
        ]  # fmt: skip
        begun = time.time()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith(first_step.MARK):
            return float(line.removeprefix(first_step.MARK)) - begun
    raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-1000:]}{done.stderr[-1000:]}")


def memory(size: Size, told: Told) -> list[Row]:
    """The largest memory of a run of 5,000 steps."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        command = [
            sys.executable, "-m", "td3sweep", "experiment=described_5k", f"steps={size.memory_steps}", "threads=1",
            f"warmup={min(1000, size.memory_steps - 4)}", f"hydra.run.dir={run}",
        ]  # fmt: skip
        largest, processes = tree_memory.peak(command, Path(folder, "log"))
        summary = json.loads((run / "summary.json").read_text())
    told(1, 1)
    learner = summary["peak_rss_bytes"] / 1e9
    note = f"{MEMORY_NOTE}; {processes} processes; the learner's own peak is {learner:.2f} GB"
    steps = summary["env_steps"]
    return [Row(f"peak memory of {steps:,} steps", "GB", largest / 1e9, goal=Goal("ours", "<=", 1.2), note=note)]
