"""Who lives: a file that its process keeps fresh, readable on every machine that sees the directory."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from td3sweep.files import write_atomically

BEAT_S = 5.0
PATIENCE_S = 60.0  # twelve beats missed: a process on another machine counts as dead


class Lease:
    """A context manager: while it is entered, :func:`is_alive` is true of its file."""

    def __init__(self, path: Path, on_beat: Callable[[], None] | None = None) -> None:
        """
        Args:
            path: the file; its folder is made.
            on_beat: called at every beat as well, in the beating thread; what it raises is its own affair.
        """
        self.path = path
        self._on_beat = on_beat
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease {path.name}", daemon=True)

    def __enter__(self) -> Lease:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, json.dumps(_me()))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if _holder(self.path) == _me():
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            with suppress(OSError):  # a file system that is away for a moment; the next beat tries again
                os.utime(self.path)
            if self._on_beat is not None:
                self._on_beat()


def is_alive(path: Path) -> bool:
    """Whether the process that holds a lease lives: known at once on this machine, by its beats on another."""
    holder = _holder(path)
    if holder is None:
        return False
    if holder["host"] == _host():
        return _start_of(int(str(holder["pid"]))) == holder["start"]
    return _age(path) < PATIENCE_S


def _holder(path: Path) -> dict[str, object] | None:
    try:
        held = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) else None


def _me() -> dict[str, object]:
    return {"host": _host(), "pid": os.getpid(), "start": _start_of(os.getpid())}


def _host() -> str:
    """This machine since it was last started: two containers or boots are not one host."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot, space = "", ""
    return f"{socket.gethostname()} {boot} {space}"


def _start_of(pid: int) -> str | None:
    """When a process of this machine was started, in clock ticks since boot; None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _age(path: Path) -> float:
    """Seconds since the last beat, by the clock of the file system that holds the file; by ours if we may not write."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".now.") as now:
            os.utime(now.name)
            time_there = os.stat(now.name).st_mtime
    except OSError:
        time_there = time.time()
    try:
        return time_there - path.stat().st_mtime
    except OSError:
        return PATIENCE_S
