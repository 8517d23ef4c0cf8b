"""One run directory, one process: a lock that the kernel takes back when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from td3sweep.errors import DirectoryInUseError

log = logging.getLogger(__name__)

NAME = ".lock"  # stays behind, free: taking it away would let two processes lock two files of that name
GLANCE_S = 0.1  # after which a lock that someone only tried is free again


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Make ``directory`` if need be, and have it to oneself. No child process keeps it: the file is closed on exec.

    Where the file system has no locks this warns, and keeps nobody out.

    Raises:
        DirectoryInUseError: another run is going on there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / NAME).open("a+") as file:
        if not _take(file, fcntl.LOCK_EX, directory):
            time.sleep(GLANCE_S)
            if not _take(file, fcntl.LOCK_EX, directory):
                raise DirectoryInUseError(
                    f"{directory}: {_holder(file)} is running here; wait for it or end it, "
                    "or choose another directory (hydra.run.dir=, --dir of gates)"
                )
        _sign(file)
        try:
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)  # at once, even if a forked child has the file open still


def in_use(directory: Path) -> bool:
    """Whether a run is going on in ``directory``."""
    try:
        with (directory / NAME).open() as file:
            return not _take(file, fcntl.LOCK_SH)
    except OSError:
        return False


def _take(file: IO[str], kind: int, told: Path | None = None) -> bool:
    """Lock ``file``; False if others hold it, True as well where there are no locks (a warning names ``told``)."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if told is not None:
            log.warning("%s: the file system has no locks (%s); do not start a second run here", told, error.strerror)
    return True


def _sign(file: IO[str]) -> None:
    with suppress(OSError):  # a full disk: who holds it stays unsaid
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.readline().strip() or "another process"
