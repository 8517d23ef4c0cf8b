"""The tidy frame: one row a run, its factors and outcomes as columns; the statistics see nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from td3sweep.record.rundir import FINISHED
from td3sweep.report.factors import Factor
from td3sweep.report.runs import EVAL, RETURN, Run

WINDOW = 0.2  # the final share of the steps whose mean return is compared
DIVERGED, SCORE = "diverged", "return"
FAILED, STEPS = "failed_at", "steps"
MEASURES = {EVAL: "evaluation return", RETURN: "training episode return"}


def measure(runs: Sequence[Run]) -> str:
    """The series that returns are compared by: evaluations where at least half of the runs have them."""
    compared = [run for run in runs if run.compared]
    evaluated = sum(EVAL in run.series for run in compared)
    return EVAL if compared and 2 * evaluated >= len(compared) else RETURN


def horizon(runs: Sequence[Run]) -> int:
    """The step up to which runs are compared: where the shortest finished one ended, else the longest compared."""
    return min(
        (run.steps for run in runs if run.state == FINISHED),
        default=max((run.steps for run in runs if run.compared), default=0),
    )


def diverged(run: Run, until: int) -> float:
    """1 if the run failed by the step ``until``, 0 if not; NaN where its ending tells nothing of it."""
    if not run.observed:
        return np.nan
    return float(run.failed_at is not None and run.failed_at <= until)


def final_window(run: Run, series: str, until: int) -> float:
    """Mean of ``series`` over the final fifth of the steps up to ``until``; the last value where none lies in it.

    A run that ended before ``until`` is judged by its own final fifth: its last state stands.
    """
    if series not in run.series:
        return np.nan
    steps, values = run.series[series]
    end = min(until, run.steps)
    upto = steps <= end
    window = upto & (steps > end * (1.0 - WINDOW))
    if window.any():
        return float(values[window].mean())
    return float(values[upto][-1]) if upto.any() else np.nan


def exact(factor: Factor) -> str:
    """The column of a factor's own values, in which matched runs must agree."""
    return f"{factor.name}=" if factor.halved else factor.name


def tidy(runs: Sequence[Run], factors: Sequence[Factor]) -> pd.DataFrame:
    """One row a run: ``run``, ``state``, ``seed``, ``configuration``, factors, ``diverged`` and ``return``.

    A factor is a column of levels; one that was halved has its values in a column of its own, see :func:`exact`. Runs
    of one configuration agree in the values of all factors.
    Outcomes are NaN where the run's ending says nothing about its settings (crashed, interrupted, empty, ...);
    ``failed_at`` is inf where no step failed, and ``steps`` is how long the run was watched.
    """
    series, until = measure(runs), horizon(runs)
    rows = []
    for place, run in enumerate(runs):
        levels = {factor.name: factor.of[place] for factor in factors}
        values = {exact(factor): factor.values[place] for factor in factors}
        rows.append(
            {
                "run": run.name,
                "state": run.state,
                "seed": -1 if run.seed is None else run.seed,
                "configuration": ", ".join(f"{name}={value}" for name, value in values.items()),
                **levels,
                **values,
                DIVERGED: diverged(run, until),
                FAILED: np.nan if not run.observed else np.inf if run.failed_at is None else run.failed_at,
                STEPS: run.steps,
                SCORE: final_window(run, series, until) if run.compared else np.nan,
            }
        )
    frame: pd.DataFrame = pd.DataFrame(rows)
    return frame
