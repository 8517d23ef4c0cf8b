"""From a log as it was written to one under our names: series, environment steps, phases, episodes."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace

from td3sweep.logs.algorithm import algorithm_of, is_minus_q
from td3sweep.logs.log import EVALUATION, LEARNING, WARM_UP, Log, LoggedEpisode, NothingYetError, Row
from td3sweep.logs.names import (
    EP_LENGTH,
    EP_RETURN,
    EVAL_RETURN,
    OURS,
    STEP,
    is_known,
    mapping,
    nearest,
    plain,
)

LEARNT = ("q/", "loss/", "td_error")  # series that exist once learning has begun
SHOWN = 8  # names of series that were not used
NOT_MINUS_Q = {  # and what is left out for that
    "SAC": " but Q less the entropy term: no gap is judged",
    "PPO": ", and it has no Q: its returns are judged",
    "TD3+BC": " alone: no gap is judged",
    "DQN": "",
}
JUDGED = ("q/", "loss/", "td_error", "grad/", "clip/", "action/", "episode/", "eval/")


def under_our_names(log: Log, overrides: Mapping[str, str], warmup: int | None) -> Log:
    """The same run, its series under our names; what was guessed or assumed is added to the notes.

    Args:
        log: as a reader returned it.
        overrides: ``{tag: our name}`` from the user.
        warmup: environment steps before learning, None to take the first row that only a learner writes.

    Raises:
        UserError: an override is wrong, or nothing in the log means anything to a detector.
    """
    tags = log.tags()
    named = mapping(tags, overrides)
    if not log.counted:
        named = {tag: name for tag, name in named.items() if name != STEP or tag in overrides}
    notes = list(log.notes)
    foreign = [f"{tag} = {name}" for tag, name in named.items() if tag != name]
    if foreign:
        notes.append("series by name: " + ", ".join(foreign))
    if log.counted and STEP not in named.values():
        notes.append("no series of environment steps: rows are counted instead (--map NAME=step)")
    kept = _kept(tags, named)
    unused = {tag: nearest(tag) for tag in tags if tag not in named and tag not in kept and not is_known(tag)}
    if unused:
        hints = {tag: shlex.quote(f"{tag}={name}") for tag, name in unused.items() if name}
        shown = [f"{tag} (--map {hints[tag]} ?)" if tag in hints else tag for tag in list(unused)[:SHOWN]]
        more = f" and {len(unused) - SHOWN} more" if len(unused) > SHOWN else ""
        notes.append(f"series not used: {', '.join(shown)}{more}")
    renamed = [_renamed(row, kept) for row in _stepped(log, named)]
    rows = _joined(_begun(renamed, notes), notes)
    log = replace(log, algorithm=log.algorithm or algorithm_of(tags))
    rows, of_loss = _with_actor_q(rows, log, notes)
    if not log.episodes and not any(key.startswith(JUDGED) for row in rows for key in row.values):
        found = ", ".join(tags[:8]) or "none at all"
        raise NothingYetError(
            f"{log.path}: no series that a detector knows (found: {found}); "
            + (log.hint or "name them with --map TAG=NAME")
        )
    warmup = log.warmup if warmup is None else warmup
    start = _start(rows) if warmup is None else warmup
    if any(row.phase is None for row in rows) and warmup is None and start is not None:
        notes.append(f"learning is taken to begin at step {start}, the first with a loss or a Q (--warmup N)")
    episodes = log.episodes or _episodes(rows, named, notes)
    rows = [row if row.phase else replace(row, phase=_phase(row.step, start)) for row in rows]
    episodes = [
        one if one.phase else replace(one, phase=_phase(one.step, start)) for one in episodes if not _spans(one, start)
    ]
    rows = sorted([*rows, *log.evaluations], key=lambda row: row.step)
    return replace(
        log, rows=rows, episodes=episodes, evaluations=[], notes=notes, counted=False, of_loss=of_loss, mapping=named,
        unused=unused,
    )  # fmt: skip


def _begun(rows: list[Row], notes: list[str]) -> list[Row]:
    """The rows without cells that are not finite, but for those to a series' end: nothing came of them.

    Those before its first number were not computed yet; single ones later, or every other row's where an actor learns
    less often than its critic, are counted and placed. A series that never is finite stays.
    """
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    gap: dict[str, int] = {}  # cells in a row that are not finite
    longest: dict[str, int] = {}  # of those that a number followed
    for place, row in enumerate(rows):
        for key, value in row.values.items():
            if math.isfinite(value):
                first.setdefault(key, place)
                longest[key] = max(longest.get(key, 0), gap.pop(key, 0))
                last[key] = place
            else:
                gap[key] = gap.get(key, 0) + 1
    last |= {key: len(rows) for key, count in gap.items() if count <= longest.get(key, 0)}  # it may well go on again
    early, odd = 0, []
    begun = []
    for place, row in enumerate(rows):
        passing = {key for key, value in row.values.items() if not math.isfinite(value) and place < last.get(key, -1)}
        before = {key for key in passing if place < first[key]}
        early += len(before)
        odd += [row.step] * len(passing - before)
        begun.append(replace(row, values={key: value for key, value in row.values.items() if key not in passing}))
    if early:
        notes.append(f"{early} cells before a series' first number are not finite: taken as not logged yet")
    if odd:
        notes.append(f"{len(odd)} cells are not finite, the first at step {odd[0]}; their series go on: left out")
    return begun


def _stepped(log: Log, named: Mapping[str, str]) -> list[Row]:
    """Rows by environment step: a series may tell it, and a row without it keeps that of the row before."""
    tag = next((tag for tag, name in named.items() if name == STEP), None)
    if tag is None:
        return sorted(log.rows, key=lambda row: row.step)
    rows, step = [], 0
    for row in log.rows:
        told = row.values.get(tag, math.nan)
        step = int(told) if math.isfinite(told) else step
        rows.append(replace(row, step=step))
    return sorted(rows, key=lambda row: row.step)


def _kept(tags: Iterable[str], named: Mapping[str, str]) -> dict[str, str]:
    """Our series, and every loss, whatever its name: all must be finite; ``{tag: name}``."""
    taken = set(named.values())
    ours = {tag: tag for tag in tags if tag not in taken and (OURS.fullmatch(tag) or "loss" in plain(tag))}
    return {tag: name for tag, name in (ours | dict(named)).items() if name != STEP}


def _renamed(row: Row, kept: Mapping[str, str]) -> Row:
    """The row under our names. Means over no episode are left out."""
    values = {}
    for tag, value in row.values.items():
        name = kept.get(tag)
        if name is None or (name in (EP_RETURN, EP_LENGTH, EVAL_RETURN) and math.isnan(value)):
            continue
        values[name] = value
    return replace(row, values=values)


def _joined(rows: list[Row], notes: list[str]) -> list[Row]:
    """Rows of one step and phase whose series are disjoint, as one: a loop may log its critic and its actor apart."""
    joined: dict[tuple[int, str | None, int], dict[str, float]] = {}
    reached: dict[tuple[int, str | None, str], int] = {}  # rows of that step and phase that hold the series already
    for row in rows:
        place = max((reached.get((row.step, row.phase, key), 0) for key in row.values), default=0)
        joined.setdefault((row.step, row.phase, place), {}).update(row.values)
        reached |= {(row.step, row.phase, key): place + 1 for key in row.values}
    if len(joined) < len(rows):
        notes.append(f"{len(rows) - len(joined)} rows joined with an earlier one of their step that lacks their series")
    return [Row(step, values, phase) for (step, phase, _), values in joined.items()]


def _with_actor_q(rows: list[Row], log: Log, notes: list[str]) -> tuple[list[Row], bool]:
    """TD3's actor loss is -Q1(s, pi(s)): where only the loss is logged, the actor's Q is its negative; whether so."""
    if any("q/actor" in row.values for row in rows) or not any("loss/actor" in row.values for row in rows):
        return rows, False
    if log.algorithm in NOT_MINUS_Q:
        notes.append(f"{log.algorithm} by its series: its actor's loss is not -Q{NOT_MINUS_Q[log.algorithm]}")
        return rows, False
    may, why = is_minus_q(rows)
    if not may:
        notes.append(f"{why}; the actor's Q is not known")
        return rows, False
    notes.append("q/actor = -actor loss, which holds for TD3 and DDPG")
    return [
        replace(row, values={**row.values, "q/actor": -row.values["loss/actor"]}) if "loss/actor" in row.values else row
        for row in rows
    ], True


def _start(rows: Iterable[Row]) -> int | None:
    """The first step at which a learner logged anything."""
    return next((row.step for row in rows if any(key.startswith(LEARNT) for key in row.values)), None)


def _phase(step: int, start: int | None) -> str:
    return WARM_UP if start is not None and step < start else LEARNING


def _spans(episode: LoggedEpisode, start: int | None) -> bool:
    """Whether an episode began with random actions and ended with the policy's: it tells of neither."""
    if episode.phase is not None or start is None or episode.length is None:
        return False
    return episode.step - episode.length < start < episode.step


def _episodes(rows: Iterable[Row], named: Mapping[str, str], notes: list[str]) -> list[LoggedEpisode]:
    """Episodes from the rows that tell of one."""
    of_episodes = [tag for tag, name in named.items() if name in (EP_RETURN, EP_LENGTH)]
    means = [tag for tag in of_episodes if "mean" in plain(tag) or "average" in plain(tag)]
    if means:
        notes.append(f"{', '.join(means)}: a mean over episodes by its name, often a moving one: a change shows late")
    return [
        LoggedEpisode(row.step, row.values.get(EP_LENGTH), row.values.get(EP_RETURN), row.phase)
        for row in rows
        if row.phase != EVALUATION and (EP_LENGTH in row.values or EP_RETURN in row.values)
    ]
