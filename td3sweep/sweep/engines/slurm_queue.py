"""What Slurm's queue says about jobs, from `squeue` alone: `sacct` needs accounting, which many clusters lack."""

from __future__ import annotations

import logging
import os
import subprocess
import time

ASK_EVERY_S = 2.0
AFTER_FAILURE_S = 10.0
PATIENCE_S = 10.0
# squeue's names of the states that a job never leaves. All others may still lead to more work: a job that is to be
# requeued passes through COMPLETING, REQUEUED and PENDING.
FINAL = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY"}
    | {"PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT"}
)
GONE = "gone"

log = logging.getLogger(__name__)


class SlurmQueue:
    """The states of this user's jobs, asked for all at once and at most every two seconds."""

    def __init__(self) -> None:
        self._states: dict[str, str] | None = None
        self._ask_at = 0.0
        self._answered = True

    def changed(self) -> None:
        """A job was submitted: what is known is out of date."""
        self._states = None
        if self._answered:
            self._ask_at = 0.0

    def final(self, job_id: str) -> str | None:
        """The state a job ended in, "gone" if the queue has forgotten it; None while it is there or nobody answers."""
        if time.monotonic() >= self._ask_at:
            self._states = self._ask()
            self._answered = self._states is not None
            self._ask_at = time.monotonic() + (ASK_EVERY_S if self._answered else AFTER_FAILURE_S)
        if self._states is None:
            return None
        state = self._states.get(job_id, GONE)
        return state if state == GONE or state in FINAL else None

    def _ask(self) -> dict[str, str] | None:
        # Not by the jobs' ids: squeue answers an id that it has forgotten with an error.
        command = ["squeue", "--noheader", "--all", "--states=all", f"--user={os.getuid()}", "--format=%A|%T"]
        # SQUEUE_PARTITION and its like would hide jobs as a hidden partition does without --all.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SQUEUE_")}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=PATIENCE_S, check=True, env=environment
            )
        except (OSError, subprocess.SubprocessError) as error:
            if self._answered:
                log.warning("squeue does not answer (%s); asking on", one_line(error))
            return None
        return parse(done.stdout)


def parse(listing: str) -> dict[str, str]:
    """States by job id, from lines of the form "17|RUNNING"."""
    return dict(line.strip().split("|") for line in listing.splitlines() if line.strip())


def one_line(error: Exception) -> str:
    """What a failed command itself said, else the error, in one line."""
    said = getattr(error, "stderr", None) or str(error)
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return " ".join(text.split())
