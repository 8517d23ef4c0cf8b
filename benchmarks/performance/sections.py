"""What all parts of ``python -m benchmarks`` share: their size, their progress, a row made of timed blocks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.performance.blocks import ratio
from benchmarks.performance.rows import Goal, Row
from td3sweep.record.progress import format_duration


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        blocks: of interleaved updates.
        updates, pooled_updates: of a contestant in a block.
        runs: repetitions of a whole run.
        loop_updates: of a run whose loop is timed.
        start_ups: of the program.
        memory_steps: environment steps of the run whose memory is watched.
    """

    blocks: int = 9
    updates: int = 10
    pooled_updates: int = 4
    runs: int = 3
    loop_updates: int = 300
    start_ups: int = 5
    memory_steps: int = 5000


QUICK = Size(blocks=1, updates=2, pooled_updates=2, runs=1, loop_updates=6, start_ups=1, memory_steps=262)
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Section:
    """Rows that are measured together.

    Attributes:
        seconds: what it takes on two cores of 2025, for the first guess of the time left.
        measure: given a size and whom to tell of progress (parts done, parts in all).
    """

    name: str
    seconds: float
    measure: Callable[[Size, Told], list[Row]]


class Progress:
    """Tells on stderr what runs and how long it will still take."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self._left = {section.name: section.seconds for section in sections}
        self._done = 0.0
        self._begun = time.monotonic()

    def of(self, section: Section) -> Told:
        """Whom ``section`` tells."""
        before = self._done

        def told(done: int, parts: int) -> None:
            self._done = before + section.seconds * done / parts
            self._left[section.name] = section.seconds * (1 - done / parts)
            pace = (time.monotonic() - self._begun) / max(self._done, 1e-9)
            left = format_duration(pace * sum(self._left.values()))
            print(f"{section.name} {done}/{parts}, about {left} left", file=sys.stderr, flush=True)

        return told


def speed_row(  # noqa: PLR0917 - a row's own order
    name: str, ours: Sequence[float], peer: Sequence[float], against: str, goal: Goal | None, note: str
) -> Row:
    """A row of two rates from seconds per update, a number a block."""
    value, interval = ratio(peer, ours)
    return Row(
        name, "updates/s", 1 / median(ours), 1 / median(peer), against, value, interval, goal, note
    )  # fmt: skip


def share_row(  # noqa: PLR0917 - a row's own order
    name: str, unit: str, part: Sequence[float], whole: Sequence[float], against: str, goal: Goal | None, note: str
) -> Row:
    """A row of a part and its whole, both in ``unit``, a number a block."""
    value, interval = ratio(part, whole)
    return Row(name, unit, median(part), median(whole), against, value, interval, goal, note)
