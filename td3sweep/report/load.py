"""Every run below the given directories, and every place where one should be: nothing is dropped in silence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from td3sweep.config.roles import role_of
from td3sweep.config.setting import Role
from td3sweep.errors import UserError, may_not_read
from td3sweep.files import read_json
from td3sweep.logs.find import reader_of
from td3sweep.logs.rundir import METRICS
from td3sweep.record.rundir import CRASHED, FINISHED, PRUNED, STOPPED
from td3sweep.report.runs import MISSING, UNREADABLE, Run, override_words, read_run
from td3sweep.report.wandb_project import PREFIX, read_project

SWEEP = "sweep.json"
RUN_FILES = ("config.yaml", "provenance.json", "summary.json")
ENDED = {"PRUNED": PRUNED, "FAIL": CRASHED}


def load(sources: Sequence[str]) -> list[Run]:
    """All runs at ``sources``, each once: directories in any nesting, single logs, ``wandb:ENTITY/PROJECT``.

    Raises:
        UserError: a source does not exist or may not be read, or nothing at all lies there.
    """
    runs: list[Run] = []
    for source in _outermost_first(sources):
        if source.startswith(PREFIX):
            runs += read_project(source)
            continue
        try:
            _load(Path(source), source, runs)
        except PermissionError as error:  # of a folder, or of a file that may or may not be in it
            closed = Path(error.filename)
            raise may_not_read(closed if os.path.isdir(closed) else closed.parent) from error
    if not runs:
        raise UserError(f"{', '.join(sources)}: empty; give run or sweep directories")
    return runs


def _load(root: Path, source: str, runs: list[Run]) -> None:
    """Add what lies at ``root`` and is not yet among ``runs``."""
    if not root.exists():
        raise UserError(f"{source}: no such file or directory; give run or sweep directories")
    known = {run.path.resolve() for run in runs}
    if root.name == METRICS and root.resolve().parent in known:  # a run's own log: it counts with the run
        return
    runs += [read_run(path, _name(path, root), source) for path in places(root) if path.resolve() not in known]
    for sweep in _sweeps(root):
        _join_sweep(sweep, root, source, runs)


def _outermost_first(sources: Sequence[str]) -> list[str]:
    """The sources, each place once and behind every other that it lies in: a run belongs to the outermost."""
    at: dict[Path, str] = {}
    for source in sources:
        at.setdefault(Path(os.path.realpath(source)), source)
    return [at[place] for place in sorted(at, key=lambda place: sum(other in place.parents for other in at))]


def places(path: Path) -> Iterator[Path]:
    """Run directories at or below ``path``, and folders that hold nothing."""
    if path.is_file() or _is_run(path):
        yield path
        return
    folders = sorted(
        (folder for folder in path.iterdir() if folder.is_dir() and not folder.is_symlink() and folder.name[0] != "."),
        key=lambda folder: (len(folder.name), folder.name) if folder.name.isdigit() else (99, folder.name),
    )
    if not folders and not (path / SWEEP).exists():
        yield path
    for folder in folders:
        yield from places(folder)


def _is_run(path: Path) -> bool:
    if (path / SWEEP).exists():
        return False
    return reader_of(path) is not None or any((path / name).exists() for name in RUN_FILES)


def _name(path: Path, root: Path) -> str:
    return path.name if path == root else str(path.relative_to(root))


def _sweeps(root: Path) -> list[Path]:
    return sorted(root.rglob(SWEEP)) if root.is_dir() else []


def _join_sweep(file: Path, root: Path, source: str, runs: list[Run]) -> None:
    """Give the runs of a sweep what ``sweep.json`` knows of them, and account for those that left no directory."""
    sweep = read_json(file)
    at = {run.path.resolve(): run for run in runs}
    base = _fixed_words(sweep.get("base", ()))
    below: dict[Path, list[Run]] = {}
    for place, one in at.items():
        for folder in (place, *place.parents):
            below.setdefault(folder, []).append(one)
    for trial in sweep.get("trials", []):
        number = trial.get("first", trial.get("number"))
        folder = file.parent / str(number)
        for path, seed in _places_of(trial, folder, below.get(folder.resolve(), ())).items():
            run = at.get(path.resolve())
            if run is None:
                run = Run(_name(path, root), path, source, MISSING, "the sweep lists it, but it left no directory")
                run.seed = seed
                runs.append(run)
            run.overrides = base | run.overrides
            _mark(run, trial, f"{sweep.get('name', file.parent.name)} #{trial.get('number', number)}")


def _places_of(trial: dict[str, Any], folder: Path, found: Sequence[Run]) -> dict[Path, int | None]:
    """Where a trial's runs are, or should be, and their seeds as far as ``sweep.json`` tells: it lists a run that has
    ended, but one that goes on or that died is ``found`` in the trial's folder all the same."""
    lying: dict[Path, int | None] = {run.path: run.seed for run in found}
    listed = {folder.parent / one.get("directory", folder.name): one.get("seed") for one in trial.get("runs") or ()}
    return lying | listed or {folder: None}


def _fixed_words(base: Sequence[str]) -> dict[str, str]:
    """``{"steps": "900"}`` from the overrides that all trials share: what makes a run of the same kind by itself."""
    pairs = [word.partition("=") for word in base if "=" in word]
    return {key: value for key, _, value in pairs if not role_of(key.lstrip("+")) & Role.SEARCH}


def _mark(run: Run, trial: dict[str, Any], name: str) -> None:
    run.trial = name
    run.overrides |= override_words(trial.get("overrides", ()))
    ended = ENDED.get(trial.get("state", ""))
    if ended is not None and run.state not in (FINISHED, STOPPED, UNREADABLE):
        run.state = ended
        run.why = str(trial.get("reason") or run.why)
