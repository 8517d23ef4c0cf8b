"""A trial inside a Slurm job: the callable that submitit runs on the job's node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import cast

from submitit.core.utils import DelayedSubmission, UncompletedJobError

from td3sweep.process.children import how
from td3sweep.sweep.engines import child

POLL_S = 0.2
REQUEUE_TRIES = 10
REQUEUE_EVERY_S = 3.0

Requeue = Callable[[int, FrameType | None], None]


def end_note(folder: Path, job_id: str) -> child.EndNote:
    """Where the job of this id says how its command ended."""
    return child.EndNote(folder / f"{job_id}.end")


@dataclass(frozen=True)
class SlurmTrial:
    """Runs one command, passes signals on to it, and requeues the job if the command saved because time is up.

    SIGUSR2 is Slurm's warning (time limit, preemption); SIGTERM is for good.
    """

    command: Sequence[str]
    log: Path
    folder: Path
    cpus: int

    def __call__(self) -> None:
        """Run the command and leave with its exit code."""
        note = end_note(self.folder, os.environ["SLURM_JOB_ID"])
        note.remove()
        requeue = cast(Requeue, signal.getsignal(signal.SIGUSR2))  # submitit's
        received: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
        signal.signal(signal.SIGUSR2, lambda number, _: received.append(number))
        place = child.placed(self.cpus, gpu="SLURM_JOB_GPUS" in os.environ)
        process = child.start(self.command, self.log, place)
        passed_on = 0
        while process.poll() is None:
            for number in received[passed_on:]:
                process.send_signal(number)
                passed_on += 1
            time.sleep(POLL_S)
        code = process.returncode
        # -SIGUSR2: it came before the command could listen.
        if signal.SIGTERM not in received and code in (child.SIGNALLED + signal.SIGUSR2, -signal.SIGUSR2):
            _go_on_later(requeue)
        note.write(how(code))
        sys.exit(code if code >= 0 else child.SIGNALLED - code)

    def checkpoint(self) -> DelayedSubmission:
        """What the requeued job runs: the same again; the command itself knows where to go on."""
        return DelayedSubmission(self)


def _go_on_later(requeue: Requeue) -> None:
    """Save what the next attempt runs, requeue the job and exit; return if this must be its end."""
    for _ in range(REQUEUE_TRIES):
        try:
            requeue(signal.SIGUSR2, None)
        except UncompletedJobError:  # timed out more often than max_num_timeout
            return
        except subprocess.SubprocessError:  # Slurm does not answer
            time.sleep(REQUEUE_EVERY_S)
