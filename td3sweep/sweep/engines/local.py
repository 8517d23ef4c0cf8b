"""Trials on this machine: one process each, on the slot's share of GPUs and cores."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from td3sweep.envs.carla import guard
from td3sweep.errors import UserError
from td3sweep.sweep.engines import Job

POLITE_S = 60.0  # from SIGTERM to SIGKILL, for a job whose time is over: it saves first


class LocalEngine:
    """Subprocesses that die with this one. A job's id is ``pid``; it means nothing to a later controller."""

    label = "local"

    def __init__(
        self,
        directory: Path,
        width: int,
        *,
        gpus: Sequence[int] | None = None,
        threads: int | None = None,
        timeout_min: float | None = None,
    ) -> None:
        """
        Args:
            directory: the sweep's.
            width: trials at a time.
            gpus: numbers of the GPUs to share out; None for those that this process may see.
            threads: CPU threads a trial; None for the cores over the width.
            timeout_min: minutes after which a job is ended.

        Raises:
            UserError: a number that makes no sense.
        """
        if threads is not None and threads < 1:
            raise UserError(f"hydra.launcher.threads={threads}: give at least 1, or null")
        if timeout_min is not None and timeout_min <= 0:
            raise UserError(f"hydra.launcher.timeout_min={timeout_min}: give minutes above 0, or null")
        self._gpus = [str(gpu) for gpu in gpus] if gpus is not None else visible_gpus()
        self._threads = threads or max(1, len(os.sched_getaffinity(0)) // width)
        self._limit = None if timeout_min is None else 60.0 * timeout_min
        self._jobs: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
        self._told: dict[str, float] = {}

    def submit(self, job: Job) -> str:
        """Start the job; it is ended by the kernel if this process dies."""
        environment = {**os.environ, "OMP_NUM_THREADS": str(self._threads)}
        if self._gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[job.slot % len(self._gpus)]
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, guard.__file__, *job.command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the controller alone, which passes it on
            )
        self._jobs[str(process.pid)] = (process, time.monotonic())
        return str(process.pid)

    def ended(self, job_id: str) -> str | None:
        """How a job ended; one over its time limit is ended first."""
        if job_id not in self._jobs:
            return "gone"
        process, started = self._jobs[job_id]
        now = time.monotonic()
        over = self._limit is not None and now - started > self._limit
        code = process.poll()
        if code is None:
            if over:
                self.stop(job_id)
            if now - self._told.get(job_id, now) > POLITE_S:
                _signal(process, signal.SIGKILL)
            return None
        _signal(process, signal.SIGKILL)  # whoever killed the guard alone left the worker
        del self._jobs[job_id]
        told = self._told.pop(job_id, None) is not None
        return f"its {(self._limit or 0) / 60:g} minutes were over" if over and told else _in_words(code)

    def stop(self, job_id: str) -> None:
        """SIGTERM, once; it saves and leaves."""
        if job_id in self._jobs and job_id not in self._told:
            self._told[job_id] = time.monotonic()
            _signal(self._jobs[job_id][0], signal.SIGTERM)

    def close(self) -> None:
        """End what is left."""
        for process, _ in self._jobs.values():
            _signal(process, signal.SIGKILL)
            process.wait()
        self._jobs.clear()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the group that the job leads."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _in_words(code: int) -> str:
    number = -code if code < 0 else code - 128
    names = {int(known): known.name for known in signal.Signals}
    return f"exit code {code}" if number not in names else f"exit code {code} ({names[number]})"


def visible_gpus() -> list[str]:
    """GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; without a driver none."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [gpu for gpu in named.split(",") if gpu]
    return [str(number) for number, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))]
