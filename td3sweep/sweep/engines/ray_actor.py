"""A trial inside a Ray worker: the actor that keeps its command."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path

import ray

from td3sweep.process.children import how
from td3sweep.sweep.engines import child

POLL_S = 0.2


class RayTrial:
    """Starts one command; it dies with this worker. `run` and the other methods are called side by side."""

    def __init__(self, command: Sequence[str], log: Path, note: Path, cpus: float) -> None:
        self._note = child.EndNote(note)
        self._process = child.start(command, log, child.placed(cpus, gpu=bool(ray.get_gpu_ids())))

    def run(self) -> None:
        """Wait for the command's end, note it and end the worker, so that Ray can give its place to another."""
        while self._process.poll() is None:
            time.sleep(POLL_S)
        self._note.write(how(self._process.returncode))
        ray.actor.exit_actor()

    def begun(self) -> bool:
        """True, once there is a worker."""
        return True

    def stop(self) -> None:
        """Ask the command to save and leave."""
        self._process.send_signal(signal.SIGTERM)
