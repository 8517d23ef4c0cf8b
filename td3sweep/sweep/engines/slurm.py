"""Trials as Slurm jobs, submitted with submitit."""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from td3sweep.errors import SimulatorError, UserError
from td3sweep.sweep.engines import Job
from td3sweep.sweep.engines.slurm_queue import SlurmQueue, one_line

if TYPE_CHECKING:
    from submitit import SlurmExecutor

PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol")
# What sbatch says when the same request may be granted later.
TEMPORARY = ("contact slurm controller", "timed out", "Zero Bytes", "temporarily", "submit limit", "Slurm backup")
STOP_PATIENCE_S = 10.0


class SlurmEngine:
    """Queues each trial as a job of its own.

    The job's batch process is submitit's Python itself, not a shell and not a step: so Slurm's warning (SIGUSR2) and
    `stop` (SIGTERM) reach it alone, and a simulator below the trial does not die while the trial saves.
    """

    label = "slurm"

    def __init__(
        self,
        *,
        directory: Path,
        width: int,
        partition: str | None,
        account: str | None,
        qos: str | None,
        constraint: str | None,
        exclude: str | None,
        gres: str | None,
        timeout_min: int,
        cpus_per_task: int,
        gpus_per_node: int | str | None,
        mem_gb: float | None,
        signal_delay_s: int,
        max_num_timeout: int,
        setup: Sequence[str],
        additional_parameters: Mapping[str, Any],
    ) -> None:
        """See conf/hydra/launcher/slurm.yaml; ``width`` is the controller's, Slurm queues whatever it gets.

        Raises:
            UserError: submitit or Slurm is missing here, or a value makes no sense.
        """
        for name, value, least in (
            ("timeout_min", timeout_min, 1),
            ("cpus_per_task", cpus_per_task, 1),
            ("signal_delay_s", signal_delay_s, 1),
            ("max_num_timeout", max_num_timeout, 0),
        ):
            if not isinstance(value, int) or value < least:
                raise UserError(f"hydra.launcher.{name}={value}: give a whole number from {least}")
        if mem_gb is not None and not (isinstance(mem_gb, int | float) and mem_gb > 0):
            raise UserError(f"hydra.launcher.mem_gb={mem_gb}: give a number above 0, or null for Slurm's default")
        if isinstance(setup, str):  # of which each letter would be a line
            raise UserError(f"hydra.launcher.setup={setup}: give a list of shell lines, such as ['module load cuda']")
        self._folder = Path(directory).absolute() / "slurm"
        self._cpus = cpus_per_task
        self._queue = SlurmQueue()
        self._stopping: list[subprocess.Popen[bytes]] = []
        self._executor = self._make_executor(max_num_timeout)
        asked = {
            "partition": partition,
            "account": account,
            "qos": qos,
            "constraint": constraint,
            "exclude": exclude,
            "gres": gres,
            "time": timeout_min,
            "cpus_per_task": cpus_per_task,
            "gpus_per_node": gpus_per_node,
            "mem": None if mem_gb is None else f"{round(mem_gb * 1024)}M",
        }
        self._executor.update_parameters(
            **{name: value for name, value in asked.items() if value is not None},
            stderr_to_stdout=True,
            use_srun=False,
            setup=list(setup),
            # B: the batch process alone gets the warning. submitit's own setting would signal every process of the job.
            additional_parameters={
                "signal": f"B:USR2@{signal_delay_s}",
                "requeue": True,
                **additional_parameters,
            },
        )

    def submit(self, job: Job) -> str:
        """See `Engine.submit`.

        Raises:
            UserError: Slurm refuses such a job.
            SimulatorError: Slurm does not answer, or takes no more jobs at present.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        from td3sweep.sweep.engines.slurm_job import SlurmTrial

        self._executor.update_parameters(job_name=job.name)
        trial = SlurmTrial(tuple(job.command), job.log.absolute(), self._folder, self._cpus)
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # submitit prints what it raises
                submitted = self._executor.submit(trial)
        except (FailedJobError, FailedSubmissionError) as error:
            said = one_line(error).removeprefix("sbatch: error: ")
            if any(words in said for words in TEMPORARY):
                raise SimulatorError(f"Slurm takes no job just now: {said}") from error
            raise UserError(f"hydra/launcher=slurm: sbatch refuses the job: {said}") from error
        self._queue.changed()
        return str(submitted.job_id)

    def ended(self, job_id: str) -> str | None:
        """See `Engine.ended`. The queue decides whether, the job's own note says how."""
        from td3sweep.sweep.engines.slurm_job import end_note

        state = self._queue.final(job_id)
        if state is None:
            return None
        return end_note(self._folder, job_id).read() or state

    def stop(self, job_id: str) -> None:
        """See `Engine.stop`. A running job's SIGTERM reaches its batch process only, and does not requeue it."""
        # Not waited for: each would take seconds while slurmctld is away.
        self._stopping = [command for command in self._stopping if command.poll() is None]
        for how in (["--state=PENDING"], ["--state=SUSPENDED"], ["--state=RUNNING", "--batch", "--signal=TERM"]):
            command = ["scancel", "--quiet", *how, job_id]
            quiet = subprocess.DEVNULL
            self._stopping.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet))

    def close(self) -> None:
        """Wait until what was asked for is with Slurm; the jobs go on."""
        deadline = time.monotonic() + STOP_PATIENCE_S
        for command in self._stopping:
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.wait(max(0.0, deadline - time.monotonic()))

    def _make_executor(self, max_num_timeout: int) -> SlurmExecutor:
        try:
            from submitit import SlurmExecutor
        except ImportError as error:
            raise UserError(
                "hydra/launcher=slurm: the package submitit is missing; run `pip install 'td3sweep[slurm]'`"
            ) from error
        absent = [name for name in PROGRAMS if shutil.which(name) is None]
        if absent:
            raise UserError(
                f"hydra/launcher=slurm: {', '.join(absent)} not found; start the sweep on a machine of a Slurm "
                "cluster, or use hydra/launcher=local"
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        # exec: Python takes the place of the batch script's shell.
        python = f"exec {shlex.quote(sys.executable)}"
        return SlurmExecutor(self._folder, max_num_timeout=max_num_timeout, python=python)
