"""A line of the performance table: what was measured, against what, and whether the goal holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Goal:
    """A bound on ``ratio`` or on ``ours``; a stretch goal beyond it decides nothing."""

    of: Literal["ratio", "ours"]
    sign: Literal[">=", "<="]
    bound: float
    stretch: float | None = None

    def holds(self, value: float) -> bool:
        """Whether ``value`` keeps the bound."""
        return value >= self.bound if self.sign == ">=" else value <= self.bound

    def __str__(self) -> str:
        further = "" if self.stretch is None else f" (stretch {self.stretch:g})"
        return f"{self.of} {self.sign} {self.bound:g}{further}"


@dataclass(frozen=True)
class Row:
    """One line.

    Attributes:
        ours, peer: medians in ``unit``; None where there is nothing to tell.
        against: what ``peer`` is.
        ratio: ``ours / peer``, of the medians over blocks.
        interval: 95 % of it under resampling of the blocks.
        skipped: why the line could not be measured; empty if it was.
        measured: when, and the machine's load then.
    """

    name: str
    unit: str = ""
    ours: float | None = None
    peer: float | None = None
    against: str = ""
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    goal: Goal | None = None
    note: str = ""
    skipped: str = ""
    measured: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the goal holds; None without a goal or a measurement."""
        value = None if self.goal is None else self.ratio if self.goal.of == "ratio" else self.ours
        return None if self.goal is None or value is None else self.goal.holds(value)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **vars(self),
            "interval": None if self.interval is None else list(self.interval),
            "goal": None if self.goal is None else str(self.goal),
            "holds": self.holds,
        }


HEADINGS = ("", "ours", "against", "ratio", "95 %", "goal", "holds")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """The texts of a line, from what :meth:`Row.as_dict` gave."""
    if row["skipped"]:
        return (row["name"], f"skipped: {row['skipped']}", "", "", "", row["goal"] or "", "")
    interval = row["interval"]
    return (
        row["name"],
        f"{_short(row['ours'])} {row['unit']}",
        "" if row["peer"] is None else f"{_short(row['peer'])} {row['against']}",
        "" if row["ratio"] is None else _short(row["ratio"]),
        "" if interval is None else f"{_short(interval[0])}-{_short(interval[1])}",
        row["goal"] or "",
        {True: "yes", False: "NO", None: ""}[row["holds"]],
    )


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print the table."""
    table = Table(*HEADINGS, title="Performance, each ratio within one run")
    for row in rows:
        table.add_row(*cells(row))
    console.print(table)


def as_markdown(found: dict[str, Any]) -> str:
    """What the document says of ``found``: the machine, the table, the notes."""
    machine = ", ".join(f"{key} {value}" for key, value in found["machine"].items())
    lines = [f"Machine: {machine}.", "", _line(HEADINGS), _line(["---"] * len(HEADINGS))]
    lines += [_line(cells(row)) for row in found["rows"]]
    notes = [f"- **{row['name']}**: {row['note']} ({row['measured']})" for row in found["rows"] if row["note"]]
    return "\n".join([*lines, "", *notes])


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
