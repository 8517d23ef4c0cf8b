"""How a setting is declared: default, effect in one line, bounds, and what it is to the rest of the program."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Any, get_type_hints

from td3sweep import names
from td3sweep.errors import UserError


class Role(Flag):
    """What a setting is. Whoever treats some settings otherwise than others goes by this, never by a list of keys."""

    LEARNT = auto()  # decides what is learnt: a resume may not change it, reports compare runs by it
    FREE = auto()  # leaves the training as it was: a resume may change it, reports do not compare by it
    SEED = auto()  # which of several equal runs it is
    SEARCH = auto()  # how a multirun searches, or what it sets in its runs for its own sake
    SHAPE = auto()  # decides the networks: a checkpoint's weights fit one value alone
    TASK = auto()  # decides what is driven or paid: returns under two values of it cannot be compared
    TIME = auto()  # decides what a step or an update costs
    COUNT = auto()  # decides how many of them a run has
    SCORED = auto()  # free, but it decides what a run is scored by: a sweep holds it fast
    TAPED = auto()  # decides what the same action in the same place means, shows and pays: recordings must agree in it
    TUNED = auto()  # a number that sweeps usually tune: pictures show returns along it
    PLACE = auto()  # where a run lives: not repeated in a command that runs its configuration again


# Roles as the settings have them, most of them several at once.
LEARNT, FREE, TASK = Role.LEARNT, Role.FREE, Role.LEARNT | Role.TASK | Role.TIME
SHAPE, TIME, COUNT, TUNED = (
    LEARNT | Role.SHAPE | Role.TIME,
    LEARNT | Role.TIME,
    LEARNT | Role.COUNT,
    LEARNT | Role.TUNED,
)
PLACE = FREE | Role.PLACE


@dataclass(frozen=True)
class About:
    """What is known of a setting beside its type and default.

    Attributes:
        help: effect in one line, with its sane range.
        low, high: closed bounds.
        role: see :class:`Role`; None: that of its group.
    """

    help: str
    low: float | None = None
    high: float | None = None
    role: Role | None = None


def setting(
    default: Any, help: str, *, low: float | None = None, high: float | None = None, role: Role | None = None
) -> Any:
    """A dataclass field with what :class:`About` says of it."""
    metadata = {"about": About(help, low, high, role)}
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def group(cls: type, role: Role | None = None) -> Any:
    """A dataclass field holding one config group; ``role``: of all in it that say nothing of their own."""
    return field(default_factory=cls, metadata={"about": About("", role=role)})


def choices(cls: type, name: str) -> tuple[str, ...]:
    """The words that a field of a settings dataclass may hold; none: it holds something else."""
    return names.words_of(_hints(cls)[name])


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def check_bounds(node: Any, prefix: str = "") -> None:
    """Refuse the first value of a settings dataclass that lies out of its bounds or is none of its words.

    Raises:
        UserError: naming its key, which begins with ``prefix``.
    """
    for spec in dataclasses.fields(node):
        key, value = f"{prefix}{spec.name}", getattr(node, spec.name)
        if dataclasses.is_dataclass(value):
            check_bounds(value, f"{key}.")
        elif value is not None:
            _check_value(key, value, spec.metadata["about"], choices(type(node), spec.name))


def _check_value(key: str, value: Any, about: About, words: tuple[str, ...]) -> None:
    if words and value not in words:
        raise UserError(f"{key}={value}: choose one of {', '.join(words)} ({about.help})")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    low, high = about.low, about.high
    outside = (low is not None and value < low) or (high is not None and value > high)
    if outside or not math.isfinite(value):
        raise UserError(f"{key}={value}: must lie {_interval(low, high)} ({about.help})")


def _interval(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"between {low:g} and {high:g}"
    return f"at or above {low:g}" if low is not None else f"at or below {high:g}" if high is not None else "in reach"
