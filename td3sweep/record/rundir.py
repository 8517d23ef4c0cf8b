"""A run directory: its files, its resolved configuration, provenance and summary."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import shlex
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from td3sweep.config.saved import changed_keys
from td3sweep.config.settings import Settings
from td3sweep.errors import UserError
from td3sweep.files import read_json, write_atomically
from td3sweep.record.provenance import processor, sessions_of, software

FINISHED, STOPPED, PRUNED = "finished", "stopped by the monitor", "pruned"  # as a summary tells how a run ended
INTERRUPTED, CRASHED = "interrupted", "crashed"
ENDINGS = (FINISHED, STOPPED, PRUNED, INTERRUPTED, CRASHED)
NO_MONITOR = "monitor=off"  # in a summary: why it holds no alarm and no verdict


class RunDirectory:
    """Paths of one run and the small files in it; every write replaces the file whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.provenance = path / "provenance.json"
        self.metrics = path / "metrics.jsonl"
        self.episodes = path / "episodes.jsonl"
        self.summary = path / "summary.json"
        self.film = path / "film.png"
        self.console = path / "console.log"
        self.checkpoints = path / "checkpoints"
        self.replay = path / "replay"

    def open(self, settings: Settings) -> None:
        """Create the directory, or agree to go on in it.

        Raises:
            UserError: see :meth:`agree`.
        """
        self.agree(settings)
        self.path.mkdir(parents=True, exist_ok=True)
        new = dataclasses.asdict(settings)
        write_atomically(self.config, OmegaConf.to_yaml(OmegaConf.create(new)))
        for folder in (self.checkpoints, self.replay):
            folder.mkdir(exist_ok=True)

    def agree(self, settings: Settings) -> None:
        """Check that what was learnt here, if anything was, may go on with these settings.

        Raises:
            UserError: the directory holds a run whose settings differ in a key that training depends on, or a finished
                one that cannot be extended since its checkpoints are gone.
        """
        saved, done = any(self.checkpoints.glob("step-*.pt")), read_json(self.summary)
        if not self.config.exists() or not (saved or done.get("finished")):
            return  # nothing was learnt here
        old = OmegaConf.to_container(OmegaConf.load(self.config))
        assert isinstance(old, dict)
        changed = changed_keys({str(key): value for key, value in old.items()}, dataclasses.asdict(settings))
        if changed:
            raise UserError(
                f"{', '.join(changed)}: {self.path} was run with other values; "
                f"repeat {self._begun_with() or 'them as in its config.yaml'}, or start anew in another directory "
                "(hydra.run.dir=, --dir of gates)"
            )
        if not saved and settings.steps > done["env_steps"]:
            raise UserError(
                f"steps={settings.steps}: {self.path} finished at step {done['env_steps']}, and the checkpoints to go "
                "on from are gone; start anew in another directory (hydra.run.dir=)"
            )

    def _begun_with(self) -> str:
        """The overrides with which the run was begun, as they are typed; empty where nothing tells."""
        sessions = sessions_of(read_json(self.provenance)) or [{}]
        words = shlex.split(str(sessions[0].get("command", "")))
        own = [
            word for word in words if re.match(r"[+~]*[\w./@]+=", word) and not word.startswith(("hydra.", "steps="))
        ]
        return shlex.join(own)

    def write_provenance(self, seed: int, simulator: str) -> None:
        """Stamp what produced the run: commit, versions, hardware, seed, command, simulator."""
        sessions = sessions_of(read_json(self.provenance))
        record = {
            "seed": seed,
            "simulator": simulator,
            **software(),
            "hardware": {
                "machine": platform.platform(),
                "processor": processor(),
                "cores": os.cpu_count(),
                "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            },
            "sessions": [
                *sessions,
                {"started": datetime.now(timezone.utc).isoformat(), "command": shlex.join(sys.orig_argv)},
            ],
        }
        write_atomically(self.provenance, json.dumps(record, indent=2) + "\n")

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write ``summary.json``."""
        write_atomically(self.summary, json.dumps(summary, indent=2) + "\n")
