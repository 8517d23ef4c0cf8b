"""What produced a run: the code, the packages and the machine."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "gymnasium", "carla", "hydra-core", "wandb")


def sessions_of(provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """When a run was begun and resumed, and by which command, oldest first; runs of before 0.2 say ``sittings``."""
    return list(provenance.get("sessions") or provenance.get("sittings") or [])


def software() -> dict[str, Any]:
    """Which code is running: commit, whether it was changed since (its docs apart), Python and package versions."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--", ".", ":(exclude)docs")),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("td3sweep", *PACKAGES)},
    }


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
