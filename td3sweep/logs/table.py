"""Tables as logs: stable-baselines3's progress.csv and Monitor files, Spinning Up's progress.txt, any other table."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

import numpy as np

from td3sweep.errors import UserError
from td3sweep.logs.frame import Table, nothing_under_a_header, read_frame
from td3sweep.logs.log import Log, LoggedEpisode, NothingYetError, Row, number
from td3sweep.logs.split import pivoted, split
from td3sweep.logs.text import readable, text_of

MOST_ROWS = 20_000  # judged of one run; a longer one is thinned
GAMMAS = re.compile(r"(.*/)?(gamma|discount)", re.IGNORECASE)
DOWNLOADED = ("Wall time", "Step", "Value")  # TensorBoard's download of one series
OF_DOWNLOAD = re.compile(r"run-.*-tag-(?P<tag>.+)")


def read_tables(path: Path) -> list[Log]:
    """Every run in a table: see :func:`td3sweep.logs.frame.read_frame` for what is read, and :func:`split`.

    Raises:
        UserError: the file is no table or has no row.
    """
    if _is_monitor_file(path):
        return [_monitor_file(path)]
    table = read_frame(path)
    if set(DOWNLOADED) <= set(table.names):
        table = _named_by_its_file(path, table)
    return logs_of(path, table)


def logs_of(path: Path, table: Table) -> list[Log]:
    """The runs of a table."""
    return [_log(path, name, part) for name, part in split(pivoted(table))]


def _named_by_its_file(path: Path, table: Table) -> Table:
    """TensorBoard's download holds one series, whose name is in the file's at best."""
    match = OF_DOWNLOAD.fullmatch(path.name.split(".csv")[0])
    if match is None:
        return table
    tag = match["tag"].replace("_", "/", 1)
    table.numbers = {tag if name == "Value" else name: column for name, column in table.numbers.items()}
    table.given = {tag if name == "Value" else name: mask for name, mask in table.given.items()}
    return table


def _log(path: Path, name: str, table: Table) -> Log:
    log = Log(path, "table", name=name, counted=True, notes=list(table.notes))
    if set(DOWNLOADED) <= set(table.names):
        log.hint = "a TensorBoard download does not name its series; do so: --map Value=loss/actor, or what it is"
    for tag, column in table.numbers.items():
        if GAMMAS.fullmatch(tag) and table.given[tag].any():
            log.gamma = float(column[table.given[tag]][0])
    thinned = _thinned(table)
    if len(thinned) < len(table):
        log.notes.append(f"{len(table):,} rows: the last value of every {math.ceil(len(table) / MOST_ROWS)} is judged")
    columns = [(tag, thinned.numbers[tag].tolist(), thinned.given[tag].tolist()) for tag in thinned.numbers]
    log.rows = [
        Row(place, {tag: values[place] for tag, values, given in columns if given[place]})
        for place in range(len(thinned))
    ]
    return log


def _thinned(table: Table) -> Table:
    """At most so many rows: of each series the last value in a stretch."""
    stride = math.ceil(len(table) / MOST_ROWS)
    if stride <= 1:
        return table
    starts = np.arange(0, len(table), stride)
    thinned = Table(notes=table.notes)
    for tag, column in table.numbers.items():
        place = np.where(table.given[tag], np.arange(len(table)), -1)
        last = np.maximum.reduceat(place, starts)
        thinned.numbers[tag], thinned.given[tag] = np.where(last >= 0, column[last], np.nan), last >= 0
    return thinned


# stable-baselines3's Monitor


def _is_monitor_file(path: Path) -> bool:
    if any(path.name.lower().endswith(suffix) for suffix in (".npz", ".parquet", ".xlsx", ".xls")):
        return False
    with readable(path), text_of(path) as text:
        return text.read(2) == "#{"


def _monitor_file(path: Path) -> Log:
    """An episode a row (return r, length l, t s after t_start), after a line of JSON."""
    with readable(path), text_of(path) as text:
        lines = text.read().splitlines(keepends=True)
    notes: list[str] = []
    if lines and not lines[-1].endswith("\n"):
        notes.append(f"{path.name}: the last line has no end and may be half written; {len(lines.pop())} bytes dropped")
    try:
        t_start = number(json.loads(lines[0][1:]).get("t_start")) or 0.0
    except (IndexError, ValueError) as error:
        raise UserError(f"{path}: begins like a Monitor file, but its first line is damaged") from error
    header, *cells = [*csv.reader(lines[1:]), []][:-1] or [[]]
    if not {"r", "l"} <= set(header):
        raise UserError(f"{path}: begins like a Monitor file, but has no columns r and l")
    if not cells:
        raise NothingYetError(f"{path}: {nothing_under_a_header(bool(notes))}")
    log = Log(path, "stable-baselines3 Monitor", notes=notes)
    step = 0
    for row in cells:
        told = dict(zip(header, row, strict=False))
        length, ret, t = (number(told.get(key)) for key in "lrt")
        if length is not None:
            step += int(length)
            log.episodes.append(LoggedEpisode(step, length, ret, ended=t_start + (t or 0.0)))
    return log
