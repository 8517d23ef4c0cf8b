"""What ``--help`` prints: every group with its options, every key with its default, effect and range."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from td3sweep.config.presets import options
from td3sweep.config.setting import choices
from td3sweep.config.settings import OPTIONS, Settings, having

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
    """Every key in the order of the dataclasses; in a group whose options differ those of one after the other."""
    seen = set()
    for entry in _entries(Settings(), ""):
        if entry.key not in seen:
            seen.add(entry.key)
            yield entry


def _entries(node: Any, prefix: str) -> Iterator[Entry]:
    for spec in dataclasses.fields(node):
        key, value = f"{prefix}{spec.name}", getattr(node, spec.name)
        if dataclasses.is_dataclass(value):
            for cls in dict.fromkeys(OPTIONS[key].values()) if key in OPTIONS else (type(value),):
                yield from _entries(cls(), f"{key}.")
        else:
            words = " | ".join(choices(type(node), spec.name))
            only = having(key)
            whose = f"{', '.join(only)}: " if only and not prefix.startswith("env.") else ""
            yield Entry(key, value, f"{whose}{spec.metadata['about'].help}" + (f" ({words})" if words else ""))


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
