"""A judgement for people and for programs."""

from __future__ import annotations

import json
import textwrap

from td3sweep.diagnose.judge import Judgement
from td3sweep.monitor.text import lines
from td3sweep.record.metrics import finite


def as_text(judgement: Judgement, columns: int | None = None) -> str:
    """What was read, the verdict block, and what was assumed in reading; long lines broken at ``columns``."""
    log = judgement.log
    steps = [row.step for row in log.rows] + [episode.step for episode in log.episodes]
    span = f", steps {min(steps)} to {max(steps)}" if steps else ""
    block = [f"{log.path} ({log.kind}): {len(log.rows)} rows, {len(log.episodes)} episodes{span}"]
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
    report = judgement.report
    growth = None if report.growth is None else report.growth.as_dict()
    whole = {
        "verdict": report.verdict,
        "first_alarm_step": report.first_alarm_step,
        "alarms": [{"detector": a.detector, "step": a.step, "evidence": a.evidence} for a in report.alarms],
        "growth": growth and {key: growth[key] for key in ("model", "weights", "forecast")},
        "more_steps_help": report.more_steps_help,
        "missing": list(report.missing),
    }
    return json.dumps(finite(whole), allow_nan=False)
