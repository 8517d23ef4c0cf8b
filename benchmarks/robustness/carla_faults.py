"""A hundred faults of the simulator in one training run.

``python -m benchmarks.robustness.carla_faults [--faults N] [--write]``.

The server is the stand-in, started through `faulty_server.py`, which plays one fault a start: it hangs, crashes,
loads too slowly, loses, delays or garbles a camera frame, finds its port taken when it is started again, or is gone
for a minute. Every picture bears its frame number and its place (`-fault-stamp-frames`), so that each transition can
be checked on its way into the replay and where it lies at the end; the learner's networks and optimisers are compared
before and after each fault. ``--write`` puts the result into ``docs/data`` and ``docs/carla.md``.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from benchmarks.learning.former import PLAIN
from benchmarks.page import CARLA, replace_section
from benchmarks.robustness.carla_faults_watch import Watch
from td3sweep.assemble.environment import build_env
from td3sweep.config.compose import compose_settings
from td3sweep.record.console import console_log
from td3sweep.record.rundir import RunDirectory
from td3sweep.training.build import build_trainer
from td3sweep.training.run import finished, summarise

ROOT = Path(__file__).parents[2]
DATA = ROOT / "docs/data/carla_faults.json"
REPEAT = 4
TIMEOUTS = {"start": 30.0, "load": 5.0, "tick": 2.0, "frame": 1.0}  # seconds
SLOW_LOAD_S = 8.0
SQUAT_S = 18.0  # longer than the environment waits for its own old port, and than it takes to notice the crash
KINDS = {
    "hang": "hangs in a tick",
    "crash": "dies in a tick",
    "lost frame": "a camera frame never comes",
    "slow load": f"takes {SLOW_LOAD_S:g} s to load a map, {TIMEOUTS['load']:g} s allowed",
    "late frame": "a camera frame comes one tick late",
    "garbled frame": "a camera frame is twenty bytes of rubbish",
    "port taken": f"dies; somebody else then listens on its port for {SQUAT_S:g} s",
    "gone": "does not start again for a minute",
}
RARE = {"port taken": 25, "gone": 50}  # the slow kinds: one in so many
EXPECTED = {  # kinds of fault that the trainer may count for it, the first of them at least once
    "hang": ("hang",),
    "crash": ("crash",),
    "slow load": ("load",),
    "lost frame": ("frame",),
    "late frame": ("frame",),
    "garbled frame": ("client",),
    "port taken": ("port", "crash"),
    "gone": ("start",),
}


def planned(faults: int, gone_s: float, rng: random.Random) -> list[tuple[str, str]]:
    """Kinds and plan lines: the quick kinds in turn, the others spread among them; ticks at random."""
    often = [kind for kind in KINDS if kind not in RARE]
    rare = [kind for kind, share in RARE.items() for _ in range(max(1, faults // share))]
    kinds = [often[index % len(often)] for index in range(faults - len(rare))]
    rounds = len(kinds) // len(often)
    for index, kind in enumerate(rare):  # behind a hang, which comes after good steps: five in a row would end the run
        kinds.insert((index + 1) * rounds // (len(rare) + 1) * len(often) + 1 + index, kind)
    return [(kind, _line(kind, gone_s, rng.randint(60, 110))) for kind in kinds]


def _line(kind: str, gone_s: float, ticks: int) -> str:
    return {
        "hang": f"-fault-hang-after={ticks}",
        "crash": f"-fault-crash-after={ticks}",
        "slow load": f"-fault-slow-load={SLOW_LOAD_S}",
        "lost frame": f"-fault-drop-frame-every={ticks}",
        "late frame": f"-fault-late-frame-every={ticks}",
        "garbled frame": f"-fault-garble-frame-every={ticks}",
        "port taken": f"port {SQUAT_S} -fault-crash-after={ticks}",
        "gone": f"gone {gone_s}",
    }[kind]


def overrides(plan: Path, port: int, steps: int, seed: int) -> list[str]:
    """The run's settings: small, and with short time limits."""
    command = json.dumps([sys.executable, "-m", "benchmarks.robustness.faulty_server", str(plan)])
    small = (
        "warmup=60 updates_per_step=.1 hyperparams.batch_size=16 log_every=10 eval_every=1000000 eval_episodes=1 "
        "env.max_episode_steps=15 tracking=off threads=1 save_every=100000 "
        "env.flags=[-fault-stamp-frames,-fault-count-driven]"
    )
    limits = [f"env.timeouts.{key}={value}" for key, value in TIMEOUTS.items()]
    task = [f"steps={steps}", f"replay.capacity={2 * steps}", f"env.action_repeat={REPEAT}", f"seed={seed}"]
    return [*PLAIN, *small.split(), *task, *limits, "env.server=command", f"env.command={command}", f"env.port={port}"]


def measure(faults: int, *, gone_s: float = 60.0, seed: int = 0) -> dict[str, Any]:
    """One run; what was injected, what was counted, and every check."""
    from td3sweep.envs.carla.ports import free_block

    plan = planned(faults, gone_s, random.Random(seed))
    ticks = [int(found[1]) for _, line in plan if (found := re.search(r"-(?:after|every)=(\d+)", line))]
    steps = sum(ticks) // REPEAT + 100  # a server takes at most so many good steps: the plan is used up before the end
    block = free_block()
    block.release()
    with tempfile.TemporaryDirectory(prefix="td3sweep-faults-") as home:
        path = Path(home)
        (path / "plan").write_text("".join(line + "\n" for _, line in plan))
        settings = compose_settings(overrides(path / "plan", block.first, steps, seed))
        directory = RunDirectory(path / "run")
        directory.open(settings)
        begun = time.monotonic()
        with console_log(directory.console) as console:
            env = build_env(settings, directory.path)
            try:
                trainer = build_trainer(settings, directory, env, console=console, interrupted=lambda: False)
                watch = Watch(trainer, REPEAT)
                trainer.run()
                summary = {"finished": finished(trainer), **summarise(trainer)}
                trainer.recorder.close(summary)
            finally:
                env.close()
        seconds = time.monotonic() - begun
        played = [line for line in (path / "plan.played").read_text().splitlines() if line]
        log = directory.console.read_text()
        watch.check_replay()
        rows = [json.loads(line) for line in directory.metrics.read_text().splitlines()]
    last = [row for row in rows if "env/faults" in row][-1]
    found = report(plan, played, log, summary | {"last_row": last}, watch)
    return found | {"seconds": round(seconds), "seed": seed}


def report(
    plan: list[tuple[str, str]],
    played: list[str],
    log: str,
    summary: dict[str, Any],
    watch: Watch,
) -> dict[str, Any]:
    """Everything as plain values, with the checks that must hold."""
    logged = [line for line in log.splitlines() if re.search(r"the episode is discarded \(fault \d+, \w+\)", line)]
    counted, injected = summary["faults_by_kind"], Counter(kind for kind, _ in plan)
    seen = {kind for kind, found in EXPECTED.items() if injected[kind] and counted.get(found[0])}
    left = [child.pid for child in psutil.Process().children(recursive=True)]
    checks = {
        "the run ended by itself, evaluated": summary["finished"],
        "every planned fault was played": played == [line for _, line in plan],
        "at least as many faults were counted": summary["faults"] >= len(plan),
        "one line in the log for each": len(logged) == summary["faults"],
        "the kinds add up to the total": sum(counted.values()) == summary["faults"],
        "the last row of the metrics counts them all": summary["last_row"]["env/faults"] == summary["faults"],
        "each kind was seen as what it is": seen == {kind for kind in injected if injected[kind]},
        "no step whose picture, place and frame number disagree": watch.torn_steps == 0,
        "no stored transition whose frames do not follow each other": watch.torn_transitions == 0,
        "every good step is stored, none of a discarded episode": watch.stored
        == summary["env_steps"] - watch.discarded,
        "no frame of a discarded episode is stored": watch.strays == 0,
        "updates counted on without a gap": watch.update_gaps == 0,
        "networks and optimisers the same after each fault": watch.learner_changes == 0,
        "no process is left": not left,
    }
    return {
        "injected": dict(injected),
        "counted": counted,
        "faults": summary["faults"],
        "steps": summary["env_steps"],
        "updates": summary["updates"],
        "steps_checked": watch.steps,
        "transitions_checked": watch.stored,
        "steps_discarded": watch.discarded,
        "recovery_s": {
            kind: {"n": len(times), "median": round(statistics.median(times), 1), "max": round(max(times), 1)}
            for kind, times in sorted(watch.recoveries.items())
        },
        "checks": {claim: bool(holds) for claim, holds in checks.items()},
        "log": logged,
    }


def section(found: dict[str, Any]) -> str:
    """What the documentation says of it."""
    rows = []
    for kind, what in KINDS.items():
        wanted = EXPECTED[kind][0]
        recovery = found["recovery_s"].get(wanted)
        time_text = "" if recovery is None else f"{recovery['median']:g} ({recovery['max']:g})"
        rows.append(f"| {kind} | {what} | {found['injected'].get(kind, 0)} | `{wanted}` | {time_text} |")
    held = sum(found["checks"].values())
    counted = ", ".join(f"{n} {kind}" for kind, n in sorted(found["counted"].items()))
    return "\n".join(
        [
            "| fault | the server | injected | counted as | seconds to the next good step: median (most) |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"{sum(found['injected'].values())} faults injected into one run of {found['steps']:,} steps and "
            f"{found['updates']:,} updates; {found['faults']} counted ({counted}: a port taken is a crash first, and a "
            f"server that is gone fails more than one start). {found['transitions_checked']:,} stored transitions "
            f"checked frame by frame, {found['steps_discarded']:,} steps of broken episodes discarded, {held} of "
            f"{len(found['checks'])} checks hold.",
        ]
    )


def main() -> None:
    """Measure and print; exit with 1 if a check fails."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.robustness.carla_faults", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--gone", type=float, default=60.0, help="seconds that a server which is gone stays away")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="into docs/data and docs/carla.md")
    given = parser.parse_args()
    found = measure(given.faults, gone_s=given.gone, seed=given.seed)
    log = found.pop("log")
    print(section(found))
    for claim, holds in found["checks"].items():
        print(f"{'holds' if holds else 'FAILS':6} {claim}")
    good = all(found["checks"].values())
    if not good:
        print(json.dumps(found, indent=1), *log, sep="\n")
    if given.write:
        DATA.write_text(json.dumps(found, indent=1) + "\n")
        replace_section("faults", section(found), CARLA)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
