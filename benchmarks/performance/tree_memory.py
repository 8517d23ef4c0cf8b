"""Memory of a command and everything it starts, watched while it runs."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

MARK = "TD3SWEEP_BENCHMARK"
POLL_S = 0.5


def peak(command: Sequence[str], log: Path) -> tuple[int, int]:
    """Run a command to its end.

    Args:
        command: it and its arguments.
        log: file for what it prints.

    Returns:
        Largest sum of proportional set sizes (shared pages count once) of all its processes at one moment, and the
        most processes there were, both as polled twice a second.

    Raises:
        RuntimeError: it failed.
    """
    mark = uuid.uuid4().hex
    largest = most = 0
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, MARK: mark})
        try:
            while process.poll() is None:
                sizes = [proportional(pid) for pid in marked(mark)]
                largest, most = max(largest, sum(sizes)), max(most, len(sizes))
                time.sleep(POLL_S)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}\n{log.read_text()[-2000:]}")
    return largest, most


def marked(mark: str) -> list[int]:
    """Processes whose environment holds ``mark``, which all descendants inherit, orphans included."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # gone, or not ours to read
            continue
    return found


def proportional(pid: int) -> int:
    """Bytes of a process, a page that n processes share counted as 1/n; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
