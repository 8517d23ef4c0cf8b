"""Where a study is kept: the journal of the sweep's directory, or a database."""

from __future__ import annotations

import fcntl
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from td3sweep.errors import UserError
from td3sweep.sweep.retry import retry

JOURNAL = "study.journal"
LOCK_GRACE_S = 10  # a journal's lock that is held for longer belongs to a dead process
HEARTBEAT_S, HEARTBEAT_GRACE_S = 10, 120  # databases only


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One at a time on all machines that see the sweep's directory; the kernel ends a dead process's lock."""
    handle = os.open(directory / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Journal(JournalFileBackend):
    """Optuna's, except that a half-written last line is not glued to the next one, which would make both unreadable.

    A dying process or a full disk leaves one; it was never acted on, and readers pass over it.
    """

    def __init__(self, path: Path, create: bool) -> None:
        if not create and not path.exists():
            raise UserError(f"{path.parent}: the sweep has not begun: no {path.name} in it; repeat its command")
        self._path = path
        self._alone = JournalFileOpenLock(str(path), grace_period=LOCK_GRACE_S)
        super().__init__(str(path), self._alone)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append whole lines, or none. Raises OSError."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self._alone.acquire()
        try:
            whole = self._cut()
            try:
                with self._path.open("ab") as file:
                    file.write(lines.encode())
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                os.truncate(self._path, whole)
                raise
        finally:
            self._alone.release()

    def _cut(self) -> int:
        """Cut off what follows the last whole line; returns the size that is left."""
        with self._path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 1, 0))
            if file.read() in (b"", b"\n"):
                return size
            file.seek(0)
            return file.truncate(file.read().rfind(b"\n") + 1)


def open_storage(url: str | None, directory: Path, patience: float = 0.0, *, create: bool = True) -> BaseStorage:
    """The journal of ``directory``, or the database at ``url``.

    Args:
        url: of the database; None for the journal.
        directory: the sweep's.
        patience: seconds to wait for a database that can't be reached.
        create: whether to make what is not there; one who only looks may not be allowed to write.

    Raises:
        UserError: the database can't be reached, its driver is not installed, or there is no journal yet.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", ExperimentalWarning)  # of heartbeats, experimental since 2021
    warnings.filterwarnings("ignore", message="Heartbeat of storage")  # ours beat in the workers, not in optimize()
    if url is None:
        return JournalStorage(Journal(directory / JOURNAL, create))
    try:
        return retry(partial(_connect, url, directory if create else None), patience)
    except ImportError as error:
        raise UserError(
            f"sweep.storage={url}: the database's driver is not installed; pip install 'td3sweep[postgresql]'"
        ) from error
    except Exception as error:  # SQLAlchemy's many
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"sweep.storage={url}: {line}; give the URL of a database that runs") from error


def _connect(url: str, directory: Path | None) -> RDBStorage:
    """Optuna's storage; what it can't reach is its own kind of error, as it is later.

    One process of the sweep's ``directory`` at a time: the first one makes the tables, and two that do so at once fail.
    None for who makes none.
    """
    from sqlalchemy.exc import OperationalError  # late: most workers have a journal

    try:
        with nullcontext() if directory is None else locked(directory):
            return RDBStorage(
                url,
                skip_table_creation=directory is None,
                engine_kwargs={"pool_pre_ping": True},
                heartbeat_interval=HEARTBEAT_S,
                grace_period=HEARTBEAT_GRACE_S,
            )
    except OperationalError as error:
        raise StorageInternalError(str(error)) from error
