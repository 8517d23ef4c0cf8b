"""Trials on this machine: one process each, on the slot's share of GPUs and cores."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from td3sweep.errors import UserError
from td3sweep.process.children import how
from td3sweep.sweep.engines import Job, child

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
            threads: CPU threads per trial; None for the cores over the width.
            timeout_min: minutes after which a job is ended.

        Raises:
            UserError: a number that makes no sense.
        """
        if threads is not None and threads < 1:
            raise UserError(f"hydra.launcher.threads={threads}: give at least 1, or null")
        if timeout_min is not None and timeout_min <= 0:
            raise UserError(f"hydra.launcher.timeout_min={timeout_min}: give minutes above 0, or null")
        self._gpus = [str(gpu) for gpu in gpus] if gpus is not None else visible_gpus() or None
        self._threads = threads or max(1, len(os.sched_getaffinity(0)) // width)
        self._limit = None if timeout_min is None else 60.0 * timeout_min
        self._jobs: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
        self._told: dict[str, float] = {}

    def submit(self, job: Job) -> str:
        """Start the job; it is ended by the kernel if this process dies."""
        environment = {"OMP_NUM_THREADS": str(self._threads)}
        if self._gpus is not None:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[job.slot % len(self._gpus)] if self._gpus else ""
        process = child.start(job.command, job.log, environment)
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
                process.kill()
            return None
        del self._jobs[job_id]
        told = self._told.pop(job_id, None) is not None
        return f"its {(self._limit or 0) / 60:g} minutes were over" if over and told else how(code)

    def stop(self, job_id: str) -> None:
        """SIGTERM, once; it saves and leaves."""
        if job_id in self._jobs and job_id not in self._told:
            self._told[job_id] = time.monotonic()
            self._jobs[job_id][0].terminate()

    def close(self) -> None:
        """End what is left."""
        for process, _ in self._jobs.values():
            process.kill()
            process.wait()
        self._jobs.clear()


def visible_gpus() -> list[str]:
    """GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; without a driver none."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [gpu for gpu in named.split(",") if gpu]
    return [str(number) for number, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))]
