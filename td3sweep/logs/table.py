"""Tables of text: stable-baselines3's progress.csv and Monitor files, Spinning Up's progress.txt, any CSV."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from td3sweep.errors import UserError
from td3sweep.logs.log import Log, LoggedEpisode, NothingYetError, Row, number, numbers

DELIMITERS = ",\t;"


def read_table(path: Path) -> Log:
    """A table with a header line; commas, tabs or semicolons part its columns. Cells that hold no number are left out.

    Raises:
        UserError: the file is no text or has no row under its header.
    """
    notes: list[str] = []
    lines = _lines(path, notes)
    if lines and lines[0].startswith("#{"):
        return _monitor_file(path, lines, notes)
    log = Log(path, "CSV", counted=True, notes=notes)
    log.rows = [Row(index, numbers(row)) for index, row in enumerate(_cells(path, lines, notes)[1])]
    return log


def _lines(path: Path, notes: list[str]) -> list[str]:
    """The whole lines; one without its line end is still being written."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no text, nor by its name an event file or a wandb run") from error
    if lines and not lines[-1].endswith("\n"):
        notes.append(f"{path.name}: the last line has no end and may be half written; {len(lines.pop())} bytes dropped")
    return lines


def _cells(path: Path, lines: list[str], notes: list[str]) -> tuple[list[str], list[dict[str, str]]]:
    """Header and rows."""
    if len(lines) < 2:
        cut = ": the last line was left out, because it has no end (if it is whole, end it with a line break)"
        raise NothingYetError(
            f"{path}: no row under a header line{cut if notes else '; is the run still in its first moments?'}"
        )
    delimiter = max(DELIMITERS, key=lines[0].count)
    try:
        header, *rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error as error:
        raise UserError(f"{path}: no CSV ({error})") from error
    return header, [dict(zip(header, row, strict=False)) for row in rows]


def _monitor_file(path: Path, lines: list[str], notes: list[str]) -> Log:
    """stable-baselines3's Monitor: an episode a row (return r, length l, t s after t_start), after a line of JSON."""
    try:
        t_start = number(json.loads(lines[0][1:]).get("t_start")) or 0.0
    except ValueError as error:
        raise UserError(f"{path}: begins like a Monitor file, but its first line is damaged") from error
    header, cells = _cells(path, lines[1:], notes)
    if not {"r", "l"} <= set(header):
        raise UserError(f"{path}: begins like a Monitor file, but has no columns r and l")
    log = Log(path, "stable-baselines3 Monitor", notes=notes)
    step = 0
    for row in cells:
        length, ret, t = (number(row.get(key)) for key in "lrt")
        if length is not None:
            step += int(length)
            log.episodes.append(LoggedEpisode(step, length, ret, ended=t_start + (t or 0.0)))
    return log
