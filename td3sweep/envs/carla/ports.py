"""Blocks of free ports, one block a server, safe against processes that search at the same time."""

import errno
import os
import socket
import tempfile
import time
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from td3sweep.errors import SimulatorError, UserError

BLOCK = 4  # RPC N, stream N+1, secondary N+2, and N+3 for the Traffic Manager
POLL_S = 0.1
FIRST, LAST = 20_000, 30_000  # below the range from which Linux takes ephemeral ports


class PortBlock:
    """Four consecutive ports, held by a lock on a file until `release()` or the end of the process.

    The lock settles races between processes of this package; the bind probe finds everyone else's listeners.
    """

    def __init__(self, first: int, lock: BaseFileLock) -> None:
        self.first = first
        self._lock = lock

    @property
    def traffic_manager(self) -> int:
        """The port inside the block that no server uses."""
        return self.first + 3

    def release(self) -> None:
        """Give the block back; more than once is fine."""
        self._lock.release(force=True)


def free_block() -> PortBlock:
    """The first free block from a place that depends on the process.

    Raises:
        SimulatorError: no block of four is free.
    """
    count = (LAST - FIRST) // BLOCK
    for offset in range(count):
        first = FIRST + BLOCK * ((os.getpid() + offset) % count)
        if block := _acquire(first):
            if taken_port(first) is None:
                return block
            block.release()
    raise SimulatorError(f"no block of {BLOCK} free ports between {FIRST} and {LAST}")


def block_at(port: int, patience: float = 0.0) -> PortBlock:
    """The block that starts at a port the user asked for, tried for `patience` seconds.

    Raises:
        UserError: one of its ports is in use.
    """
    if not port_allowed(port):
        raise UserError(f"env.port={port}: choose a port between 1024 and {65535 - BLOCK}, or null for a free one")
    deadline = time.monotonic() + patience
    while True:
        block = _acquire(port)
        taken = port if block is None else taken_port(port)
        if block and taken is None:
            return block
        if block:
            block.release()
        if time.monotonic() >= deadline:
            raise UserError(
                f"env.port={port}: port {taken} is in use (a server needs {port} to {port + BLOCK - 1}); "
                "choose another, or env.port=null for a free block"
            )
        time.sleep(POLL_S)


def port_allowed(first: int) -> bool:
    """Whether a block may start at that port."""
    return 1024 <= first <= 65535 - BLOCK


def taken_port(first: int) -> int | None:
    """The first port of the block at which somebody listens, or None."""
    for port in range(first, first + BLOCK):
        with socket.socket() as probe:
            # As servers do: a connection of theirs in TIME_WAIT does not make a port taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
                return port
    return None


def _acquire(first: int) -> PortBlock | None:
    # A folder for each user: locks of others could not be opened, and the bind probe finds their servers.
    folder = Path(tempfile.gettempdir()) / f"td3sweep-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = FileLock(folder / f"{first}.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    return PortBlock(first, lock)
