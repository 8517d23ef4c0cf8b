"""wandb's offline runs, read with its supported reader: ``wandb leet inspect --json``."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from td3sweep.errors import UserError
from td3sweep.logs.log import Log, NothingYetError, Row, number, numbers

PHASE = "phase"


def read_wandb_run(path: Path) -> Log:
    """The history and the summary of a ``.wandb`` file, a live one included.

    Raises:
        UserError: wandb is not installed or too old to have the reader, or the file is not wandb's.
    """
    if importlib.util.find_spec("wandb") is None:
        raise UserError("wandb is not installed, and its runs need its reader; pip install 'wandb>=0.31'")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    complaint = " ".join(done.stderr.split())
    if done.returncode != 0:
        if "No such command" in complaint or "Usage:" in complaint:
            raise UserError("this wandb has no reader for its own files; pip install 'wandb>=0.31'")
        raise UserError(f"{path}: wandb cannot read it: {complaint.removeprefix('Error: ') or 'no reason given'}")
    log = Log(path, "wandb", counted=True)
    for line in done.stdout.splitlines():
        record = json.loads(line)
        body = record.get(record["type"]) or {}
        if record["type"] == "history":
            log.rows.append(_row(body["item"]))
        elif record["type"] in ("run", "config"):
            config = body.get("config", body).get("update") or {}
            log.config |= {key: value for key, value in config.items() if key != "_wandb"}
            gamma = _gamma(config)
            log.gamma = log.gamma if gamma is None else gamma
        elif record["type"] == "summary":
            log.summary |= body.get("update") or {}
        elif record["type"] == "exit":
            log.finished = True
    if not log.rows:
        raise NothingYetError(f"{path}: no row of history in it; was anything logged?")
    if "incomplete" in complaint:
        log.notes.append(f"{path.name}: its end is missing (the run goes on or was killed); whole records were read")
    return log


def _row(item: Mapping[str, Any]) -> Row:
    """One history record under wandb's own count of calls."""
    values = numbers({key: cell for key, cell in item.items() if not key.startswith("_")})
    phase = item.get(PHASE)
    return Row(int(number(item.get("_step")) or 0), values, phase if isinstance(phase, str) else None)


def _gamma(config: Mapping[str, Any]) -> float | None:
    """``gamma`` at the top of a configuration or one level below it."""
    nested = [value for value in config.values() if isinstance(value, Mapping)]
    return next((found for level in (config, *nested) if (found := number(level.get("gamma"))) is not None), None)
