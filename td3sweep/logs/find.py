"""What lies at a path, and which reader reads it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from td3sweep.errors import UserError, may_not_read
from td3sweep.logs.jsonlines import read_json_lines
from td3sweep.logs.log import Log, LoggedEpisode, NothingYetError, Row, numbers
from td3sweep.logs.rundir import CONFIG, METRICS, read_run_directory
from td3sweep.logs.table import read_table
from td3sweep.logs.tensorboard import read_event_files
from td3sweep.logs.wandb_run import read_wandb_run

KINDS = "a run directory, TensorBoard event files, a CSV, a wandb run"
PROGRESS = ("progress.csv", "progress.txt", "progress.json")
EVALUATIONS = ("eval", "test")  # how the names of Monitor files begin whose episodes do not train
SHOWN = 4  # runs named where a directory holds several


def read(path: Path) -> Log:
    """Read the log at ``path``, or the only one below it.

    Raises:
        UserError: nothing is there, several runs are, or what is there is not a log.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or directory; give {KINDS}")
    try:
        return _read_file(path) if path.is_file() else _read_directory(path)
    except PermissionError as error:
        raise may_not_read(error.filename) from error


def _read_file(path: Path) -> Log:
    if path.stat().st_size == 0:
        raise NothingYetError(f"{path}: the file is empty; was anything logged?")
    if "tfevents" in path.name:
        return read_event_files([path], path)
    if path.suffix == ".wandb":
        return read_wandb_run(path)
    if path.name == METRICS and (path.parent / CONFIG).exists():
        return read_run_directory(path.parent)
    if path.suffix in (".jsonl", ".json"):
        return _read_json_lines(path)
    return read_table(path)


def _read_directory(path: Path) -> Log:
    reader = reader_of(path)
    if reader is not None:
        return reader()
    below = [folder for folder in _folders(path) if reader_of(folder)]
    below = [folder for folder in below if not any(folder.is_relative_to(other) for other in below if other != folder)]
    if not below:
        raise UserError(f"{path}: no log in it; give {KINDS}")
    if len(below) > 1:
        names = ", ".join(str(folder.relative_to(path)) for folder in below[:SHOWN])
        more = f" and {len(below) - SHOWN} more" if len(below) > SHOWN else ""
        raise UserError(f"{path}: holds {len(below)} runs; name one of them: {names}{more}")
    reader = reader_of(below[0])
    assert reader is not None
    return reader()


def reader_of(path: Path) -> Callable[[], Log] | None:
    """How to read this very directory; None where it holds no log itself.

    A table of any name is the log of its folder only where no other lies below: it may be notes on those.
    """
    reader = _by_name(path)
    table = _table(path)
    if reader is not None or table is None or any(_by_name(one) or _table(one) for one in _folders(path)):
        return reader
    return lambda: read_table(table)


def _folders(path: Path) -> list[Path]:
    """All folders below; links are not followed, hidden ones left out."""
    folders = (folder for folder in path.rglob("*") if folder.is_dir() and not folder.is_symlink())
    return sorted(one for one in folders if not any(part[0] == "." for part in one.relative_to(path).parts))


def _by_name(path: Path) -> Callable[[], Log] | None:
    """How to read the files of this directory that only a log has."""
    if (path / METRICS).exists() or ((path / CONFIG).exists() and (path / "checkpoints").is_dir()):
        return lambda: read_run_directory(path)
    tables = [path / name for name in PROGRESS if (path / name).exists()][:1]  # the same numbers in several formats
    monitors = sorted([*path.glob("*.monitor.csv"), *path.glob("monitor.csv")])
    evaluations = [file for file in monitors if file.name.lower().startswith(EVALUATIONS)]
    training = [*tables, *(file for file in monitors if file not in evaluations)]
    if training:
        return lambda: _read_tables(training, evaluations)
    if evaluations:  # by their names only: there is nothing else
        return lambda: _read_tables(evaluations, ())
    events = [file for file in path.glob("*tfevents*") if file.is_file()]
    if events:
        return lambda: read_event_files(events, path)
    runs = sorted(path.glob("*.wandb"))
    if len(runs) == 1:
        return lambda: read_wandb_run(runs[0])
    return None


def _table(path: Path) -> Path | None:
    """The only CSV of this directory."""
    tables = sorted(path.glob("*.csv"))
    return tables[0] if len(tables) == 1 else None


def _read_tables(files: Iterable[Path], left_out: Iterable[Path]) -> Log:
    """A table of training with Monitor's lists of episodes beside it, one list an environment."""
    first, *others = logs = _begun(files)
    first.episodes = _by_end([log.episodes for log in logs])
    for other in others:
        first.rows += other.rows
        first.notes += other.notes
    first.notes += [f"{file.name}: episodes of evaluation by its name, left out" for file in left_out]
    return first


def _begun(files: Iterable[Path]) -> list[Log]:
    """The logs that hold anything yet. Raises NothingYetError where none does."""
    logs, empty = [], None
    for file in files:
        try:
            logs.append(_read_file(file))
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


def _read_json_lines(path: Path) -> Log:
    log = Log(path, "JSON lines", counted=True)
    for index, found in enumerate(read_json_lines(path, log.notes)):
        log.rows.append(Row(index, numbers(found)))
    if not log.rows:
        raise NothingYetError(f"{path}: no JSON object in it; give {KINDS}")
    return log
