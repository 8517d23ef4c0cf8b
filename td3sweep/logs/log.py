"""What every reader returns: one tidy log, its series still under the names that its writer chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from td3sweep.errors import UserError

WARM_UP, LEARNING, EVALUATION, DEMONSTRATIONS = "warm-up", "learning", "evaluation", "demonstrations"


class NothingYetError(UserError):
    """A log that may be sound but holds nothing to judge; a live one may hold more in a moment."""


@dataclass(frozen=True)
class Row:
    """The numbers logged at one environment step; ``phase`` None where the writer does not tell."""

    step: int
    values: Mapping[str, float]
    phase: str | None = None


@dataclass(frozen=True)
class LoggedEpisode:
    """A finished training episode: environment step of its end, environment steps, undiscounted return.

    ``bias`` is Q at its start less the discounted return that followed; ``ended`` the time of its end in s, where the
    writer tells.
    """

    step: int
    length: float | None
    ret: float | None
    phase: str | None = None
    speed: float | None = None
    bias: float | None = None
    ended: float | None = None


@dataclass
class Log:
    """A run as it was logged.

    Attributes:
        path: what was read.
        kind: its writer, for people: ``run directory``, ``TensorBoard``, ...
        name: which of several runs in one file it is; empty where there is one.
        rows: by ascending step.
        episodes: by ascending step, where the writer lists them one by one.
        evaluations: rows that hold evaluations alone, kept apart from the log, at environment steps.
        counted: the writer only counted its rows: the environment's step, if known, is one of the series.
        config: the run's configuration as it was saved with the log, nested; empty where it was not.
        gamma: the discount, where the log tells it.
        warmup: environment steps before learning, where the log or what lies beside it tells them.
        algorithm: what the series are those of: ``TD3``, ``SAC``, ``PPO``...; empty where nothing tells.
        of_loss: the actor's Q is the negative of its logged loss.
        mapping: the log's own name of each series that was used, and ours.
        unused: series that no detector reads, with the nearest name that one does.
        clip, clip_actor, clip_critic: how gradients were clipped, where the log tells it.
        wiring: what an audit of the running learner found (step, hypotheses, evidence); a log cannot show it.
        finished: whether the writer said that the run is over.
        summary: what the running program saved of itself at its end; empty where it did not.
        notes: what was dropped or assumed, one line each.
        hint: what to do where none of its series is known.
    """

    path: Path
    kind: str
    name: str = ""
    rows: list[Row] = field(default_factory=list)
    episodes: list[LoggedEpisode] = field(default_factory=list)
    evaluations: list[Row] = field(default_factory=list)
    counted: bool = False
    config: dict[str, Any] = field(default_factory=dict)
    gamma: float | None = None
    warmup: int | None = None
    algorithm: str = ""
    of_loss: bool = False
    mapping: dict[str, str] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)
    clip: str = "off"
    clip_actor: float = 1.0
    clip_critic: float = 10.0
    wiring: tuple[int, list[str], list[str]] | None = None
    finished: bool = False
    summary: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    hint: str = ""

    def tags(self) -> list[str]:
        """Every series name in the log, in order of first appearance."""
        return list(dict.fromkeys(tag for row in self.rows for tag in row.values))


def rows_by_step(values: Mapping[int, Mapping[str, float]]) -> list[Row]:
    """Rows by ascending step from ``{step: {tag: value}}``."""
    return [Row(step, values[step]) for step in sorted(values)]


def numbers(cells: Mapping[str, object]) -> dict[str, float]:
    """The cells that hold a number."""
    return {key: value for key, cell in cells.items() if (value := number(cell)) is not None}


def number(value: object) -> float | None:
    """A logged value as a float; None for text, lists, and what was left empty. ``"NaN"`` and ``"inf"`` are numbers."""
    if isinstance(value, (bool, int, float)):
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
