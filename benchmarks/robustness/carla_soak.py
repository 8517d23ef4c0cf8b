"""Long training on the stand-in with a fault per minute.

``python -m benchmarks.robustness.carla_soak [--minutes 60] [--write]``.

The command line trains in a process of its own with client and server restarted every so many episodes. From outside,
once a minute, the server is killed, the server is stopped (it hangs), or the client's process is killed, in turn.
Memory, open files and processes are read every few seconds; what comes out is their slopes, with an interval, and
what was left. ``--write`` puts the samples into ``docs/data`` and the result into ``docs/carla.md``. Without faults
and restarts (``--every 0 --restart-every 0``) it shows what one client and one server gain.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from scipy.stats import theilslopes

from benchmarks.learning.former import PLAIN
from benchmarks.page import CARLA, replace_section

DATA = Path(__file__).parents[2] / "docs/data/carla_soak.json"
ROLES = {"client": "td3sweep.envs.carla.isolated", "server": "td3sweep.standin"}  # of the trainer's descendants
WARM_UP = 0.25  # share of the samples before memory is judged: until then the replay fills
SAVE_S = 60.0  # for the trainer to save and leave
START_S = 600.0  # to its first episode
TASK = [
    *PLAIN,
    *("steps=10000000", "warmup=500", "updates_per_step=.1", "hyperparams.batch_size=16", "replay.capacity=3000"),
    *("log_every=25", "eval_every=5000", "eval_episodes=1", "save_every=5000", "tracking=off", "threads=1"),
    *("env.max_episode_steps=100", "env.timeouts.tick=2"),
]
STRIKES: tuple[tuple[str, str, signal.Signals], ...] = (
    ("server killed", "server", signal.SIGKILL),
    ("server stopped", "server", signal.SIGSTOP),
    ("client killed", "client", signal.SIGKILL),
)


@dataclass
class Soak:
    """One training process, what is done to it, and what it holds.

    Attributes:
        run: the run's directory.
        samples: columns by name; memory in MB, summed over the processes of a role.
        strikes: faults made so far by kind.
        seen: every process of it.
    """

    run: Path
    restart_every: int
    samples: dict[str, list[float]] = field(default_factory=dict)
    strikes: Counter[str] = field(default_factory=Counter)
    seen: set[psutil.Process] = field(default_factory=set)

    def start(self) -> None:
        """Begin to train; return when the first episode is over."""
        restart = [f"env.restart_every={self.restart_every}"] if self.restart_every else []
        command = [sys.executable, "-m", "td3sweep", *TASK, *restart, f"hydra.run.dir={self.run}"]
        with self.run.with_suffix(".log").open("ab") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.trainer = psutil.Process(self._process.pid)
        self.begun = time.monotonic()
        episodes = self.run / "episodes.jsonl"
        while not (episodes.exists() and episodes.stat().st_size):
            self._check(self.begun + START_S)
            time.sleep(0.2)
        self.begun = time.monotonic()

    def drive(self, seconds: float, every: float, sample_every: float) -> None:
        """Sample and strike for so long; raises RuntimeError if the trainer ends before."""
        end, strike_at, sample_at = self.begun + seconds, self.begun + (every or float("inf")), 0.0
        while (now := time.monotonic()) < end:
            self._check(float("inf"))
            if now >= sample_at:
                self.sample()
                sample_at = now + sample_every
            if now >= strike_at and self.strike():
                strike_at += every
            time.sleep(0.1)

    def _check(self, deadline: float) -> None:
        if self._process.poll() is not None or time.monotonic() > deadline:
            tail = self.run.with_suffix(".log").read_text()[-2000:]
            raise RuntimeError(f"the trainer is late, or ended with {self._process.returncode}: {tail}")

    def sample(self) -> None:
        """One row: memory and files by role, and how many processes there are."""
        found = {"trainer": [self.trainer], **{role: self.descendants(role) for role in ROLES}}
        row = {"minute": (time.monotonic() - self.begun) / 60.0}
        for role, processes in found.items():
            row[f"{role}_mb"] = sum(_read(lambda p=one: p.memory_info().rss) for one in processes) / 1e6
            row[f"{role}_files"] = sum(_read(one.num_fds) for one in processes)
        row["processes"] = 1 + len(self.trainer.children(recursive=True))
        for name, value in row.items():
            self.samples.setdefault(name, []).append(round(value, 2))

    def descendants(self, role: str) -> list[psutil.Process]:
        """The living processes of a role."""
        found = []
        for child in self.trainer.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                self.seen.add(child)
                if child.cmdline()[1:3] == ["-m", ROLES[role]]:  # not the server's guard, whose line ends so
                    found.append(child)
        return found

    def strike(self) -> bool:
        """Make the next fault; False while there is nothing to hit."""
        name, role, number = STRIKES[sum(self.strikes.values()) % len(STRIKES)]
        targets = self.descendants(role)
        if not targets:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            targets[0].send_signal(number)  # psutil refuses an id that another process has taken
            self.strikes[name] += 1
            return True
        return False

    def stop(self) -> int:
        """Ask the trainer to save and leave; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(SAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def left(self) -> list[str]:
        """Command lines of what still runs after a moment."""
        psutil.wait_procs(self.seen, timeout=20.0)
        alive = [one for one in self.seen if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        return [" ".join(one.cmdline()) for one in alive]


def _read(what: Callable[[], float]) -> float:
    try:
        return what()
    except psutil.Error:
        return 0.0


def slopes(samples: dict[str, list[float]]) -> dict[str, list[float]]:
    """Theil-Sen slope an hour of every column, with its 95 % interval, after the warm-up."""
    first = int(WARM_UP * len(samples["minute"]))
    hours = [minute / 60.0 for minute in samples["minute"][first:]]
    found = {}
    for name in samples:
        if name != "minute":
            rows = [
                (h, v) for h, v in zip(hours, samples[name][first:], strict=True) if v > 0
            ]  # 0: just being replaced
            slope, _, low, high = theilslopes([v for _, v in rows], [h for h, _ in rows])
            found[name] = [round(float(value), 2) for value in (slope, low, high)]
    return found


def measure(minutes: float, *, every: float, restart_every: int, sample_every: float = 10.0) -> dict[str, Any]:
    """One soak as plain values."""
    with tempfile.TemporaryDirectory(prefix="td3sweep-soak-") as home:
        soak = Soak(Path(home) / "run", restart_every)
        soak.start()
        try:
            soak.drive(60.0 * minutes, every, sample_every)
        finally:
            code = soak.stop()
        left = soak.left()
        summary = json.loads((soak.run / "summary.json").read_text())
        return {
            "minutes": minutes,
            "fault_every_s": every,
            "restart_every_episodes": restart_every,
            "steps": summary["env_steps"],
            "updates": summary["updates"],
            "episodes": summary["episodes"],
            "strikes": dict(soak.strikes),
            "faults": summary["faults_by_kind"],
            "processes_seen": len(soak.seen),
            "exit_code": code,
            "left": left,
            "slopes_per_hour": slopes(soak.samples),
            "samples": soak.samples,
        }


def section(found: dict[str, Any]) -> str:
    """The markdown table of one soak."""
    slope = found["slopes_per_hour"]

    def text(name: str) -> str:
        return "{:+.1f} ({:+.1f} to {:+.1f})".format(*slope[name])

    files = "; ".join(f"{role} {text(f'{role}_files')}" for role in ("trainer", "client", "server"))
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(found["faults"].items())) or "none"
    done = ", ".join(f"{found[what]:,} {what}" for what in ("steps", "episodes", "updates"))
    rows = {
        "length": f"{found['minutes']:g} min, {done}",
        "faults made": ", ".join(f"{count} x {name}" for name, count in found["strikes"].items()) or "none",
        "faults counted": counted,
        "client and server restarted": f"every {found['restart_every_episodes']} episodes"
        if found["restart_every_episodes"]
        else "never",
        **{f"memory of the {role}, MB an hour": text(f"{role}_mb") for role in ("trainer", "client", "server")},
        "open files an hour": files,
        "processes": f"{found['processes_seen']} started below the trainer, {len(found['left'])} left",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def main() -> None:
    """Measure and print; exit with 1 if something was left or the trainer did not leave as asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.robustness.carla_soak", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two faults; 0: none")
    parser.add_argument("--restart-every", type=int, default=20, help="episodes; 0: never")
    parser.add_argument("--json", type=Path, help="write the whole result there")
    parser.add_argument("--write", action="store_true", help="into docs/data and docs/carla.md")
    given = parser.parse_args()
    found = measure(given.minutes, every=given.every, restart_every=given.restart_every)
    text = json.dumps(found, separators=(",", ":")) + "\n"
    print(section(found))
    if given.json:
        given.json.write_text(text)
    if given.write:
        DATA.write_text(text)
        replace_section("soak", section(found), CARLA)
    sys.exit(0 if found["exit_code"] == 128 + signal.SIGTERM and not found["left"] else 1)


if __name__ == "__main__":
    main()
