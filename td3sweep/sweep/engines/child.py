"""A job's command as a child of an engine's process on the job's node, and the note it leaves about its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from td3sweep.files import write_atomically
from td3sweep.process import bound

SIGNALLED = 128  # plus the signal's number: how a command leaves that saved after a signal


def start(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command whose output is appended to ``log``; it dies with the thread that calls this."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-S", bound.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
        )


def placed(cpus: float, *, gpu: bool) -> dict[str, str]:
    """Environment of a job that was given ``cpus`` cores; one that was given no GPU must not see any."""
    threads = {"OMP_NUM_THREADS": str(max(1, int(cpus)))}
    return threads if gpu else {**threads, "CUDA_VISIBLE_DEVICES": ""}


class EndNote:
    """A file in the sweep's directory that says how a job ended; it outlives the queue's memory of the job."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str | None:
        """How the job ended; None if it has not, or could not leave a note."""
        try:
            return self._path.read_text()
        except FileNotFoundError:
            return None

    def write(self, words: str) -> None:
        """Leave the note, whole or not at all."""
        write_atomically(self._path, words)

    def remove(self) -> None:
        """Take back the note of an earlier attempt."""
        self._path.unlink(missing_ok=True)
