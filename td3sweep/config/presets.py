"""``conf/``: where it lies, and an option of a group as plain data, for whoever does without Hydra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from td3sweep.errors import UserError


def config_directory() -> str:
    """``conf/``: inside the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return str(inside if inside.is_dir() else package.parent / "conf")


def options(group: str) -> list[str]:
    """The options of a config group."""
    return sorted(path.stem for path in (Path(config_directory()) / group).glob("*.yaml"))


def preset(group: str, name: str) -> dict[str, Any]:
    """What an option of a config group says.

    Raises:
        UserError: there is no such option.
    """
    if name not in options(group):
        raise UserError(f"{group}={name}: no such preset; choose from {', '.join(options(group))}")
    said: dict[str, Any] = yaml.safe_load((Path(config_directory()) / group / f"{name}.yaml").read_text())
    return said
