"""A run directory: its files, its resolved configuration, provenance and summary."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from td3sweep.errors import UserError
from td3sweep.record.lock import in_use
from td3sweep.saved import changed_keys
from td3sweep.settings import Settings

FINISHED, STOPPED, PRUNED = "finished", "stopped by the monitor", "pruned"  # as a summary tells how a run ended
INTERRUPTED, CRASHED = "interrupted", "crashed"
ENDINGS = (FINISHED, STOPPED, PRUNED, INTERRUPTED, CRASHED)
NO_MONITOR = "monitor=off"  # in a summary: why it holds no alarm and no verdict
PACKAGES = ("torch", "numpy", "gymnasium", "carla", "hydra-core", "wandb")


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
        saved, done = any(self.checkpoints.glob("step-*.pt")), self.read(self.summary)
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
        sittings = self.read(self.provenance).get("sittings") or [{}]
        words = shlex.split(str(sittings[0].get("command", "")))
        own = [
            word for word in words if re.match(r"[+~]*[\w./@]+=", word) and not word.startswith(("hydra.", "steps="))
        ]
        return shlex.join(own)

    def write_provenance(self, seed: int, simulator: str) -> None:
        """Stamp what produced the run: commit, versions, hardware, seed, command, simulator."""
        sittings = self.read(self.provenance).get("sittings", [])
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
            "sittings": [
                *sittings,
                {"started": datetime.now(timezone.utc).isoformat(), "command": shlex.join(sys.orig_argv)},
            ],
        }
        write_atomically(self.provenance, json.dumps(record, indent=2) + "\n")

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write ``summary.json``."""
        write_atomically(self.summary, json.dumps(summary, indent=2) + "\n")

    @staticmethod
    def read(path: Path) -> dict[str, Any]:
        """A JSON file as a dict; empty where the file is missing or half-written."""
        try:
            value = json.loads(path.read_text())
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}


def software() -> dict[str, Any]:
    """Which code is running: commit, whether it was changed since (its docs apart), Python and package versions."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--", ".", ":(exclude)docs")),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("td3sweep", *PACKAGES)},
    }


def unfinished(root: Path, steps: int) -> Path | None:
    """The newest run directory below ``root`` that is unfinished, or finished short of ``steps`` environment steps.

    One that saved a checkpoint comes before those that ended earlier; one in which a run is going on is none of them.
    """
    runs = [config.parent for config in root.glob("*/config.yaml")]
    found = None
    for run in sorted(runs, key=_last_begun, reverse=True):
        summary = RunDirectory.read(run / "summary.json")
        if (not summary.get("finished") or summary["env_steps"] < steps) and not in_use(run):
            if any(run.glob("checkpoints/step-*.pt")):
                return run
            found = found or run
    return found


def _last_begun(run: Path) -> tuple[float, str]:
    """When a run was last begun or resumed: its ``config.yaml`` is written then."""
    return (run / "config.yaml").stat().st_mtime, run.name


def claim(path: Path) -> Path:
    """Make ``path``, or the first of ``path-2``, ``path-3``... that is not there: no two callers get the same one.

    Where none can be made ``path`` is returned as it is.
    """
    claimed, number = path, 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with suppress(FileExistsError):
                claimed.mkdir()
                return claimed
            number += 1
            claimed = path.with_name(f"{path.name}-{number}")
    except OSError:
        return path  # whoever writes there says what is wrong


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace ``path`` by a file holding ``content``; a reader sees the old file or the new one, never a part."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """Output of git in the checkout this package runs from; None outside a checkout or without git."""
    package = Path(__file__).resolve().parents[2]
    if not (package / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(package), *arguments], check=False, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
