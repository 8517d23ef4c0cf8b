"""The mirror of the metrics in Weights & Biases, offline by default. Tracking never stops a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class WandbMirror:
    """One wandb run whose x-axis is ``env_step``; after any fault of wandb it says so once and falls silent."""

    def __init__(
        self,
        *,
        mode: str,
        directory: Path,
        project: str,
        entity: str | None,
        group: str,
        name: str,
        job_type: str,
        tags: list[str],
        config: dict[str, Any],
    ) -> None:
        self._run: Any = None
        identity = directory / "wandb" / "run-id"  # a resumed run goes on as the same W&B run
        os.environ.setdefault("WANDB_SILENT", "true")
        try:
            import wandb

            self._run = wandb.init(
                mode=mode,  # type: ignore[arg-type]
                dir=directory,
                project=project,
                entity=entity,
                group=group,
                job_type=job_type,
                name=name,
                tags=tags,
                config=config,
                id=identity.read_text() if identity.exists() else None,
                resume="allow" if mode == "online" else None,
                settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
            )
            identity.write_text(str(self._run.id))
            self._run.define_metric("env_step")
            self._run.define_metric("*", step_metric="env_step")
        except Exception as error:
            self._fail(error)

    def log(self, row: Mapping[str, Any]) -> None:
        """Mirror one row of metrics, ``env_step`` included."""
        self._call("log", dict(row))

    def alert(self, title: str, text: str) -> None:
        """Raise a wandb alert."""
        self._call("alert", title=title, text=text)

    def summarise(self, summary: Mapping[str, Any]) -> None:
        """Put the verdict and final numbers into the run's summary and close the run."""
        if self._run is not None:
            try:
                self._run.summary.update(dict(summary))
            except Exception as error:
                self._fail(error)
        self._call("finish")

    def _call(self, method: str, *arguments: Any, **named: Any) -> None:
        if self._run is None:
            return
        try:
            getattr(self._run, method)(*arguments, **named)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        log.warning("wandb: %s; going on without it (metrics.jsonl has everything)", error)
        self._run = None
