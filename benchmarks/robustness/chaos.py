"""Kills everything that a sweep consists of, at random moments, and counts what is lost: nothing may be.

``python -m benchmarks.robustness.chaos local|slurm [--storage journal|postgresql]`` runs a sweep of a quick task on a
real engine and a real storage, kills -9 its controller (and repeats the command), its workers, their simulators and
the database server, asks the controller once to leave by SIGTERM, and then checks the study and every directory
against each other. Slurm and PostgreSQL are those of the tests: own servers on loopback, root.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.learning.former import PLAIN
from benchmarks.robustness.chaos_check import Check, check
from benchmarks.robustness.chaos_processes import Process, of_sweep, simulators, workers

SERVERS = Path(__file__).parents[2] / "tests/sweep"
STEPS = 80
TASK = [  # of a few seconds
    *PLAIN,
    *f"steps={STEPS} warmup=40 updates_per_step=1.0 hyperparams.batch_size=16 log_every=10 eval_every=20 "
    "eval_episodes=1 env.max_episode_steps=40 tracking=off monitor=off replay.capacity=1000 save_every=20 "
    "hyperparams.gamma=interval(.9,.99)".split(),
]
RETRIES = 10  # more kills than this may not meet one trial
TRIES = 3  # times that a command which ended by itself too early is repeated


class Database(Protocol):
    """A server that can die and come back."""

    url: str

    def stop(self, how: signal.Signals) -> None:
        """Kill it."""

    def start(self) -> None:
        """Start it again."""


@dataclass
class Storm:
    """A sweep, and what is done to it.

    Attributes:
        command: the sweep's.
        directory: the sweep's.
        database: to kill as well, if there is one.
        plan: what is still to be killed, in this order; "sigterm" asks the controller to leave.
        every: mean seconds between two kills.
        hits: kills so far by kind.
        endings: exit codes of the command where we had not ended it, oldest first.
        seen: every process of the sweep.
    """

    command: list[str]
    directory: Path
    database: Database | None
    plan: list[str]
    every: float
    rng: random.Random
    hits: Counter[str] = field(default_factory=Counter)
    endings: list[int] = field(default_factory=list)
    seen: set[Process] = field(default_factory=set)
    log: Path = Path()

    def __post_init__(self) -> None:
        self.log = self.directory.with_name(f"{self.directory.name}.log")

    def run(self, patience: float) -> float:
        """Start the sweep, kill, repeat its command until it says that it is done; returns the seconds it took."""
        begun = time.monotonic()
        self._launch()
        due = begun + self._pause()
        try:
            while time.monotonic() - begun < patience:
                self.seen |= of_sweep(self.directory)
                if self._controller.poll() is not None:
                    self.endings.append(self._controller.returncode)
                    if self._controller.returncode == 0 or len(self.endings) >= TRIES:
                        return time.monotonic() - begun
                    self._launch()
                if self.plan and time.monotonic() >= due and self._strike(self.plan[0]):
                    self.hits[self.plan.pop(0)] += 1
                    due = time.monotonic() + self._pause()
                time.sleep(0.3)
        finally:
            if self._controller.poll() is None:
                self._controller.kill()
        raise TimeoutError(f"{self.directory}: not done after {patience:g} s; {self.log.read_text()[-4000:]}")

    def _pause(self) -> float:
        return self.rng.uniform(0.2, 1.8) * self.every

    def _launch(self) -> None:
        with self.log.open("ab") as output:
            self._controller = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def _strike(self, kind: str) -> bool:
        """Kill one of its processes; False if there was nothing to kill just now."""
        busy = workers(self.directory)
        targets = list(busy.values())
        if kind == "simulator":
            targets = [found for worker in targets for found in simulators(worker)]
        if not targets and kind != "storage":
            return False
        with self.log.open("a") as output:
            output.write(f"# {time.strftime('%X')} {kind}\n")
        if kind in ("controller", "sigterm"):
            self._controller.send_signal(signal.SIGTERM if kind == "sigterm" else signal.SIGKILL)
            self._controller.wait()
            time.sleep(self.rng.uniform(0.0, 3.0))
            self._launch()
            return True
        if kind == "storage":
            assert self.database is not None
            self.database.stop(signal.SIGKILL)
            time.sleep(self.rng.uniform(2.0, 6.0))
            self.database.start()
            return True
        return self.rng.choice(targets).kill()


def planned(kills: int, database: bool, rng: random.Random) -> list[str]:
    """What to kill, in a random order: as many of each kind as can be, one SIGTERM beside them."""
    kinds = ["controller", "worker", "simulator", *(["storage"] if database else [])]
    plan = [kinds[i % len(kinds)] for i in range(kills)] + ["sigterm"]
    rng.shuffle(plan)
    return plan


@contextmanager
def sweep_on(engine: str, storage: str, options: list[str]) -> Iterator[tuple[list[str], Path, Database | None]]:
    """The command of a sweep with ``options``, its directory, and its database; all servers end with the context."""
    sys.path.insert(0, str(SERVERS))
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="td3sweep-chaos-")))
        directory, database = home / f"{engine}-{storage}", None
        command = [sys.executable, "-m", "td3sweep", "--multirun", *TASK, f"hydra.sweep.dir={directory}", *options]
        if storage == "postgresql":
            import postgres_server

            database = postgres_server.PostgresServer()
            stack.callback(database.remove)
            command.append(f"sweep.storage={database.url}")
        if engine == "slurm":
            import slurm_cluster

            cluster = slurm_cluster.SlurmCluster(home / "slurm")
            stack.callback(cluster.stop)
            cluster.start()
            os.environ.update(cluster.environment)
            command += ["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.timeout_min=30"]
        yield command, directory, database


def measure(engine: str, storage: str, *, trials: int, plan: list[str], every: float, seed: int) -> dict[str, Any]:
    """One sweep in a storm; what was killed, what came of it, and every check."""
    options = [f"sweep.trials={trials}", "sweep.width=2", f"sweep.retries={RETRIES}"]
    with sweep_on(engine, storage, options) as (command, directory, database):
        storm = Storm(command, directory, database, list(plan), every, random.Random(seed))
        seconds = storm.run(patience=60.0 * (trials + len(plan)))
        time.sleep(2.0)  # a guard may still be ending a simulator
        url = None if database is None else database.url
        checks = [
            Check("the command ended once, by itself, with 0", str(storm.endings), storm.endings == [0]),
            *check(directory, url, trials, STEPS, sorted(storm.seen, key=lambda found: found.pid)),
        ]
        entries = json.loads((directory / "sweep.json").read_text())["trials"]
        faults = [json.loads(path.read_text())["faults"] for path in directory.glob("*/seed-*/summary.json")]
        bad = not all(one.holds for one in checks)
        return {
            "engine": engine,
            "storage": storage,
            "trials": trials,
            "seed": seed,
            "kills": dict(storm.hits),
            "not_made": storm.plan,
            "trials_tried_again": sum(entry["number"] != entry["first"] for entry in entries),
            "retries_used_by_one_trial": max(entry["attempt"] for entry in entries),
            "simulators_replaced": sum(faults),
            "seconds": round(seconds),
            "checks": [asdict(one) for one in checks],
            "log": storm.log.read_text()[-4000:] if bad else "",
        }


def main() -> None:
    """Measure and print; exit with 1 if a check fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness.chaos", description=__doc__.split("\n")[0])
    parser.add_argument("engine", choices=("local", "slurm"))
    parser.add_argument("--storage", choices=("journal", "postgresql"), default="journal")
    parser.add_argument("--trials", type=int, default=40, help="logical trials")
    parser.add_argument("--kills", type=int, default=12, help="kills -9 in all, spread over the kinds")
    parser.add_argument("--every", type=float, default=30.0, help="mean seconds between two kills")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed when")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    plan = planned(given.kills, given.storage == "postgresql", random.Random(given.seed))
    found = measure(given.engine, given.storage, trials=given.trials, plan=plan, every=given.every, seed=given.seed)
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        show(found)
    sys.exit(0 if all(one["holds"] for one in found["checks"]) else 1)


def show(found: dict[str, Any]) -> None:
    """The result as text."""
    for key in [key for key in found if key not in ("checks", "log")]:
        print(f"{key.replace('_', ' '):28} {found[key]}")
    for one in found["checks"]:
        print(f"{'holds' if one['holds'] else 'FAILS':6} {one['claim']}: {one['found']}")
    print(found["log"], end="")


if __name__ == "__main__":
    main()
