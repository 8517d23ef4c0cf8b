"""One trial: a run for each seed, and what they are worth together."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from td3sweep.config.compose import compose_settings
from td3sweep.config.settings import Settings, on_slot
from td3sweep.errors import UserError
from td3sweep.monitor.report import EXPLANATION, FAILURES
from td3sweep.record.rundir import PRUNED
from td3sweep.sweep.space import parse_space
from td3sweep.sweep.spec import Spec
from td3sweep.training.callbacks import Callback

if TYPE_CHECKING:
    from td3sweep.training.trainer import Trainer


class ImpossiblePointError(UserError):
    """This point of the space makes no valid settings: it never will."""


@dataclass(frozen=True)
class Ending:
    """How a trial ended: pruned for a reason, or with its scores."""

    values: list[float] | None
    reason: str = ""
    verdict: str = ""


@dataclass
class Work:
    """A trial as its task sees it.

    Attributes:
        spec: the sweep.
        directory: of the logical trial; what an earlier attempt left is there.
        first: number of the logical trial.
        overrides: of this point.
        slot: which of the sweep's slots it fills.
        report: tells a step and a value to the study; returns whether the pruner calls the trial hopeless.
        mark: sets attributes of the trial.
    """

    spec: Spec
    directory: Path
    first: int
    overrides: list[str]
    slot: int
    report: Callable[[int, float], bool]
    mark: Callable[[dict[str, Any]], None]
    runs: list[dict[str, Any]] = field(default_factory=list)


def train(work: Work) -> Ending | int:
    """Train one run a seed, in an order of the trial's own, so that no seed decides for all trials.

    Returns:
        The ending; or, after a signal, the exit code with which to leave: the same trial goes on later.

    Raises:
        UserError, SimulatorError: as :func:`td3sweep.training.run.run`.
    """
    from td3sweep.training.run import STOPPED_BY_MONITOR, run

    search = work.spec.search
    several = len(search.objectives) > 1
    scores: list[float] = []
    stable: list[float] = []
    for position, seed in enumerate(order(work.spec.seeds, work.first)):
        settings = settings_of(work, seed)
        path = work.directory / f"seed-{seed}"
        judge = None if several or search.pruner == "wilcoxon" else Judge(work, settings, path, position, scores)
        outcome = run(settings, path, () if judge is None else (judge,))
        if outcome.interrupted:
            return outcome.exit_code
        summary = outcome.summary
        score = final_window(path, search.window)
        work.runs.append(
            {"seed": seed, "directory": str(path.relative_to(work.directory.parent)), "return": score}
            | {key: summary[key] for key in ("verdict", "first_alarm_step", "env_steps")}
        )
        work.mark({"runs": work.runs})
        verdict = str(summary["verdict"])
        if outcome.exit_code == STOPPED_BY_MONITOR or score is None or not math.isfinite(score):
            return Ending(None, f"stopped by the monitor with seed {seed}, step {summary['env_steps']}", verdict)
        if judge is not None and judge.hopeless:
            return Ending(None, f"hopeless at step {summary['env_steps']} of seed {seed}", verdict)
        scores.append(score)
        stable.append(float(verdict not in FAILURES))
        last = position == len(work.spec.seeds) - 1
        if search.pruner == "wilcoxon" and not several and work.report(seed, score) and not last:
            return Ending(None, f"hopeless after {position + 1} of {len(work.spec.seeds)} seeds", verdict)
    known = {"return": fmean(scores), "stable": fmean(stable)}
    return Ending([known[objective] for objective in search.objectives], verdict=worst(work.runs))


class Judge(Callback):
    """Tells the study of every evaluation, on a grid of steps that all trials share, and hears its pruner.

    The value at a step is the mean over the trial's finished runs and the present one, each by its last evaluations so
    far; steps run on from one run to the next. An evaluation is made at an episode's end, so it can pass points of the
    grid: those get what was known there.
    """

    def __init__(self, work: Work, settings: Settings, path: Path, position: int, scores: Sequence[float]) -> None:
        self._work, self._path, self._scores = work, path, scores
        self._every, self._start = settings.eval_every, position * settings.steps
        self._told, self._latest = 0, None if not scores else fmean(scores)
        self._returns: list[float | None] = []  # of the run's evaluations
        self.hopeless = False

    def on_start(self, trainer: Trainer) -> None:
        """Know what an earlier session of this run has told: it is not told again, least of all without this run.

        What a killed run wrote past its checkpoint is gone by now, and will be evaluated again.
        """
        for row in evaluations(self._path):
            value = self._value(row["eval/return"])
            if value is not None:
                self._told, self._latest = row["env_step"] // self._every * self._every, value

    def on_evaluation(self, trainer: Trainer, found: Mapping[str, float]) -> None:
        """End a run that the pruner calls hopeless, unless it is over anyway."""
        counts = trainer.step < trainer.schedule.steps and trainer.agent.updates > 0
        if counts and self.hears(trainer.step, found["eval/return"]):
            trainer.stop(PRUNED)

    def hears(self, step: int, ret: float) -> bool:
        """Note an evaluation's mean return; whether to end the run after it."""
        value = self._value(ret)
        if value is None:
            return False
        while self._told + self._every <= step:
            self._told += self._every
            now = self._told + self._every > step
            if now or self._latest is not None:
                known = value if now or self._latest is None else self._latest
                self.hopeless = self._work.report(self._start + self._told, known)
        self._latest = value
        return self.hopeless

    def _value(self, ret: float | None) -> float | None:
        self._returns.append(ret)
        score = _mean(self._returns[-self._work.spec.search.window :])
        return None if score is None or not math.isfinite(score) else fmean([*self._scores, score])


def order(seeds: Sequence[int], first: int) -> list[int]:
    """The seeds in an order that depends on the logical trial alone."""
    return random.Random(first).sample(list(seeds), len(seeds))


def final_window(path: Path, window: int) -> float | None:
    """Mean undiscounted return of a run's last ``window`` evaluations of a policy that has learnt; None without one."""
    return mean_of_last(evaluations(path), window)


def evaluations(path: Path) -> list[dict[str, Any]]:
    """A run's evaluations of a policy that has learnt, as its metrics have them."""
    try:
        rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    except OSError:
        return []
    return [row for row in rows if row["phase"] == "evaluation" and row["updates"] > 0]


def mean_of_last(found: Sequence[dict[str, Any]], window: int) -> float | None:
    """Mean return of the last ``window`` of some evaluations; None without one, or where one was not finite."""
    return _mean([row["eval/return"] for row in found[-window:]])


def _mean(returns: Sequence[float | None]) -> float | None:
    known = [ret for ret in returns if ret is not None]  # JSON has no NaN: it is null
    return fmean(known) if known and len(known) == len(returns) else None


def worst(runs: Sequence[dict[str, Any]]) -> str:
    """The gravest verdict among the runs of a trial."""
    grave = list(EXPLANATION)  # the gravest comes first
    return min((str(run["verdict"]) for run in runs), key=grave.index)


def settings_of(work: Work, seed: int) -> Settings:
    """The checked settings of one run, on the ports of its slot.

    Raises:
        ImpossiblePointError: this point makes none.
        UserError: no point does any more: ``conf/`` was changed since the sweep began.
    """
    try:
        settings = compose_settings([*work.spec.base, *work.overrides, f"seed={seed}"])
    except UserError as error:
        space, _ = parse_space(work.spec.words, [])
        sound = next(iter(space.corners()), {})
        compose_settings([*work.spec.base, *space.overrides(sound)])  # raises where not this point is at fault
        raise ImpossiblePointError(f"{error} (at {' '.join(work.overrides)})") from error
    tracking = replace(
        settings.tracking,
        group=settings.tracking.group or work.spec.name,
        job_type="sweep",
        run=f"{work.first}-seed-{seed}",
        tags=[*settings.tracking.tags, f"trial={work.first}", f"space={work.spec.space}"],
    )
    return replace(settings, tracking=tracking, env=on_slot(settings, work.slot))
