"""TensorBoard event files, read with TensorBoard's own record reader."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from td3sweep.errors import UserError
from td3sweep.logs.log import Log, NothingYetError, rows_by_step
from td3sweep.logs.names import EP_LENGTH, EP_RETURN, guess

RECORD_FRAME = 16  # bytes around each record: length, its checksum, the checksum of the data
OVERLAP = 0.2  # of the shorter file's steps, from which on two files are two runs
OF_EPISODES = (EP_LENGTH, EP_RETURN)
GAMMA = re.compile(r"\|\s*gamma\s*\|\s*([0-9.eE+-]+)\s*\|")  # CleanRL writes its arguments as a Markdown table


@dataclass
class _File:
    """The scalars of one event file: ``{tag: [(step, value)]}``, in the order written."""

    name: str
    scalars: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    gamma: float | None = None
    notes: list[str] = field(default_factory=list)
    records: int = 0

    @property
    def span(self) -> tuple[int, int]:
        """First and last step."""
        steps = [step for points in self.scalars.values() for step, _ in points]
        return (min(steps), max(steps)) if steps else (0, 0)


def read_event_files(files: Iterable[Path], path: Path) -> list[Log]:
    """Scalars of every run in some event files of one folder.

    A record that was cut off ends its file: what came before is read and the rest is told of. Files that follow one
    another in their steps are sessions of one run: of values that several sessions logged for one step the last written
    is taken. Files whose steps overlap and that hold the same series are runs of their own.

    Raises:
        UserError: tensorboard is not installed, or no file holds a whole event.
    """
    found = [
        _read_file(file) for file in sorted(files, key=lambda one: one.name)
    ]  # it begins with the time of creation
    if not any(file.records for file in found):
        raise NothingYetError(
            f"{path}: no whole TensorBoard event in it; is it an event file, and was anything logged?"
        )
    runs: list[list[_File]] = []
    for file in found:
        own = next((run for run in runs if not _another_run(run, file)), None)
        if own is None:
            runs.append([file])
        else:
            own.append(file)
    return [_log(run, path, "" if len(runs) == 1 else run[0].name) for run in runs]


def _read_file(path: Path) -> _File:
    loader, event_type, to_array = _tensorboard()
    file, whole = _File(path.name), 0
    for record in loader(str(path)).Load():
        file.records += 1
        whole += len(record) + RECORD_FRAME
        _note(event_type.FromString(record), file, to_array)
    dropped = path.stat().st_size - whole
    if dropped > 0:
        file.notes.append(f"{path.name}: damaged or cut off after {whole} bytes; the last {dropped} bytes dropped")
    return file


def _another_run(run: list[_File], file: _File) -> bool:
    """Whether a file goes over steps again, by a good part of its own, of which a run has the same series already."""
    first, last = file.span
    for other in run:
        common = other.scalars.keys() & file.scalars.keys()
        begins, ends = other.span
        shared = min(last, ends) - max(first, begins)
        if (
            common
            and shared > OVERLAP * min(last - first, ends - begins)
            and first <= begins + OVERLAP * (ends - begins)
        ):
            return True
    return False


def _log(run: list[_File], path: Path, name: str) -> Log:
    """One run; curves that are stepped by the number of the episode are put where the episode ended."""
    log = Log(path, "TensorBoard", name=name, notes=[note for file in run for note in file.notes])
    log.gamma = next((file.gamma for file in run if file.gamma is not None), None)
    scalars: dict[str, dict[int, float]] = {}
    for file in run:
        for tag, written in file.scalars.items():
            scalars.setdefault(tag, {}).update(written)
    values: dict[int, dict[str, float]] = {}
    placed = _by_length(scalars)
    for tag, points in scalars.items():
        for step, value in points.items():
            values.setdefault(placed.get(step, step) if tag in placed.tags else step, {})[tag] = value
    if placed.tags:
        log.notes.append(f"{', '.join(sorted(placed.tags))}: by the number of the episode; placed by their lengths")
    log.rows = rows_by_step(values)
    return log


class _Placed(dict[int, int]):
    """The environment step at which each episode ended, by its number, for the series in ``tags``."""

    tags: frozenset[str] = frozenset()


def _by_length(scalars: Mapping[str, Mapping[int, float]]) -> _Placed:
    """Where episodes ended, if their lengths are stepped by 0, 1, 2... and add up to far more than their number."""
    placed = _Placed()
    lengths = next((tag for tag in scalars if guess(tag) == EP_LENGTH), None)
    if lengths is None:
        return placed
    numbers = sorted(scalars[lengths])
    others = [step for tag, points in scalars.items() if guess(tag) not in OF_EPISODES for step in points]
    total = sum(scalars[lengths].values())
    consecutive = len(numbers) >= 3 and numbers[-1] - numbers[0] == len(numbers) - 1 and numbers[0] <= 1
    if not consecutive or total < 2 * len(numbers) or (others and max(others) < 2 * numbers[-1]):
        return placed
    ended = 0.0
    for number in numbers:
        ended += scalars[lengths][number]
        placed[number] = int(ended)
    placed.tags = frozenset(
        tag
        for tag, points in scalars.items()
        if guess(tag) in OF_EPISODES and len(points) >= 3 and max(points) <= numbers[-1] and min(points) <= 1
    )
    return placed


def _note(event: Any, file: _File, to_array: Any) -> None:
    """Add one event's scalars, and the discount where a table of arguments tells it."""
    for value in event.summary.value:
        kind = value.WhichOneof("value")
        if kind == "simple_value":
            file.scalars.setdefault(value.tag, []).append((event.step, float(value.simple_value)))
        elif kind == "tensor" and value.metadata.plugin_data.plugin_name == "scalars":
            file.scalars.setdefault(value.tag, []).append((event.step, float(to_array(value.tensor))))
        elif kind == "tensor" and value.metadata.plugin_data.plugin_name == "text":
            found = GAMMA.search("\n".join(text.decode(errors="replace") for text in value.tensor.string_val))
            if found is not None:
                file.gamma = float(found[1])


def _tensorboard() -> tuple[Any, Any, Any]:
    """Record reader, event message, tensor converter."""
    try:
        from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError as error:
        raise UserError("tensorboard is not installed, and event files need it; pip install tensorboard") from error
    return RawEventFileLoader, Event, make_ndarray
