"""A table of any format as columns of numbers and of words: pandas reads, this says which format it is."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from td3sweep.errors import UserError
from td3sweep.logs.console_table import is_console, read_console
from td3sweep.logs.log import NothingYetError
from td3sweep.logs.text import SNIFFED, UNPACK, readable, text_of

CHUNK = 100_000  # rows read at a time
TOLD = 500_000  # rows from which on a progress bar is shown
DELIMITERS = "\t,;|"
THOUSANDS = r"-?\d{1,3}(,\d{3})+(\.\d+)?"
DECIMAL_COMMA = re.compile(r"-?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)


@dataclass
class Table:
    """Columns of equal length.

    Attributes:
        numbers: float64 [N] by name; NaN where a cell is empty or says NaN.
        given: bool [N] by name: the cell holds a number, be it NaN.
        words: the columns that hold no numbers, as text.
        notes: what was dropped or assumed.
    """

    numbers: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    given: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    words: dict[str, NDArray[np.object_]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(next(iter([*self.numbers.values(), *self.words.values()]), ()))

    @property
    def names(self) -> list[str]:
        """All columns."""
        return [*self.numbers, *self.words]

    def rows(self, keep: Any) -> Table:
        """The rows that an index or a mask keeps."""
        return Table(
            {name: column[keep] for name, column in self.numbers.items()},
            {name: mask[keep] for name, mask in self.given.items()},
            {name: column[keep] for name, column in self.words.items()},
            self.notes,
        )


def read_frame(path: Path) -> Table:
    """The table in a file: CSV and its kin, JSON, npz, parquet, xlsx, a console table; compressed or not; ``-``: stdin.

    Raises:
        UserError: it is none of these, or a library is missing; the message says which.
        NothingYetError: it has no row yet.
    """
    suffix = _suffix(path)
    if suffix in (".parquet", ".xlsx", ".xls"):
        return _by_library(path, suffix)
    if suffix == ".npz":
        return _of_arrays(path)
    with readable(path):
        return _of_any_text(path)


def _of_any_text(path: Path) -> Table:
    text = text_of(path)
    start = text.read(SNIFFED)
    if not start.strip():
        raise NothingYetError(f"{path}: the file is empty; was anything logged?")
    if start.lstrip()[0] in "[{" and not start.lstrip().startswith('{"t_start"'):
        return _of_json(path, start + text.read())
    if is_console(start):
        return _of_cells(read_console(start + text.read()))
    return _of_text(path, start, text)


def _suffix(path: Path) -> str:
    """The suffix that tells the format, without the one of a compression."""
    suffixes = [part.lower() for part in path.suffixes]
    while suffixes and suffixes[-1] in (*UNPACK, ".zip"):
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


# Text with a delimiter


def _of_text(path: Path, start: str, rest: IO[str]) -> Table:
    """CSV and its kin. The delimiter is that which parts the header and the next lines into as many cells."""
    lines = [line for line in start.splitlines()[:20] if line.strip()]
    delimiter = max(DELIMITERS, key=lambda one: _agreement(lines, one))
    blank = _agreement(lines, delimiter) == 0 and all(len(line.split()) > 1 for line in lines)
    notes: list[str] = []
    parts: list[Table] = []
    reader = csv.reader(
        _whole_lines(path, start, rest, notes), delimiter=" " if blank else delimiter, skipinitialspace=blank
    )
    try:
        header = next((row for row in reader if row), [])
        header = [name.strip() for name in header]
        comma = delimiter != "," and _decimal_comma(lines[1:], delimiter)
        for rows in _chunks(row for row in reader if row):
            parts.append(_columns(header, rows, comma))
    except csv.Error as error:
        raise UserError(f"{path}: no table ({error})") from error
    if not parts:
        raise NothingYetError(f"{path}: {nothing_under_a_header(bool(notes))}")
    if comma:
        notes.append("numbers with a decimal comma")
    table = _joined(header, parts)
    table.notes = [*notes, *dict.fromkeys(note for part in parts for note in part.notes)]
    return table


def nothing_under_a_header(cut: bool) -> str:
    """Why a table has no row: its only one may have been left out."""
    if cut:
        why = ": the last line was left out, because it has no end (if it is whole, end it with a line break)"
        return f"no row under a header line{why}"
    return "no row under a header line; is the run still in its first moments?"


def _agreement(lines: list[str], delimiter: str) -> int:
    """Cells that a delimiter makes of a line, if it does so of most lines alike; else 0."""
    counts = [line.count(delimiter) for line in lines]
    return counts[0] if counts and counts[0] and sum(2 * one >= counts[0] for one in counts) >= 0.5 * len(counts) else 0


def _decimal_comma(lines: list[str], delimiter: str) -> bool:
    cells = [cell.strip() for line in lines for cell in line.split(delimiter) if cell.strip()]
    return bool(cells) and any(DECIMAL_COMMA.fullmatch(cell) for cell in cells) and not any("." in c for c in cells)


def _whole_lines(path: Path, start: str, rest: IO[str], notes: list[str]) -> Iterator[str]:
    """Line by line; a last one without its end is still being written, and dropped."""
    pending = start
    while True:
        *lines, pending = pending.split("\n")
        yield from (f"{line}\n" for line in lines)
        more = rest.read(1 << 20)
        if not more:
            break
        pending += more
    if pending.strip():
        size = len(pending.encode())
        notes.append(f"{path.name}: the last line has no end and may be half written; {size} bytes dropped")


def _chunks(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    """So many rows at a time; a long table shows how far it is read."""
    from rich.progress import Progress

    chunk: list[list[str]] = []
    seen, bar, task = 0, None, None
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            seen += len(chunk)
            yield chunk
            chunk = []
            if seen >= TOLD:
                if bar is None:
                    bar = Progress(*Progress.get_default_columns()[:1], "{task.completed:,.0f} rows", transient=True)
                    task = bar.add_task("reading", total=None)
                    bar.start()
                assert task is not None
                bar.update(task, completed=seen)
    if bar is not None:
        bar.stop()
    if chunk:
        yield chunk


def _columns(header: list[str], rows: list[list[str]], comma: bool) -> Table:
    """Rows of text as columns; cells beyond the header, and rows that repeat it, are left out."""
    import pandas as pd

    width = len(header)
    rows = [row[:width] + [""] * (width - len(row)) for row in rows if row[:width] != header]
    table = Table()
    for place, name in enumerate(header):
        cells = pd.Series([row[place].strip() for row in rows], dtype=object)
        _add(table, name, cells, comma)
    return table


def _add(table: Table, name: str, cells: Any, comma: bool) -> None:
    """A column of text: numbers where most of what is not empty is one, words otherwise."""
    import pandas as pd

    filled = (cells != "").to_numpy(bool)
    told = cells.str.replace(",", ".", regex=False) if comma else cells
    if not comma and cells.str.fullmatch(THOUSANDS).any():
        told = cells.str.replace(",", "", regex=False)
    told = told.mask(told.str.lower().isin(("true", "false")), (told.str.lower() == "true").astype(int).astype(str))
    values = pd.to_numeric(told, errors="coerce").to_numpy(float)
    nan = told.str.lower().isin(("nan", "+nan", "-nan")).to_numpy(bool)
    given = filled & (~np.isnan(values) | nan)
    if filled.any() and given.sum() < 0.5 * filled.sum():
        table.words[name] = cells.to_numpy(object)
        table.notes.append(f"{name}: words, no numbers")
        return
    if lost := int((filled & ~given).sum()):
        table.notes.append(f"{name}: {lost} cells are no numbers and left out")
    table.numbers[name], table.given[name] = values, given


def _joined(header: list[str], parts: list[Table]) -> Table:
    """The chunks one under the other; a column that is words in one is words in all."""
    whole = Table()
    for name in header:
        if all(name in part.numbers for part in parts):
            whole.numbers[name] = np.concatenate([part.numbers[name] for part in parts])
            whole.given[name] = np.concatenate([part.given[name] for part in parts])
        else:
            cells = [part.words[name] if name in part.words else part.numbers[name].astype(str) for part in parts]
            whole.words[name] = np.concatenate([np.asarray(one, object) for one in cells])
    return whole


# Other formats


def _of_cells(rows: list[dict[str, Any]]) -> Table:
    """Rows that name their cells; a cell that is missing is not given."""
    import pandas as pd

    table = Table()
    for name in dict.fromkeys(name for row in rows for name in row):
        cells = pd.Series([_as_text(row.get(name)) for row in rows], dtype=object)
        _add(table, str(name), cells, comma=False)
    return table


def _as_text(cell: Any) -> str:
    if cell is None or isinstance(cell, (dict, list)):
        return ""
    return repr(float(cell)) if isinstance(cell, (bool, int, float)) else str(cell)


def _of_json(path: Path, text: str) -> Table:
    """An array of objects, an object of arrays, or an object a line."""
    try:
        found = json.loads(text)
    except ValueError as error:
        found = _lines_of_json(text)
        if not found:
            raise UserError(f"{path}: neither JSON nor JSON lines ({error})") from error
    if isinstance(found, dict):
        columns = {key: value for key, value in found.items() if isinstance(value, list)}
        if not columns:
            found = [found]
        else:
            length = max(len(value) for value in columns.values())
            found = [
                {key: value[place] for key, value in columns.items() if place < len(value)} for place in range(length)
            ]
    if not any(isinstance(row, dict) for row in found):
        raise NothingYetError(f"{path}: no JSON object in it; was anything logged?")
    return table_of(found, [])


def table_of(objects: Sequence[Any], notes: list[str]) -> Table:
    """Objects as rows, nested ones with their keys joined by ``/``."""
    table = _of_cells([_flat(row) for row in objects if isinstance(row, dict)])
    table.notes = [*notes, *table.notes]
    return table


def _lines_of_json(text: str) -> list[Any]:
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects with their keys joined by ``/``."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        flat |= _flat(value, f"{prefix}{key}/") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _of_arrays(path: Path) -> Table:
    """Arrays of numpy: those as long as the longest; of stable-baselines3's evaluations the means."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: numpy cannot read it ({error}); plain arrays of numbers are read") from error
    if {"timesteps", "results"} <= arrays.keys():
        names = {"timesteps": "timesteps", "results": "eval/mean_reward", "ep_lengths": "eval/mean_ep_length"}
        arrays = {names[key]: value for key, value in arrays.items() if key in names}
        arrays = {name: np.asarray(value, float).reshape(len(value), -1).mean(axis=1) for name, value in arrays.items()}
    columns = {
        name: np.asarray(value, float)
        for name, value in arrays.items()
        if value.ndim == 1 and value.size and np.issubdtype(value.dtype, np.number)
    }
    length = max((len(column) for column in columns.values()), default=0)
    kept = {name: column for name, column in columns.items() if len(column) == length}
    if not kept:
        raise NothingYetError(f"{path}: no array of numbers, one a row, in it; was anything logged?")
    odd = [
        f"{name}: shape {value.shape} fits no {length} rows, left out"
        for name, value in arrays.items()
        if name not in kept
    ]
    return Table(kept, {name: np.ones(length, bool) for name in kept}, notes=odd)


def _by_library(path: Path, suffix: str) -> Table:
    import pandas as pd

    package = "pyarrow" if suffix == ".parquet" else "openpyxl"
    try:
        frame = pd.read_parquet(path) if suffix == ".parquet" else pd.read_excel(path)
    except ImportError as error:
        raise UserError(f"{path}: {package} is not installed, and {suffix} needs it; pip install {package}") from error
    except Exception as error:  # each library raises its own
        raise UserError(f"{path}: {package} cannot read it ({str(error).splitlines()[0]})") from error
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    if not rows:
        raise NothingYetError(f"{path}: no row in it; was anything logged?")
    return _of_cells([{str(name): cell for name, cell in row.items()} for row in rows])
