"""Processes that work for another: what they heed, when they leave, and in words how they ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time

PARENT_POLL_S = 0.5


def leave_signals_to_the_trainer() -> None:
    """For the process itself: a queue that ends a job, or Ctrl-C, signals all of it, but the trainer saves first."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def leave_with(parent: int) -> None:
    """End this process soon after its parent, whatever it is doing; its simulator then leaves by itself."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(1)


def end(process: subprocess.Popen[bytes], grace: float) -> str:
    """Wait ``grace`` seconds for a process that was told to leave, kill it after that, and say how it ended."""
    try:
        code = process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    return how(code)


def how(code: int) -> str:
    """In words how a process ended, from `Popen.returncode`: negative for the signal that ended it."""
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
