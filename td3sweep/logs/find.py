"""What lies at a path, and which reader reads it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from td3sweep.errors import UserError, may_not_read
from td3sweep.logs.beside import facts_beside
from td3sweep.logs.frame import table_of
from td3sweep.logs.jsonlines import read_json_lines
from td3sweep.logs.log import Log, LoggedEpisode, NothingYetError
from td3sweep.logs.rundir import CONFIG, METRICS, read_run_directory
from td3sweep.logs.table import logs_of, read_tables
from td3sweep.logs.tensorboard import read_event_files
from td3sweep.logs.text import STDIN
from td3sweep.logs.wandb_run import read_wandb_run

KINDS = "a run directory, TensorBoard event files, a table (CSV, JSON, npz, parquet, xlsx), a wandb run"
TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".npz", ".parquet", ".xlsx", ".gz", ".zip", ".bz2", ".xz")
PROGRESS = ("progress.csv", "progress.txt", "progress.json")
EVALUATIONS = ("eval", "test")  # how the names of Monitor files begin whose episodes do not train
SHOWN = 4  # runs named where a directory holds several


def read(path: Path) -> Log:
    """Read the log at ``path``, or the only one below it.

    Raises:
        UserError: nothing is there, several runs are, or what is there is not a log.
    """
    logs = read_all(path)
    if len(logs) > 1:
        raise UserError(f"{path}: holds {len(logs)} runs; name one of them: {_named(logs, path)}")
    return logs[0]


def read_all(path: Path, tell: Callable[[str], None] = lambda _: None) -> list[Log]:
    """Read every run at ``path``: in a file, or in a folder and below it.

    Args:
        path: ``-`` for standard input.
        tell: told of each log below a folder that could not be read.

    Raises:
        UserError: nothing is there, or what is there is not a log.
    """
    if path != STDIN and not path.exists():
        raise UserError(f"{path}: no such file or directory; give {KINDS}")
    try:
        return _read_file(path) if path == STDIN or path.is_file() else _read_directory(path, tell)
    except PermissionError as error:
        raise may_not_read(error.filename) from error


def _named(logs: list[Log], path: Path) -> str:
    names = [log.name or str(log.path.relative_to(path)) for log in logs[:SHOWN]]
    return ", ".join(names) + (f" and {len(logs) - SHOWN} more" if len(logs) > SHOWN else "")


def _read_file(path: Path) -> list[Log]:
    if path == STDIN:
        return read_tables(path)
    if path.stat().st_size == 0:
        raise NothingYetError(f"{path}: the file is empty; was anything logged?")
    if "tfevents" in path.name:
        return read_event_files([path], path)
    if path.suffix == ".wandb":
        return [read_wandb_run(path)]
    if path.name == METRICS and (path.parent / CONFIG).exists():
        return [read_run_directory(path.parent)]
    return [facts_beside(log, path.parent) for log in _table_file(path)]


def _table_file(path: Path) -> list[Log]:
    return _read_json_lines(path) if path.suffix == ".jsonl" else read_tables(path)


def _read_directory(path: Path, tell: Callable[[str], None]) -> list[Log]:
    reader = reader_of(path)
    if reader is not None:
        return reader()
    below = [folder for folder in _folders(path) if reader_of(folder)]
    below = [folder for folder in below if not any(folder.is_relative_to(other) for other in below if other != folder)]
    tables = [] if below else sorted(file for file in path.iterdir() if file.suffix.lower() in TABLES)
    if not below and not tables:
        raise UserError(f"{path}: no log in it; give {KINDS}")
    logs, failed = [], None
    for place in (*below, *tables):
        try:
            own = reader_of(place) if place.is_dir() else None
            logs += own() if own is not None else _read_file(place)
        except UserError as error:
            failed = failed or error
            tell(str(error))
    if failed and not logs:
        raise failed
    return logs


def reader_of(path: Path) -> Callable[[], list[Log]] | None:
    """How to read this very directory; None where it holds no log itself.

    A table of any name is the log of its folder only where no other lies below: it may be notes on those.
    """
    reader = _by_name(path)
    table = _table(path)
    if reader is not None or table is None or any(_by_name(one) or _table(one) for one in _folders(path)):
        return reader
    return lambda: _read_file(table)


def _folders(path: Path) -> list[Path]:
    """All folders below; links are not followed, hidden ones left out."""
    folders = (folder for folder in path.rglob("*") if folder.is_dir() and not folder.is_symlink())
    return sorted(one for one in folders if not any(part[0] == "." for part in one.relative_to(path).parts))


def _by_name(path: Path) -> Callable[[], list[Log]] | None:
    """How to read the files of this directory that only a log has."""
    if (path / METRICS).exists() or ((path / CONFIG).exists() and (path / "checkpoints").is_dir()):
        return lambda: [read_run_directory(path)]
    tables = [path / name for name in PROGRESS if (path / name).exists()][:1]  # the same numbers in several formats
    monitors = sorted([*path.glob("*.monitor.csv"), *path.glob("monitor.csv")])
    evaluations = [file for file in monitors if file.name.lower().startswith(EVALUATIONS)]
    training = [*tables, *(file for file in monitors if file not in evaluations)]
    if training:
        return lambda: _read_tables(training, evaluations, path)
    if evaluations:  # by their names only: there is nothing else
        return lambda: _read_tables(evaluations, (), path)
    events = [file for file in path.glob("*tfevents*") if file.is_file()]
    if events:
        return lambda: [facts_beside(log, path) for log in read_event_files(events, path)]
    runs = sorted(path.glob("*.wandb"))
    if len(runs) == 1:
        return lambda: [read_wandb_run(runs[0])]
    return None


def _table(path: Path) -> Path | None:
    """The only CSV of this directory."""
    tables = sorted(path.glob("*.csv"))
    return tables[0] if len(tables) == 1 else None


def _read_tables(files: Iterable[Path], left_out: Iterable[Path], folder: Path) -> list[Log]:
    """A table of training with Monitor's lists of episodes beside it, one list an environment."""
    logs = _begun(files)
    if sum(bool(log.rows) for log in logs) > 1:  # a table of several runs
        return logs
    first, *others = logs
    first.episodes = _by_end([log.episodes for log in logs])
    for other in others:
        first.rows += other.rows
        first.notes += other.notes
    first.notes += [f"{file.name}: episodes of evaluation by its name, left out" for file in left_out]
    return [facts_beside(first, folder)]


def _begun(files: Iterable[Path]) -> list[Log]:
    """The logs that hold anything yet. Raises NothingYetError where none does."""
    logs, empty = [], None
    for file in files:
        try:
            logs += _table_file(file)
        except NothingYetError as error:
            empty = empty or error
    if empty and not logs:
        raise empty
    return logs


def _by_end(environments: Iterable[list[LoggedEpisode]]) -> list[LoggedEpisode]:
    """The episodes of all environments in the order of their ends, at the steps that all of them took together."""
    merged = list(heapq.merge(*environments, key=lambda one: one.ended or 0.0))
    steps = accumulate(int(one.length or 0.0) for one in merged)
    return [replace(one, step=step) for one, step in zip(merged, steps, strict=True)]


def _read_json_lines(path: Path) -> list[Log]:
    notes: list[str] = []
    found = read_json_lines(path, notes)
    if not found:
        raise NothingYetError(f"{path}: no JSON object in it; give {KINDS}")
    return logs_of(path, table_of(found, notes))
