"""Searches replayed on recorded learning curves, judged by the product's own judge, samplers and pruners."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from benchmarks.pruning.record import SEEDS, TASK
from td3sweep.config.compose import compose_settings
from td3sweep.config.settings import Settings, SweepSettings
from td3sweep.sweep.search import build_pruner, build_sampler
from td3sweep.sweep.space import Space, parse_space
from td3sweep.sweep.spec import Spec
from td3sweep.sweep.trial import Judge, Work, final_window, order

Array = NDArray[np.float64]
WORDS = {
    "hyperparams.gamma": "one_minus(tag(log, interval(1e-4, 0.1)))",
    "hyperparams.tau": "tag(log, interval(1e-3, 8e-2))",
    "hyperparams.actor_lr": "tag(log, interval(1e-5, 1e-2))",
    "hyperparams.critic_lr": "tag(log, interval(1e-5, 1e-2))",
    "hyperparams.batch_size": "choice(16, 32)",
}


@dataclass(frozen=True)
class Run:
    """One recorded run.

    Attributes:
        evaluations: (environment step, mean undiscounted return), in order; the last is made at the end.
        alarm: environment step of the first FAIL, where ``monitor=stop`` would have ended it; None without one.
        steps: environment steps of the whole run.
        warmup: environment step at which learning begins.
    """

    evaluations: tuple[tuple[int, float], ...]
    alarm: int | None
    steps: int
    warmup: int

    def window(self, step: int, size: int = 3) -> float:
        """Mean return of the last ``size`` evaluations of a policy that has learnt, up to ``step``; NaN before one."""
        known = [value for at, value in self.evaluations if self.warmup <= at <= step]
        return fmean(known[-size:]) if known else math.nan


@dataclass(frozen=True)
class Course:
    """One trial run to its end, with its seeds in one order.

    Attributes:
        judged: at each evaluation but the last: steps spent by then, and the (step, value) pairs the study is told.
        alarm: steps spent when ``monitor=stop`` would end it; None if it would not.
        steps: steps of all its runs.
        score: mean over its runs of the last evaluations' mean return.
    """

    judged: tuple[tuple[int, tuple[tuple[int, float], ...]], ...]
    alarm: int | None
    steps: int
    score: float


@dataclass(frozen=True)
class Table:
    """Configurations with everything that a trial of each could tell.

    Attributes:
        numbers: of the configurations in the recording.
        params: of each, as the study has them.
        unit: the same in the unit cube, logarithms where the space has them, shape (configurations, parameters).
        runs: of each, by seed.
        courses: of each, by the order of its seeds.
        settings: that all runs share.
    """

    space: Space
    numbers: list[int]
    params: list[dict[str, Any]]
    unit: Array
    runs: list[dict[int, Run]]
    courses: list[dict[tuple[int, ...], Course]]
    settings: Settings

    @property
    def scores(self) -> Array:
        """Final score of each configuration."""
        return np.array([next(iter(courses.values())).score for courses in self.courses])

    @property
    def seeds(self) -> int:
        """Runs of a trial."""
        return max(len(runs) for runs in self.runs)


@dataclass(frozen=True)
class Method:
    """A way to search: a sampler, whether a failed monitor ends a run, and a pruner with options."""

    sampler: str
    divergence: bool = False
    pruner: str = "none"
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Replay:
    """One search through the whole table.

    Attributes:
        tried: configurations (places in the table) in the order in which they were tried.
        spent: steps spent when each of those trials had ended, cumulative.
        complete: whether each came to its end.
    """

    tried: list[int]
    spent: Array
    complete: NDArray[np.bool_]

    def steps_until(self, wanted: Iterable[int]) -> float:
        """Steps spent until one of these configurations is complete; infinite if they were all pruned."""
        found = np.flatnonzero(np.isin(self.tried, list(wanted)) & self.complete)
        return float(self.spent[found[0]]) if len(found) else math.inf


def load(path: Path, words: Mapping[str, str] = WORDS, task: Sequence[str] = TASK) -> Table:
    """The table of a recording, of however many runs it has.

    The second seed is used once it was tried for every configuration; a run that failed is left out.

    Args:
        path: lines of ``benchmarks.pruning.record``.
        words: the space that the points were drawn from.
        task: overrides that all runs share.
    """
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    settings = compose_settings(list(task))
    space, _ = parse_space(words, [])
    numbers = sorted({row["configuration"] for row in rows})
    tried = {(row["configuration"], row["seed"]) for row in rows}
    seeds = [seed for seed in SEEDS if all((number, seed) in tried for number in numbers)]
    runs: dict[int, dict[int, Run]] = {number: {} for number in numbers}
    points = {row["configuration"]: row["point"] for row in rows}
    for row in sorted(rows, key=lambda row: int(row["seed"])):
        if row["exit"] == 0 and row["seed"] in seeds:
            failures = [step for _, level, step in row["alarms"] if level == "FAIL"]
            evaluations = tuple((int(step), float(value)) for step, value in row["evaluations"])
            run = Run(evaluations, min(failures, default=None), settings.steps, settings.warmup)
            runs[row["configuration"]][row["seed"]] = run
    numbers = [number for number in numbers if runs[number]]
    params = [
        {parameter.name: parameter.of_setting(points[number][parameter.key]) for parameter in space.parameters}
        for number in numbers
    ]
    return Table(
        space=space,
        numbers=numbers,
        params=params,
        unit=np.array([to_unit(space.distributions, found) for found in params]),
        runs=[runs[number] for number in numbers],
        courses=[
            {seeds: course([runs[number][seed] for seed in seeds], settings) for seeds in permutations(runs[number])}
            for number in numbers
        ],
        settings=settings,
    )


def to_unit(space: Mapping[str, BaseDistribution], params: Mapping[str, Any]) -> list[float]:
    """A point in the unit cube; choices are spread evenly over their axis."""
    found = []
    for name, distribution in space.items():
        if isinstance(distribution, CategoricalDistribution):
            last = max(len(distribution.choices) - 1, 1)
            found.append(distribution.to_internal_repr(params[name]) / last)
        else:
            assert isinstance(distribution, FloatDistribution)
            low, high, value = distribution.low, distribution.high, float(params[name])
            if distribution.log:
                low, high, value = math.log(low), math.log(high), math.log(value)
            found.append((value - low) / (high - low))
    return found


def course(runs: Sequence[Run], settings: Settings) -> Course:
    """What the product's judge tells a study in a trial of these runs, one after the other."""
    spec = Spec("replay", "", {}, [], list(range(len(runs))), {}, SweepSettings(seeds=len(runs)))
    told: list[tuple[int, float]] = []

    def report(step: int, value: float) -> bool:
        told.append((step, value))
        return False

    judged: list[tuple[int, tuple[tuple[int, float], ...]]] = []
    scores: list[float] = []
    alarm: int | None = None
    with tempfile.TemporaryDirectory() as folder:
        work = Work(spec, Path(folder), 0, [], 0, report, lambda _: None)
        for position, run in enumerate(runs):
            path = Path(folder) / str(position)
            path.mkdir()
            judge = Judge(work, settings, path, position, scores)
            before = position * settings.steps
            if run.alarm is not None and alarm is None:
                alarm = before + run.alarm
            for step, value in run.evaluations:
                row = {"phase": "evaluation", "updates": max(0, step - run.warmup + 1), "eval/return": value}
                with (path / "metrics.jsonl").open("a") as file:
                    file.write(json.dumps(row) + "\n")
                if step < run.steps:  # nothing is pruned at the end, nor before it has learnt
                    if row["updates"]:
                        judge.hears(step, value)
                    judged.append((before + step, tuple(told)))
                    told.clear()
            score = final_window(path, spec.search.window)
            assert score is not None
            scores.append(score)
    return Course(tuple(judged), alarm, len(runs) * settings.steps, fmean(scores))


class Snapping(BaseSampler):
    """Proposes the nearest configuration of a table that was not tried yet to what the product's sampler proposes.

    The study so learns from what was really tried.
    """

    def __init__(self, search: SweepSettings, table: Table) -> None:
        self._search, self._table, self._space = search, table, table.space.distributions
        self.tried: list[int] = []

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All of it."""
        return self._space

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A configuration of the table."""
        sampler = build_sampler(self._search, trial.number)
        drawn = sampler.sample_relative(study, trial, search_space) if self._search.sampler != "random" else {}
        for name, distribution in search_space.items():
            if name not in drawn:
                drawn[name] = sampler.sample_independent(study, trial, name, distribution)
        distances = np.square(self._table.unit - to_unit(search_space, drawn)).sum(axis=1)
        distances[self.tried] = math.inf
        self.tried.append(int(distances.argmin()))
        return self._table.params[self.tried[-1]]

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, name: str, space: BaseDistribution) -> Any:
        """Never asked: the relative space is the whole one."""
        raise AssertionError(name)


def replay(table: Table, method: Method, seed: int) -> Replay:
    """Try every configuration of the table once, in the order in which the method asks for them."""
    search = SweepSettings(
        sampler=method.sampler, pruner=method.pruner, pruner_options=dict(method.options), seed=1000 * seed
    )
    settings, sampler = table.settings, Snapping(search, table)
    pruner = build_pruner(search, warmup=settings.warmup, every=settings.eval_every, steps=settings.steps * table.seeds)
    # Hyperband draws a trial's bracket from the study's name.
    study = optuna.create_study(study_name=f"replay-{seed}", direction="maximize", sampler=sampler, pruner=pruner)
    spent, complete = [], []
    for _ in table.params:
        trial = study.ask(table.space.distributions)
        courses = table.courses[sampler.tried[-1]]
        steps, score = follow(courses[tuple(order(sorted(next(iter(courses))), seed + trial.number))], trial, method)
        study.tell(trial, score, state=TrialState.PRUNED if score is None else TrialState.COMPLETE)
        spent.append(steps)
        complete.append(score is not None)
    return Replay(sampler.tried, np.cumsum(spent, dtype=np.float64), np.array(complete))


def follow(course: Course, trial: optuna.Trial, method: Method) -> tuple[int, float | None]:
    """Go through a trial as the product does; returns the steps spent, and its score unless it was pruned."""
    alarm = course.alarm if method.divergence else None
    for spent, told in course.judged:
        if alarm is not None and spent >= alarm:  # an alarm comes before the evaluation at its step
            break
        hopeless = False
        for step, value in told:
            trial.report(value, step)
            hopeless = trial.should_prune()
        if hopeless:
            return spent, None
    return (course.steps, course.score) if alarm is None else (alarm, None)
