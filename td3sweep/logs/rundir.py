"""Our own run directory: metrics.jsonl and episodes.jsonl, with what config.yaml says of the learner."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from td3sweep.errors import UserError
from td3sweep.logs.jsonlines import read_json_lines
from td3sweep.logs.log import DEMONSTRATIONS, LEARNING, Log, LoggedEpisode, Row, number

Item = TypeVar("Item")
METRICS, EPISODES, CONFIG, SUMMARY = "metrics.jsonl", "episodes.jsonl", "config.yaml", "summary.json"


def read_run_directory(path: Path) -> Log:
    """Read a run directory of this project, a live one included.

    Raises:
        UserError: config.yaml is no YAML.
    """
    log = Log(path, "run directory")
    for name in (METRICS, EPISODES):
        if not (path / name).exists():
            log.notes.append(f"{name} is missing")
    if (path / METRICS).exists():
        log.rows = _whole(path / METRICS, _row, log.notes)
    if (path / EPISODES).exists():
        found = _whole(path / EPISODES, _episode, log.notes)
        log.episodes = [one for one in found if one.phase != DEMONSTRATIONS]  # they tell of another driver
        log.rows = [row for row in log.rows if "episode/length" not in row.values]
    _read_config(path / CONFIG, log)
    _read_summary(path, log)
    return log


def _whole(path: Path, read: Callable[[dict[str, Any]], Item], notes: list[str]) -> list[Item]:
    """The lines of a file as ``read`` makes them; one that does not say its step is damaged, dropped and told of."""
    items: list[Item] = []
    damaged = 0
    for found in read_json_lines(path, notes):
        try:
            items.append(read(found))
        except (KeyError, TypeError, ValueError, OverflowError):
            damaged += 1
    if damaged:
        notes.append(f"{path.name}: {damaged} damaged lines dropped (no env_step, or no number there)")
    return items


def _row(found: dict[str, Any]) -> Row:
    """One line of metrics.jsonl: the writer lists in ``not_finite`` what JSON cannot hold."""
    values = {key: number(value) for key, value in found.items() if key not in ("env_step", "updates")}
    broken = found.get("not_finite", ())
    values |= dict.fromkeys(broken, math.nan)
    if broken:  # the writer knows: it was no number that is not computed yet
        values["nonfinite"] = max(float(len(broken)), values.get("nonfinite") or 0.0)
    whole = {key: value for key, value in values.items() if value is not None}
    return Row(int(found["env_step"]), whole, str(found.get("phase", LEARNING)))


def _episode(found: dict[str, Any]) -> LoggedEpisode:
    return LoggedEpisode(
        int(found["env_step"]),
        number(found.get("length")),
        number(found.get("return")),
        str(found.get("phase", LEARNING)),
        number(found.get("speed")),
        number(found.get("bias")),
    )


def _read_config(path: Path, log: Log) -> None:
    """Discount, clipping and warm-up from config.yaml."""
    if not path.exists():
        log.notes.append(f"{path.name} is missing: the discount and the clip are not known")
        return
    try:
        config = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no YAML ({str(error).splitlines()[0]}); restore it from the run's backup") from error
    groups = [config.get(key) or {} for key in ("hyperparams", "clip")] if isinstance(config, dict) else [config]
    if not all(isinstance(group, dict) for group in groups):
        log.notes.append(f"{path.name} is not that of a run of ours: the discount and the clip are not known")
        return
    log.config, (hyperparams, clip) = config, groups
    warmup = number(config.get("warmup")) or 0.0
    # An episode that began with random actions and ended with the policy's tells of neither; the trainer's monitor
    # does not judge it either.
    log.episodes = [one for one in log.episodes if not one.step - (one.length or 0.0) < warmup < one.step]
    log.gamma = number(hyperparams.get("gamma"))
    log.clip = str(clip.get("name", "off"))
    log.clip_actor = number(clip.get("actor")) or log.clip_actor
    log.clip_critic = number(clip.get("critic")) or log.clip_critic


def _read_summary(path: Path, log: Log) -> None:
    """Whether the run is over, and what only the running program could see: the audit of its wiring."""
    try:
        summary = json.loads((path / SUMMARY).read_text())
        # An older summary belongs to an earlier session of a run that goes on now.
        log.finished = (path / SUMMARY).stat().st_mtime >= (path / METRICS).stat().st_mtime
    except (OSError, ValueError):
        summary = {}
    try:
        found = [alarm for alarm in summary.get("alarms", []) if alarm["detector"] == "d0"]
        names = [str(alarm.get("cause", "")) for alarm in found]
        texts = [str(alarm["evidence"]).removeprefix(f"{name}: ") for name, alarm in zip(names, found, strict=True)]
        wiring = (int(found[0]["step"]), names, texts) if found else None
    except (AttributeError, KeyError, TypeError, ValueError):
        log.notes.append(f"{SUMMARY} is damaged or not that of a run of ours: left out")
        return
    log.summary, log.wiring = summary, wiring or log.wiring
