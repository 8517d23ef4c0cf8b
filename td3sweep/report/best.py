"""The best configuration as a command, marked for what it is: chosen on the very seeds it is judged by."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from td3sweep import stats
from td3sweep.config.presets import options as options_of
from td3sweep.config.presets import preset
from td3sweep.config.roles import role_of
from td3sweep.config.saved import flatten
from td3sweep.config.setting import Role
from td3sweep.report.factors import FOLDER, Factor
from td3sweep.report.frame import SCORE
from td3sweep.report.runs import Run
from td3sweep.stats import Estimate

FRESH = 10  # seeds that a claim takes (Eimer et al., 2023)


@dataclass(frozen=True)
class Best:
    """The configuration of the highest IQM return among those of which no run diverged.

    Attributes:
        command: what runs it again; None where no run tells how it was started.
        fresh: the same on seeds that chose nothing.
        score: on the seeds that chose it: flattered by the choice.
    """

    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    command: str | None
    fresh: str | None
    score: Estimate


def best(runs: Sequence[Run], frame: pd.DataFrame, factors: Sequence[Factor]) -> Best | None:
    """The best configuration; None where no run has settings and a return, or a factor sets the scale of returns."""
    if any(factor.rescales for factor in factors):
        return None
    failed = pd.Series([run.observed and run.failed_at is not None for run in runs], frame.index)  # at any step
    known = frame[SCORE].notna() & pd.Series([bool(run.config) for run in runs], frame.index)
    calm = frame[known & ~failed.groupby(frame["configuration"]).transform("any")]
    if calm.empty:
        return None
    scores = calm.groupby("configuration")[SCORE].agg(lambda values: float(stats.iqm(values.to_numpy(float))))
    mine = calm[calm["configuration"] == scores.idxmax()]
    members = [runs[place] for place in mine.index]
    words = _words(members[0], factors)
    command = shlex.join(["python", "-m", "td3sweep", *(f"{key}={value}" for key, value in words.items())])
    used = [run.seed for run in runs if run.seed is not None]
    first = max(used, default=0) + 1
    seeds = ",".join(str(first + place) for place in range(FRESH))
    return Best(
        tuple(run.name for run in members),
        tuple(sorted({run.seed for run in members if run.seed is not None})),
        command if words else None,
        command.replace("td3sweep", "td3sweep --multirun", 1) + f" seed={seeds}" if words else None,
        stats.bootstrapped(mine[SCORE].to_numpy(float), [0] * len(mine)),
    )


def _words(run: Run, factors: Sequence[Factor]) -> dict[str, str]:
    """The overrides that make the run's configuration; a multirun's own command does not tell which choice it was."""
    words = {key: value for key, value in run.overrides.items() if not role_of(key) & Role.PLACE}
    for factor in factors if words or run.provenance else ():
        for key in factor.keys if factor.name not in words else ():
            if key != FOLDER and key in run.config:  # an option has no keys but its own
                words.setdefault(key.removesuffix(".name"), _word(key, run))
    return words


def _word(key: str, run: Run) -> str:
    """A setting as a command line takes it; in place of a config group's name the option that is most like the run."""
    value, group = run.config.get(key), key.removesuffix(".name")
    if group == key:
        return "null" if value is None else str(value)
    options = {option: flatten(preset(group, option), f"{group}.") for option in options_of(group)}
    alike = {
        option: sum(run.config.get(name) == setting for name, setting in settings.items())
        for option, settings in options.items()
        if settings.get(key) == value
    }
    return max(alike, key=lambda option: alike[option], default=str(value))
