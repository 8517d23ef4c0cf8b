"""The processes of one sweep, found by the leases in its directory and by /proc; nothing else is ever touched."""

from __future__ import annotations

import json
import os
import signal
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

SIMULATOR = "td3sweep.standin"


@dataclass(frozen=True)
class Process:
    """A process of this machine; its start (clock ticks since boot) tells it from a later one with the same id."""

    pid: int
    start: str

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return _stat(self.pid)[1] == self.start

    @property
    def command(self) -> str:
        """Its command line; empty when it is gone."""
        try:
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""

    def kill(self) -> bool:
        """SIGKILL, if it is still the same process; whether it was."""
        if not self.alive:
            return False
        os.kill(self.pid, signal.SIGKILL)
        return True


def holder(lease: Path) -> Process | None:
    """Who holds a lease, if it lives on this machine."""
    try:
        held = json.loads(lease.read_text())
    except (OSError, ValueError):
        return None
    found = Process(int(held["pid"]), str(held["start"]))
    return found if found.alive else None


def workers(directory: Path) -> dict[int, Process]:
    """The living workers of a sweep by the name of their trial's directory."""
    leases = {int(path.parent.name): holder(path) for path in directory.glob("*/worker.json")}
    return {first: found for first, found in leases.items() if found is not None}


def controllers(directory: Path) -> list[Process]:
    """The living controllers of a sweep."""
    return [found for path in directory.glob("controllers/*.json") if (found := holder(path)) is not None]


def below(root: Process) -> list[Process]:
    """All descendants of a process."""
    children: dict[int, list[Process]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*"):
        parent, start = _stat(int(path.name))
        if start is not None:
            children[parent].append(Process(int(path.name), start))
    found, todo = [], [root]
    while todo:
        found += (new := children[todo.pop().pid])
        todo += new
    return found


def simulators(worker: Process) -> list[Process]:
    """The simulators of a trial."""
    return [found for found in below(worker) if found.command.split()[1:3] == ["-m", SIMULATOR]]  # not their guards


def of_sweep(directory: Path) -> set[Process]:
    """Controllers, workers and whatever runs below them."""
    roots = [*controllers(directory), *workers(directory).values()]
    return {*roots, *(found for root in roots for found in below(root))}


def _stat(pid: int) -> tuple[int, str | None]:
    """Parent and start of a process; no start if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, None
    return int(fields[1]), None if fields[0] in "ZX" else fields[19]
