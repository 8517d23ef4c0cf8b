"""Feed a log to the monitor in the order in which a running trainer would have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from td3sweep.logs.log import EVALUATION, LEARNING, Log, LoggedEpisode, Row
from td3sweep.logs.names import EVAL_EPISODES, EVAL_RETURN, EVAL_SUCCESS, REWARD_MIN
from td3sweep.monitor.report import Report
from td3sweep.monitor.verdict import Monitor

R_MAX = "reward/max"  # running largest |r| of a step
AUDIT = "divergence/d0"
OWN_WORDS = ("divergence/", "time/", R_MAX)  # what a monitor and a clock added to a row after it was judged


@dataclass(frozen=True)
class Judgement:
    """A log under our names and what the monitor says of it."""

    log: Log
    report: Report


def judge(log: Log, *, gamma: float | None, r_max: float | None) -> Judgement:
    """Judge a log whose series have our names.

    Args:
        log: see :func:`td3sweep.logs.named.under_our_names`.
        gamma: discount; None takes the log's own, and without that D1 is left out.
        r_max: largest |reward| of a step, where the log does not hold it; it sets D1's bound.
    """
    monitor = Monitor(
        gamma=log.gamma if gamma is None else gamma,
        clip=log.clip,
        clip_actor=log.clip_actor,
        clip_critic=log.clip_critic,
        of_loss=log.of_loss,
    )
    audit = _audit(log) if log.wiring is None else log.wiring
    if audit is not None:
        monitor.wiring(*audit)
    if r_max is not None:
        monitor.reward(r_max)
    for event in _in_order(log):
        if isinstance(event, LoggedEpisode):
            _episode(monitor, event)
        else:
            _row(monitor, event)
    return Judgement(log, monitor.report())


def _audit(log: Log) -> tuple[int, list[str], list[str]] | None:
    """What the running program's audit of its wiring found, by the count of faults that it logged with every row."""
    counted = [(row.step, row.values[AUDIT]) for row in log.rows if AUDIT in row.values]
    if not counted:
        return None
    step, count = counted[0]
    return step, *((["wiring"], [f"the run's own audit found {count:.0f} faults"]) if count > 0 else ([], []))


def _in_order(log: Log) -> Iterator[Row | LoggedEpisode]:
    """Rows and episodes by step; at one step the learner's row, the episode's end, then the evaluation after it."""
    events: list[Any] = [*log.rows, *log.episodes]
    yield from sorted(events, key=lambda event: (event.step, _place(event)))


def _place(event: Row | LoggedEpisode) -> int:
    if isinstance(event, LoggedEpisode):
        return 1
    return 2 if event.phase == EVALUATION else 0


def _row(monitor: Monitor, row: Row) -> None:
    """A row's series, and the evaluation in it."""
    for name in (R_MAX, REWARD_MIN):
        if math.isfinite(row.values.get(name, math.nan)):
            monitor.reward(row.values[name])
    if row.phase != EVALUATION:
        measured = {name: value for name, value in row.values.items() if not name.startswith(OWN_WORDS)}
        monitor.watch(row.step, measured, row.phase or LEARNING)
    if EVAL_RETURN in row.values:
        count = _count(row.values.get(EVAL_EPISODES, 1.0))
        monitor.evaluation(row.step, row.values[EVAL_RETURN], count, row.values.get(EVAL_SUCCESS))


def _count(value: float) -> int:
    return int(value) if math.isfinite(value) and value > 0 else 0


def _episode(monitor: Monitor, episode: LoggedEpisode) -> None:
    """A finished episode; what is not known of it is NaN."""
    length = math.nan if episode.length is None else episode.length
    ret = math.nan if episode.ret is None else episode.ret
    monitor.episode(episode.step, length=length, ret=ret, phase=episode.phase or LEARNING, speed=episode.speed)
