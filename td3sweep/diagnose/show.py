"""A judgement for people and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from td3sweep.diagnose.judge import Judgement
from td3sweep.logs.log import Log
from td3sweep.monitor.detectors import Alarm
from td3sweep.monitor.report import next_step
from td3sweep.monitor.text import lines
from td3sweep.record.metrics import finite


def as_text(judgement: Judgement, columns: int | None = None) -> str:
    """What was read, the verdict block, and what was assumed in reading; long lines broken at ``columns``."""
    log = judgement.log
    steps = [row.step for row in log.rows] + [episode.step for episode in log.episodes]
    span = f", steps {min(steps)} to {max(steps)}" if steps else ""
    block = [f"{label(log)} ({log.kind}): {len(log.rows)} rows, {len(log.episodes)} episodes{span}"]
    block += lines(judgement.report)
    notes = list(log.notes)
    if any(line.startswith("d1") for line in judgement.report.missing):
        notes.append("d1 needs the discount and the largest |reward| of a step: --gamma G, --r-max R")
    if notes:
        block += ["how it was read:", *(f"  {note}" for note in notes)]
    if columns is not None:
        block = [textwrap.fill(line, columns, subsequent_indent="      ") for line in block]
    return "\n".join(block)


def as_json(judgement: Judgement) -> str:
    """One JSON object on one line, with the contract's keys; what is not finite becomes null."""
    report, log = judgement.report, judgement.log
    growth = None if report.growth is None else report.growth.as_dict()
    whole = {
        "verdict": report.verdict,
        "first_alarm_step": report.first_alarm_step,
        "alarms": [_alarm(alarm, until) for alarm, until in zip(report.alarms, report.until, strict=True)],
        "growth": growth and {key: growth[key] for key in ("model", "weights", "forecast", "series")},
        "more_steps_help": report.more_steps_help,
        "missing": list(report.missing),
        "why": report.why,
        "since": report.since,
        "next": next_step(report),
        "progress": {"kind": report.progress.kind, "text": report.progress.text},
        "path": str(log.path),
        "run": log.name,
        "series": log.mapping,
        "unused": log.unused,
        "notes": list(log.notes),
    }
    return json.dumps(finite(whole), allow_nan=False)


def _alarm(alarm: Alarm, until: int | None) -> dict[str, Any]:
    """An alarm, the contract's keys first; ``until`` is the step at which it was last heard, null while it stands."""
    known = alarm.as_dict()
    return {key: known[key] for key in ("detector", "step", "evidence", "level", "cause")} | {"until": until}


def as_table(judgements: Sequence[Judgement]) -> Table:
    """Several runs, one a line: what each is called, its verdict, since when, and why."""
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "verdict", "since", "why"):
        table.add_column(heading, overflow="fold")
    for judgement in judgements:
        report = judgement.report
        since = "" if report.since is None else str(report.since)
        table.add_row(label(judgement.log), report.verdict, since, report.why)
    return table


def label(log: Log) -> str:
    """What a run is called among others."""
    return f"{log.path.name}: {log.name}" if log.name else str(log.path)
