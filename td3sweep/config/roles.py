"""Which settings play a role, by their dotted keys."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from td3sweep.config.setting import Role
from td3sweep.config.settings import OPTIONS, Settings


def role_of(key: str) -> Role:
    """The role of a setting or a group, ``env.map`` or ``cnn``; of a key that is no setting that of what it lies in.

    What lies in nothing known, as in another tool's log, counts as something that decides what is learnt.
    """
    known = roles()
    while key not in known:
        if "." not in key:
            return Role.LEARNT
        key = key.rpartition(".")[0]
    return known[key]


def keys_of(role: Role) -> tuple[str, ...]:
    """The settings, not groups, that play a role, in the order in which they are declared."""
    return tuple(key for key, played in roles().items() if role & played and key not in _groups())


@functools.cache
def roles() -> dict[str, Role]:
    """The role of every setting and of every group."""
    found = dict(_roles(Settings(), "", None))
    for group, options in OPTIONS.items():
        for cls in options.values():
            found |= dict(_roles(cls(), f"{group}.", found[group]))
    return found


@functools.cache
def _groups() -> frozenset[str]:
    return frozenset(key.rpartition(".")[0] for key in roles())


def _roles(node: Any, prefix: str, above: Role | None) -> Iterator[tuple[str, Role]]:
    for spec in dataclasses.fields(node):
        key, role = f"{prefix}{spec.name}", spec.metadata["about"].role or above
        if role is None or not role & (Role.LEARNT | Role.FREE | Role.SEED):
            raise TypeError(f"settings.py: {key} says neither LEARNT nor FREE nor SEED")
        yield key, role
        if dataclasses.is_dataclass(getattr(node, spec.name)):
            yield from _roles(getattr(node, spec.name), f"{key}.", role)
