"""A sweep on the terminal: a live table where there is one, else a line for each trial that ends."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from td3sweep.record.progress import format_duration

EVERY_S = 2.0
LATEST = 6  # ended trials that the live table shows
TAIL_BYTES = 8192


@dataclass(frozen=True)
class SlotView:
    """A running trial: its slot, number, directory and seconds since it started here."""

    slot: int
    number: int
    directory: Path
    seconds: float


class SweepView:
    """Shows a sweep. A context manager; :meth:`close` prints what it found."""

    def __init__(self, directory: Path, engine: str, console: Console | None = None) -> None:
        self._directory, self._engine = directory, engine
        self._console = console or Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._found: Mapping[str, Any] = {}
        self._shown_at = 0.0

    def __enter__(self) -> SweepView:
        self._say(f"sweep in {self._directory} ({self._engine})")
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    @property
    def due(self) -> bool:
        """Whether a fresh summary would be shown."""
        return self._console.is_terminal and time.monotonic() - self._shown_at > EVERY_S

    def show(self, found: Mapping[str, Any] | None, slots: Sequence[SlotView], ended: Sequence[int]) -> None:
        """Show the state of the sweep, and the trials that have just ended.

        Args:
            found: as :func:`td3sweep.sweep.results.summarise` gives it; None where nothing has changed.
            slots: what runs.
            ended: numbers of the trials whose jobs ended since the last call.
        """
        if found is None:
            return
        self._found, self._shown_at = found, time.monotonic()
        by_number = {trial["number"]: trial for trial in found["trials"]}
        for number in ended:
            trial = by_number.get(number)
            line = f"trial {number}: died, queued again" if trial is None else f"trial {number}: {describe(trial)}"
            self._say(f"{line}  [{self._progress(slots)}]")
        if self._live.is_started:
            self._live.update(self._table(slots), refresh=True)

    def close(self, found: Mapping[str, Any], elsewhere: int, why: str) -> None:
        """Print what the sweep found.

        Args:
            found: its summary.
            elsewhere: trials that other controllers still run.
            why: what ended it before its budget was spent.
        """
        self._found = found
        if why:
            self._say(f"ended early: {why}; the same command again goes on")
        self._say(f"{self._progress(())}; results in {self._directory}/sweep.json")
        if elsewhere:
            self._say(f"{elsewhere} run elsewhere: python -m td3sweep.sweep {self._directory} --watch follows them")
        if found["best"] is not None:
            self._say(f"best: trial {found['best']['number']}, return {found['best']['value']:.2f} on its tuning seeds")
            self._say(f"  {found['best']['command']}")

    def _progress(self, slots: Sequence[SlotView]) -> str:
        found = self._found
        states = found["states"]
        done = sum(states.get(state, 0) for state in ("COMPLETE", "PRUNED", "FAIL"))
        budget = found["budget"] if found["budget"] < 10**9 else "unlimited"
        counts = ", ".join(f"{count} {state.lower()}" for state, count in sorted(states.items()))
        left = time_left(found, slots)
        eta = f", time left {format_duration(left)}" if left is not None and slots else ""
        return f"{done} of {budget} trials ended: {counts or 'none'}{eta}"

    def _table(self, slots: Sequence[SlotView]) -> Group:
        found = self._found
        running = Table(box=None, pad_edge=False)
        for column in ("slot", "trial", "seed", "steps", "return", "time"):
            running.add_column(column, justify="right")
        for slot in slots:
            seed, step, value = progress_of(slot.directory)
            shown = "" if value is None else f"{value:.1f}"
            cells = (str(slot.slot), str(slot.number), seed, step, shown, format_duration(slot.seconds))
            running.add_row(*cells)
        ended = [trial for trial in found["trials"] if trial["state"] in ("COMPLETE", "PRUNED", "FAIL")][-LATEST:]
        lines = [
            Text(f"trial {trial['number']}: {describe(trial)}", overflow="ellipsis", no_wrap=True) for trial in ended
        ]
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(found["verdicts"].items()))
        best = found["best"]
        head = self._progress(slots) + (f"; best {best['value']:.2f} (trial {best['number']})" if best else "")
        return Group(Text(head, style="bold"), Text(f"verdicts: {verdicts or 'none yet'}"), *lines, running)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def describe(trial: Mapping[str, Any]) -> str:
    """How a trial ended, in a line."""
    value = "" if trial["value"] is None else f" return {trial['value']:.2f}"
    verdict = f" {trial['verdict']}" if trial["verdict"] else ""
    reason = f" ({trial['reason']})" if trial["reason"] else ""
    return (
        f"{trial['state']}{value}{verdict}{reason} {format_duration(trial['seconds'])} {' '.join(trial['overrides'])}"
    )


def time_left(found: Mapping[str, Any], slots: Sequence[SlotView]) -> float | None:
    """Seconds until the budget is spent, from the trials that have ended; None before the first, or without an end."""
    ended = [trial["seconds"] for trial in found["trials"] if trial["state"] in ("COMPLETE", "PRUNED")]
    if not ended or not slots or found["budget"] >= 10**9:
        return None
    mean = fmean(ended)
    begun = sum(trial["state"] != "WAITING" for trial in found["trials"])
    running = sum(max(mean - slot.seconds, 0.0) for slot in slots)
    return float(running + max(found["budget"] - begun, 0) * mean) / len(slots)


def progress_of(directory: Path) -> tuple[str, str, float | None]:
    """Seed, environment step and latest evaluation of the run that a trial is at, from the end of its metrics."""
    files = [path for path in directory.glob("seed-*/metrics.jsonl") if path.exists()]
    if not files:
        return "", "starting", None
    newest = max(files, key=lambda path: path.stat().st_mtime)
    with newest.open("rb") as file:
        file.seek(max(0, newest.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    step, value = 0, None
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the part of a line at the tail's beginning, or one being written
        step, value = row.get("env_step", step), row.get("eval/return", value)
    return newest.parent.name.removeprefix("seed-"), str(step), value
