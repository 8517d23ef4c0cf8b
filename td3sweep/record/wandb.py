"""The mirror of the metrics in Weights & Biases, offline by default. Tracking never stops a run nor holds it up."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from td3sweep.record.rundir import CRASHED

log = logging.getLogger(__name__)
INIT_S = 20  # for W&B to answer at the start; after that the run is tracked offline
FINISH_S = 30  # for what is left to be sent at the end; after that it waits on disk for `wandb sync`


class WandbMirror:
    """One wandb run whose x-axis is ``env_step``; after any fault of wandb it says so once and falls silent.

    Online, wandb sends from a process of its own and keeps on disk what it could not send: neither a lost network nor
    a slow one reaches the training loop. Where W&B cannot be reached at the start the run is tracked offline.
    """

    def __init__(
        self,
        *,
        mode: str,
        directory: Path,
        project: str,
        entity: str | None,
        group: str,
        name: str,
        tags: list[str],
        config: dict[str, Any],
        job_type: str = "train",
    ) -> None:
        self._run: Any = None
        self._online = mode == "online"
        self._directory = directory
        self._identity = directory / "wandb" / "run-id"  # a resumed run goes on as the same W&B run
        os.environ.setdefault("WANDB_SILENT", "true")
        options = {
            "dir": directory, "project": project, "entity": entity, "group": group, "job_type": job_type, "name": name,
            "tags": tags, "config": config,
        }  # fmt: skip
        try:
            self._run = self._start(mode, options)
            self._identity.write_text(str(self._run.id))
            self._run.define_metric("env_step")
            self._run.define_metric("*", step_metric="env_step")
        except Exception as error:
            self._fail(error)

    def _start(self, mode: str, options: dict[str, Any]) -> Any:
        import wandb

        settings = wandb.Settings(
            silent=True, console="off", x_disable_stats=True, init_timeout=INIT_S, finish_timeout=FINISH_S
        )
        identity = self._identity.read_text() if self._identity.exists() else None
        options |= {"id": identity, "resume": "allow", "settings": settings}  # offline: heeded by `wandb sync`
        try:
            return wandb.init(mode=mode, **options)  # type: ignore[arg-type]
        except Exception as error:
            if not self._online:
                raise
            log.warning(
                "wandb: %s; tracking offline instead, `wandb sync %s/wandb/offline-run-*` sends it later",
                _line(error),
                self._directory,
            )
        self._online = False
        return wandb.init(mode="offline", **options)

    def log(self, row: Mapping[str, Any]) -> None:
        """Mirror one row of metrics, ``env_step`` included."""
        self._call("log", dict(row))

    def alert(self, title: str, text: str) -> None:
        """Raise a wandb alert."""
        self._call("alert", title=title, text=text)

    def keep(self, film: Path, checkpoints: Path) -> None:
        """Add the film strip to the run, and online the newest checkpoint as an artefact; offline it stays on disk."""
        if self._run is None:
            return
        # wandb asks the server who we are before it takes an artefact: without a network that would hold the run up.
        sending = threading.Thread(target=self._send, args=(self._run, film, checkpoints), daemon=True)
        sending.start()
        sending.join(FINISH_S)
        if sending.is_alive():
            log.warning("wandb: the checkpoint was not taken within %d s; it stays in %s", FINISH_S, checkpoints)

    def _send(self, run: Any, film: Path, checkpoints: Path) -> None:
        try:
            import wandb

            if film.exists():
                run.log({"film": wandb.Image(str(film))})
            newest = max(checkpoints.glob("step-*.pt"), key=lambda path: path.stat().st_mtime, default=None)
            if newest is not None and self._online:
                artefact = wandb.Artifact(f"checkpoint-{run.id}", type="model")
                artefact.add_file(str(newest), policy="immutable")  # not copied before it is sent
                run.log_artifact(artefact)
        except Exception as error:
            log.warning("wandb: film strip or checkpoint not sent (%s); they stay in the run directory", _line(error))

    def summarise(self, summary: Mapping[str, Any]) -> None:
        """Put the verdict and final numbers into the run's summary and close it, as failed where an error ended it."""
        if self._run is not None:
            try:
                self._run.summary.update(dict(summary))
            except Exception as error:
                self._fail(error)
        self._call("finish", exit_code=int(summary.get("ended") == CRASHED))

    def _call(self, method: str, *arguments: Any, **named: Any) -> None:
        if self._run is None:
            return
        try:
            getattr(self._run, method)(*arguments, **named)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        log.warning("wandb: %s; going on without it (metrics.jsonl has everything)", _line(error))
        self._run = None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
