"""What ``--help`` prints: every group with its options, every key with its default, effect and range."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from td3sweep.env_settings import CarlaSettings, GymSettings
from td3sweep.presets import options
from td3sweep.setting import choices
from td3sweep.settings import Settings

GROUP_ORDER = (
    *("cnn", "recurrent", "hyperparams", "demonstrations", "target", "replay", "clip", "wiring"),
    *("env", "reward", "tracking", "monitor", "experiment", "space"),
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One key: dotted name, default, effect with sane range."""

    key: str
    default: Any
    effect: str


def entries() -> Iterator[Entry]:
    """Every key in the order of the dataclasses; below ``env`` those of CARLA, then those of Gymnasium alone."""
    seen = set()
    for entry in (*_entries(Settings(), ""), *_entries(CarlaSettings(), "env."), *_entries(GymSettings(), "env.")):
        if entry.key not in seen:
            seen.add(entry.key)
            yield entry


def _entries(node: Any, prefix: str) -> Iterator[Entry]:
    for spec in dataclasses.fields(node):
        value = getattr(node, spec.name)
        if dataclasses.is_dataclass(value):
            yield from _entries(value, f"{prefix}{spec.name}.")
        else:
            words = " | ".join(choices(type(node), spec.name))
            effect = spec.metadata["about"].help + (f" ({words})" if words else "")
            yield Entry(f"{prefix}{spec.name}", value, effect)


def help_text() -> str:
    """Groups and keys for a terminal."""
    lines = ["Groups (GROUP=OPTION):"]
    lines += [f"  {group:12} {' | '.join(options(group))}" for group in GROUP_ORDER]
    lines += ["", "Keys (KEY=VALUE), their default, effect and range; a group's option may set another default:"]
    for entry in entries():
        if entry.key.partition(".")[2] != "name":
            default = "null" if entry.default is None else str(entry.default)
            lines.append(f"  {f'{entry.key}={default}':42} {entry.effect}")
    return "\n".join(lines)
