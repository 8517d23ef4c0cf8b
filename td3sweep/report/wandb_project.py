"""Runs of a W&B project, read over its API, as if they were directories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from td3sweep.errors import UserError
from td3sweep.logs.log import Log, NothingYetError, Row, numbers
from td3sweep.logs.named import under_our_names
from td3sweep.record.rundir import CRASHED, INTERRUPTED
from td3sweep.report.runs import EMPTY, UNFINISHED, UNREADABLE, Run, from_log

PREFIX = "wandb:"
ENDED = "finished"  # also where a signal or the monitor ended a run of ours: its summary tells
STATES = {"running": UNFINISHED, "crashed": CRASHED, "failed": CRASHED, "killed": INTERRUPTED}
TIMEOUT_S = 20


def read_project(source: str) -> list[Run]:
    """Every run of ``wandb:ENTITY/PROJECT``.

    Raises:
        UserError: the project cannot be read.
    """
    project = source.removeprefix(PREFIX)
    if project.count("/") != 1:
        raise UserError(f"{source}: not a project; write {PREFIX}ENTITY/PROJECT")
    try:
        import wandb

        return [_run(run, source) for run in wandb.Api(timeout=TIMEOUT_S).runs(project)]
    except Exception as error:  # wandb raises its own, requests' and plain ValueErrors alike
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{source}: W&B cannot be read ({reason}); log in, or give directories") from error


def _run(online: Any, source: str) -> Run:
    run = Run(str(online.name), Path(str(online.id)), source, EMPTY, "no row of history in it", kind="wandb project")
    log = Log(run.path, "wandb project", counted=True, config=dict(online.config), summary=dict(online.summary))
    log.finished = online.state == ENDED
    log.rows = [_row(item) for item in online.scan_history()]
    try:
        from_log(run, under_our_names(log, {}, None))
    except NothingYetError:
        return run
    except UserError as error:
        run.state, run.why = UNREADABLE, str(error)
        return run
    if not log.finished:
        run.state, run.why = STATES.get(str(online.state), UNFINISHED), f"W&B says {online.state}"
    return run


def _row(item: Mapping[str, Any]) -> Row:
    values = numbers({key: cell for key, cell in item.items() if not key.startswith("_")})
    phase = item.get("phase")
    return Row(int(item.get("_step") or 0), values, phase if isinstance(phase, str) else None)
