"""Processes that a trainer starts to work for it: what they heed, and how they end."""

from __future__ import annotations

import signal
import subprocess


def leave_signals_to_the_trainer() -> None:
    """For the process itself: a queue that ends a job, or Ctrl-C, signals all of it, but the trainer saves first."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def end(process: subprocess.Popen[bytes], grace: float) -> str:
    """Wait ``grace`` seconds for a process that was told to leave, kill it after that, and say how it ended."""
    try:
        code = process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
