"""What was varied: the settings that differ between runs, those that always change together as one factor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from td3sweep.config.roles import role_of
from td3sweep.config.saved import flatten
from td3sweep.config.setting import Role
from td3sweep.config.settings import Settings
from td3sweep.report.runs import Run

OTHERS_OWN = {"warmup_seed", "_wandb", "wandb_version"}  # of other tools' logs: no factors
FEW = 4  # levels up to which a number is taken as a category; more are halved at their median
NOT_SET = "-"
FOLDER = "folder"  # a factor that is no setting: which of several sources a run lies in


@dataclass(frozen=True)
class Factor:
    """A setting, or several that change together.

    Attributes:
        name: as it is written on a command line.
        keys: the settings behind it.
        levels: what it was, baseline first (the default value where it was tried).
        of: each run's level, in the order of the runs; None where the run's settings are not known.
        values: each run's own value behind its level: the same, but for a number of many values, cut at its median.
    """

    name: str
    keys: tuple[str, ...]
    levels: tuple[str, ...]
    of: tuple[str | None, ...]
    values: tuple[str | None, ...]

    @property
    def halved(self) -> bool:
        """Whether a level holds several values: runs of one level need not agree in it."""
        return self.values != self.of

    @property
    def short(self) -> str:
        """The name without its group, for labels."""
        return self.name.removeprefix("hyperparams.")

    @property
    def rescales(self) -> bool:
        """Whether returns under its levels have different scales."""
        return any(role_of(key) & Role.TASK for key in self.keys)


def factors(runs: Sequence[Run], sources: int = 1) -> list[Factor]:
    """The factors of a set of runs, in the order of the settings; ``sources`` above 1 lets the folder be one."""
    known = [run for run in runs if run.config]
    keys = list(dict.fromkeys(key for run in known for key in run.config))
    columns: dict[str, list[Any]] = {}
    for key in keys:
        if role_of(key) & (Role.FREE | Role.SEED) or key.partition(".")[0] in OTHERS_OWN:
            continue
        values = [run.config.get(key) for run in runs]
        if len({_word(value) for value, run in zip(values, runs, strict=True) if run.config}) > 1:
            columns[key] = values
    if sources > 1:
        columns[FOLDER] = [run.source for run in runs]
    defaults = {key: _word(value) for key, value in flatten(Settings()).items()}
    merged: dict[tuple[int, ...], list[str]] = {}
    found: list[Factor] = []
    for key, values in columns.items():
        if _is_many(values):
            found.append(_halved(key, values, runs))
        else:
            merged.setdefault(_partition(values, runs), []).append(key)
    for together in merged.values():
        found.append(_category(together, columns, runs, defaults))
    return [factor for factor in found if len(factor.levels) > 1]


def _category(keys: list[str], columns: dict[str, list[Any]], runs: Sequence[Run], defaults: dict[str, str]) -> Factor:
    """One factor of settings that split the runs alike; a word of the command line names it best."""
    split = _partition(columns[keys[0]], runs)
    words = {word for run in runs for word in run.overrides}
    parents = {key.partition(".")[0] for key in keys}
    for word in sorted(words, key=lambda word: (word not in parents, "." in word, word)):
        said = [run.overrides.get(word) for run in runs]
        spoken = all(value is not None for value, run in zip(said, runs, strict=True) if run.config)
        if spoken and (word in parents or word in keys) and _partition(said, runs) == split:
            return _factor(word, keys, said, runs, defaults.get(f"{word}.name", defaults.get(word)))
    named = next((key for key in keys if key.endswith(".name")), None)
    key = named or keys[0]
    name = key.removesuffix(".name") + (f" (+{len(keys) - 1})" if named is None and len(keys) > 1 else "")
    return _factor(name, keys, columns[key], runs, defaults.get(key))


def _factor(name: str, keys: Iterable[str], values: Sequence[Any], runs: Sequence[Run], default: str | None) -> Factor:
    known = [bool(run.config) or (name == FOLDER and run.compared) for run in runs]
    of = tuple(_word(value) if level else None for value, level in zip(values, known, strict=True))
    levels = sorted({level for level in of if level is not None}, key=_order)
    return Factor(name, tuple(keys), tuple(sorted(levels, key=lambda level: level != default)), of, of)


def _halved(key: str, values: Sequence[Any], runs: Sequence[Run]) -> Factor:
    """A number of many values, below its median and from there up; no run lies below a median that is the smallest."""
    numbers = [float(value) for value in values if _is_number(value)]
    smallest, cut = min(numbers), median(numbers)
    if cut == smallest:
        cut = min(number for number in numbers if number > smallest)
    low, high = f"< {cut:.3g}", f"≥ {cut:.3g}"
    of = tuple(
        None if not run.config or not _is_number(value) else low if float(value) < cut else high
        for value, run in zip(values, runs, strict=True)
    )
    exact = tuple(None if level is None else _word(value) for level, value in zip(of, values, strict=True))
    return Factor(key, (key,), tuple(level for level in (low, high) if level in of), of, exact)


def _is_many(values: Iterable[Any]) -> bool:
    numbers = [value for value in values if value is not None]
    return all(_is_number(value) for value in numbers) and len(set(numbers)) > FEW


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _partition(values: Iterable[Any], runs: Sequence[Run]) -> tuple[int, ...]:
    """Codes in order of first appearance: equal for two settings that always change together."""
    codes: dict[str, int] = {}
    known = (value for value, run in zip(values, runs, strict=True) if run.config)
    return tuple(codes.setdefault(_word(value), len(codes)) for value in known)


def _word(value: Any) -> str:
    if value is None:
        return NOT_SET
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _order(level: str) -> tuple[float, str]:
    try:
        return float(level), ""
    except ValueError:
        return float("inf"), level
