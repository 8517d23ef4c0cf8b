"""Several runs in one table: by a column that names them, by the names of its columns, or where steps begin again."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from td3sweep.logs.frame import Table
from td3sweep.logs.names import STEP, guess, squeeze

RUN_KEYS = {  # columns whose values part runs, as `squeeze` writes them
    "seed", "run", "runid", "runname", "experiment", "expname", "exp", "experimentname", "trial", "trialid",
    "trialname", "env", "envid", "envname", "environment", "task", "taskname", "game", "algo", "algorithm", "agent",
    "method", "variant", "replicate", "repetition", "rep", "id", "uuid", "config", "label", "group",
}  # fmt: skip
MOST_RUNS, MOST_KINDS, MOST_RESUMES = 5_000, 50, 50
METRICS = {"metric", "metricname", "tag", "variable", "series", "key"}
EXPORTED = re.compile(r"(?P<run>.+?) - (?P<tag>[^ ].*?)(?P<bound>__MIN|__MAX)?")  # columns of a wandb chart's export
FEWEST = 3  # rows of a run
AGAIN = 0.05  # of the span, within which a step that goes back is that of another run's beginning


def split(table: Table) -> list[tuple[str, Table]]:
    """``[(name, rows)]``; one nameless part where the table holds one run."""
    if (parts := _exported(table)) is not None:
        return parts
    most = min(MOST_RUNS, len(table) // FEWEST)  # a key with a value a row counts rows
    keys = [name for name in table.names if squeeze(name) in RUN_KEYS and 1 < _distinct(table, name) <= most]
    keys = keys or _what_parts_steps(table)
    if not keys:
        return _by_restarts("", table)
    labels = np.array([", ".join(cells) for cells in zip(*(_cells(table, key) for key in keys), strict=True)])
    found = []
    for label in dict.fromkeys(labels):
        found += _by_restarts(str(label), table.rows(labels == label))
    return found


def pivoted(table: Table) -> Table:
    """A long table, whose rows name a metric and its value, as a column a metric."""
    metric = next((name for name in table.words if squeeze(name) in METRICS), None)
    value = next((name for name in table.numbers if squeeze(name) == "value"), None)
    if metric is None or value is None:
        return table
    wide = Table(dict(table.numbers), dict(table.given), dict(table.words), table.notes)
    del wide.words[metric], wide.numbers[value]
    given = wide.given.pop(value)
    for name in dict.fromkeys(table.words[metric]):
        wide.numbers[name], wide.given[name] = table.numbers[value], given & (table.words[metric] == name)
    return wide


def _what_parts_steps(table: Table) -> list[str]:
    """A column of few values, each with steps of its own, where most steps have several rows: a sweep's, unnamed."""
    tag = next((one for one in table.numbers if guess(one) == STEP), None)
    if tag is None or len(table) < 2 * FEWEST:
        return []
    steps = table.numbers[tag]
    _, counts = np.unique(steps, return_counts=True)
    if np.mean(counts > 1) < 0.5:
        return []
    for name in table.names:
        if name == tag or guess(name) is not None or not 1 < _distinct(table, name) <= min(MOST_KINDS, counts.max()):
            continue
        labels = np.array(_cells(table, name))
        if all(len(np.unique(steps[labels == label])) == (labels == label).sum() for label in set(labels)):
            table.notes.append(f"most steps have several rows, which {name} tells apart: taken as runs")
            return [name]
    table.notes.append("most steps have several rows; if they are several runs, no column was seen to name them")
    return []


def _exported(table: Table) -> list[tuple[str, Table]] | None:
    """A chart that wandb exported: ``RUN - METRIC`` and the bounds of each, beside the step that all share."""
    runs: dict[str, dict[str, str]] = {}
    shared = []
    for name in table.numbers:
        match = EXPORTED.fullmatch(name)
        if match is None:
            shared.append(name)
        elif match["bound"] is None:
            runs.setdefault(match["run"], {})[match["tag"]] = name
    if (
        not runs
        or len(shared) > 2
        or any(f"{n}__MIN" not in table.numbers for tags in runs.values() for n in tags.values())
    ):
        return None
    parts = []
    for run, tags in runs.items():
        names = {name: name for name in shared} | tags
        part = Table(
            {tag: table.numbers[name] for tag, name in names.items()},
            {tag: table.given[name] for tag, name in names.items()},
            notes=table.notes,
        )
        told = np.any([part.given[tag] for tag in tags], axis=0)
        parts.append((run, part.rows(told)))
    return parts


def _distinct(table: Table, name: str) -> int:
    if name in table.words:
        return len(set(table.words[name]) - {""})
    return len(np.unique(table.numbers[name][table.given[name]]))


def _cells(table: Table, name: str) -> list[str]:
    label = name.rpartition("/")[2]
    cells = table.words[name] if name in table.words else [f"{value:g}" for value in table.numbers[name]]
    return [f"{label}={cell}" for cell in cells]


def _by_restarts(name: str, table: Table) -> list[tuple[str, Table]]:
    """Parted where the steps begin again. A run that was resumed goes back a little: what it took back is dropped."""
    tag = next((one for one in table.numbers if guess(one) == STEP), None)
    if tag is None or len(table) < 2:
        return [(name, table)]
    steps, told = table.numbers[tag], table.given[tag]
    steps = np.where(told, steps, np.nan)
    known = np.flatnonzero(~np.isnan(steps))
    if len(known) < 2 or np.all(np.diff(steps[known]) >= 0):
        return [(name, table)]
    span = float(np.nanmax(steps) - np.nanmin(steps))
    back = known[1:][np.diff(steps[known]) < -AGAIN * span]
    again = [int(place) for place in back if steps[place] <= np.nanmin(steps) + AGAIN * span]
    edges = [0, *again, len(table)]
    parts = [table.rows(slice(first, last)) for first, last in pairwise(edges)]
    parts = [_without_retaken(part, tag) for part in parts]
    if len(parts) == 1 or min(map(len, parts)) < FEWEST:  # a line or two out of order are no runs
        return [(name, table if len(parts) > 1 else parts[0])]
    return [(f"{name}{', ' if name else ''}part {number}", part) for number, part in enumerate(parts, 1)]


def _without_retaken(table: Table, tag: str) -> Table:
    """Rows that a resumed run took again are those it wrote last."""
    steps = np.where(table.given[tag], table.numbers[tag], np.nan)
    known = np.flatnonzero(~np.isnan(steps))
    back = known[1:][np.diff(steps[known]) < 0]
    if not len(back) or len(back) > MOST_RESUMES:  # unordered rather than resumed
        return table
    kept = np.ones(len(table), bool)
    for place in back:
        kept[:place] &= ~(steps[:place] >= steps[place])
    part = table.rows(kept)
    part.notes = [*table.notes, f"{int((~kept).sum())} rows that a resumed run took again are dropped"]
    return part
