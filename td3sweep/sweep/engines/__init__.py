"""Where trials run. An engine queues commands, says how each ended, and finds those of an earlier controller again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Job:
    """One command to run in a process of its own.

    Attributes:
        name: what a queue shows.
        command: program and arguments; they hold everything that the job needs to know.
        log: file to which its output is appended.
        slot: which of the sweep's slots it fills, from 0.
    """

    name: str
    command: Sequence[str]
    log: Path
    slot: int


class Engine(Protocol):
    """Runs jobs. Nothing here blocks for longer than it takes to ask a queue.

    A job that gets SIGTERM or SIGUSR2 saves and leaves with 128 plus the signal's number.
    """

    label: str

    def submit(self, job: Job) -> str:
        """Start or queue a job; returns the id by which any later controller can find it.

        Raises:
            UserError: the queue refuses such a job for good.
            SimulatorError: it takes none at present.
        """

    def ended(self, job_id: str) -> str | None:
        """How the job ended, in words ("exit code 1", "ended by SIGKILL", "CANCELLED"); None while it waits or runs.

        An id of another controller, on this or another machine, is answered too: "gone" if it can't be found.
        """

    def stop(self, job_id: str) -> None:
        """Ask a job to save and leave; returns at once. One that still waits in a queue is taken out of it."""

    def close(self) -> None:
        """Let go of what the engine itself started; jobs that must outlive a controller go on."""
