"""What a sweep would cost, from short real runs of its extreme points: ``sweep.plan=true``."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from optuna.distributions import CategoricalDistribution
from rich.console import Console
from rich.table import Table

from td3sweep.config.compose import compose_settings, words_of
from td3sweep.config.env_settings import CarlaSettings
from td3sweep.config.roles import keys_of, role_of
from td3sweep.config.setting import Role
from td3sweep.config.settings import Settings, on_slot
from td3sweep.errors import UserError
from td3sweep.record.progress import format_duration
from td3sweep.sweep.space import Parameter, Space, Value
from td3sweep.sweep.spec import Spec

PROBE_UPDATES, PROBE_STEPS = 24, 60  # after warm-up
SAMPLES = 500  # random points whose cost is averaged
BATCH = "hyperparams.batch_size"
CHECKPOINTS_KEPT = 3  # the newest two and best.pt


@dataclass(frozen=True)
class Probe:
    """What one short run measured.

    Attributes:
        start_s: what a run takes besides its steps and updates.
        step_s, update_s: seconds of an environment step and of an update.
        episode: agent steps of an evaluation episode.
        memory, checkpoint, per_step: bytes: peak, one checkpoint, and what a step leaves on disk.
    """

    start_s: float
    step_s: float
    update_s: float
    episode: float
    memory: float
    checkpoint: float
    per_step: float


def plan(spec: Spec, space: Space, budget: int, console: Console) -> None:
    """Measure and print hours, memory and disk for some widths, on this machine and on nodes like it.

    Raises:
        UserError: the sweep has no end, or a probe failed.
    """
    if budget == sys.maxsize:
        raise UserError("sweep.plan=true without an end: give sweep.trials=N")
    width = spec.search.width
    kinds = kinds_of(space)
    console.print(f"measuring {len(kinds)} extreme configurations, {width} at a time as the sweep would run them ...")
    probes = {kind: probe(spec, space.overrides(point), width) for kind, point in kinds.items()}
    costs = [cost(spec, space, point, probes) for point in sample(space)]
    trial_s = fmean(seconds for seconds, _, _ in costs)
    disk = fmean(size for _, size, _ in costs) * budget
    memory = max(found.memory for found in probes.values())
    runs = budget * len(spec.seeds)
    steps = round(runs * fmean(taken for *_, taken in costs))
    shortest, longest = format_duration(min(costs)[0]), format_duration(max(costs)[0])
    console.print(
        f"{budget} trials x {len(spec.seeds)} seeds = {runs} runs, {steps:,} environment steps; a trial takes "
        f"{format_duration(trial_s)} ({shortest} to {longest}), nothing pruned",
        soft_wrap=True,
    )
    table = Table("engine", "width", "time", "memory", "disk")
    for engine, at_once in rows(width):
        time_s = trial_s * budget / min(at_once, budget)
        place = f"{memory * at_once / 2**30:.1f} GB" if engine == "local" else f"{memory / 2**30:.1f} GB a trial"
        table.add_row(engine, str(at_once), format_duration(time_s), place, f"{disk / 2**30:.2f} GB")
    console.print(table)
    console.print(
        f"local: measured on this machine at width {width}; a width above its {cores()} cores is no faster. "
        "slurm, ray: on nodes like this one, without time in the queue. Nothing was run but the probes.",
        soft_wrap=True,
    )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def rows(width: int) -> list[tuple[str, int]]:
    """Engine and width of every row: local as asked for, a cluster as asked for, doubled and four times as wide."""
    return [("local", width), *(("slurm, ray", times * width) for times in (1, 2, 4))]


def kinds_of(space: Space) -> dict[tuple[Any, ...], dict[str, Value]]:
    """A point for every combination of choices that decide the cost, with the smallest and the largest batch."""
    deciding = [p for p in space.parameters if role_of(p.key) & Role.TIME]
    middle = {p.name: p.edges()[0] for p in space.parameters}
    points = [middle]
    for parameter in deciding:
        points = [{**point, parameter.name: value} for point in points for value in _ends(parameter)]
    return {kind(space, point): point for point in points}


def kind(space: Space, point: Mapping[str, Value]) -> tuple[Any, ...]:
    """The choices of a point that decide the cost, its batch last; a number counts as the nearest one measured."""
    deciding = [p for p in space.parameters if role_of(p.key) & Role.TIME and p.key != BATCH]
    chosen = [min(_ends(p), key=partial(_distance, point[p.name])) for p in deciding]
    batch = next((point[p.name] for p in space.parameters if p.key == BATCH), None)
    return (*chosen, batch)


def _ends(parameter: Parameter) -> list[Value]:
    values = parameter.edges()
    if parameter.key == BATCH or not isinstance(parameter.distribution, CategoricalDistribution):
        numbers = [value for value in values if isinstance(value, (int, float))]
        return [min(numbers), max(numbers)]
    return values


def _distance(value: Value, other: Value) -> float:
    numbers = isinstance(value, (int, float)) and isinstance(other, (int, float))
    return abs(value - other) if numbers else float(value != other)  # type: ignore[operator]


def sample(space: Space) -> list[dict[str, Value]]:
    """Points drawn evenly, to average over; all of a small finite space."""
    if space.size is not None and space.size <= SAMPLES:
        return list(space.points())
    drawn = random.Random(0)
    return [{p.name: drawn.choice(p.values() or p.edges()) for p in space.parameters} for _ in range(SAMPLES)]


def cost(
    spec: Spec, space: Space, point: Mapping[str, Value], probes: Mapping[tuple[Any, ...], Probe]
) -> tuple[float, float, int]:
    """Seconds and bytes of a trial at a point, and steps of each of its runs.

    Between two batch sizes an update's time is a straight line.
    """
    *chosen, batch = kind(space, point)
    same = sorted((key[-1], found) for key, found in probes.items() if list(key[:-1]) == chosen)
    low, high = same[0][1], same[-1][1]
    share = 0.0 if same[0][0] == same[-1][0] else (batch - same[0][0]) / (same[-1][0] - same[0][0])
    update_s = low.update_s + share * (high.update_s - low.update_s)
    numbers = spec.numbers(space, point, keys_of(Role.COUNT))
    steps, warmup = int(numbers["steps"]), int(numbers["warmup"])
    updates = int(numbers["critic_only_updates"]) + (steps - warmup) * float(numbers["updates_per_step"])
    evaluations = math.ceil(steps / int(numbers["eval_every"])) - warmup // int(numbers["eval_every"])
    evaluated = evaluations * int(numbers["eval_episodes"]) * low.episode
    seconds = low.start_s + (steps + evaluated) * low.step_s + updates * update_s
    size = CHECKPOINTS_KEPT * low.checkpoint + steps * low.per_step
    return seconds * len(spec.seeds), size * len(spec.seeds), steps


def probe(spec: Spec, overrides: Sequence[str], width: int) -> Probe:
    """Run a point for a few updates, ``width`` times at once. Raises UserError if it can't be run."""
    settings = compose_settings([*spec.base, *overrides])
    with ThreadPoolExecutor(width) as pool:
        found = list(pool.map(lambda slot: _probe(spec, overrides, settings, width, slot), range(width)))
    return Probe(*(fmean(getattr(one, name) for one in found) for name in Probe.__dataclass_fields__))


def _probe(spec: Spec, overrides: Sequence[str], settings: Settings, width: int, slot: int) -> Probe:
    batch = settings.hyperparams.batch_size
    warmup = batch + settings.recurrent.burn_in + settings.recurrent.sequence_length + settings.n_step + 40
    short = [
        f"warmup={warmup}", f"steps={warmup + PROBE_STEPS}", f"updates_per_step={PROBE_UPDATES / PROBE_STEPS}",
        "critic_only_updates=0", "eval_every=1000000", "eval_episodes=1", "save_every=1000000", "log_every=8",
        "tracking=off", "monitor=warn", "seed=0",
    ]  # fmt: skip
    if settings.demonstrations.name != "none":
        short.append("demonstrations.random_steps=0")  # what is measured is the demonstrator
    env = on_slot(settings, slot)
    if isinstance(env, CarlaSettings) and env.port is not None:
        short.append(f"env.port={env.port}")
    others = words_of(("tracking", "monitor"), spec.base)
    base = [word for word in spec.base if word not in others]
    with tempfile.TemporaryDirectory(prefix="td3sweep-plan-") as folder:
        command = [sys.executable, "-m", "td3sweep", *base, *overrides, *short, f"hydra.run.dir={folder}"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, cores() // width))}
        begun = time.monotonic()
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise UserError(f"sweep.plan=true: the probe {' '.join(overrides)} failed: {said[-1] if said else ''}")
        return _read(Path(folder), warmup + PROBE_STEPS, time.monotonic() - begun)


def _read(folder: Path, steps: int, seconds: float) -> Probe:
    summary = json.loads((folder / "summary.json").read_text())
    sizes = [path.stat().st_size for path in (folder / "checkpoints").glob("step-*.pt")]
    grown = [folder / name for name in ("metrics.jsonl", "episodes.jsonl")] + list((folder / "replay").glob("*"))
    step_s, update_s = 1 / summary["steps_per_s"], 1 / summary["updates_per_s"]
    evaluated = float(summary["final_length"])
    measured = (steps + evaluated) * step_s + summary["updates"] * update_s
    return Probe(
        start_s=max(seconds - measured, 0.0),
        step_s=step_s,
        update_s=update_s,
        episode=evaluated,
        memory=float(summary["peak_rss_bytes"]),
        checkpoint=float(max(sizes)),
        per_step=sum(path.stat().st_size for path in grown) / steps,
    )
