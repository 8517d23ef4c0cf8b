"""Hyperparameter importance by Optuna's PED-ANOVA: which settings tell the best runs from the rest."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import pandas as pd

from td3sweep.config.roles import keys_of
from td3sweep.config.setting import Role
from td3sweep.report.factors import NOT_SET, Factor
from td3sweep.report.frame import SCORE
from td3sweep.report.runs import Run

FEWEST = 16  # runs; the best quarter must be more than a few
BEST = 0.25  # share of the runs that counts as best


def importance(runs: Sequence[Run], frame: pd.DataFrame, factors: Sequence[Factor]) -> dict[str, float] | None:
    """Share of each factor, largest first, summing to 1; None for fewer than 16 returns, or returns of several scales.

    Watanabe et al. (IJCAI 2023): the divergence between the distribution of a setting among the best quarter and among
    all runs. Seeds count as runs of their own. It ranks; it carries no p, and says nothing about direction.
    """
    usable = [place for place, known in enumerate(frame[SCORE].notna()) if known and runs[place].config]
    usable = [place for place in usable if all(factor.of[place] is not None for factor in factors)]
    if len(usable) < FEWEST or not factors or any(factor.rescales for factor in factors):
        return None
    if frame[SCORE].iloc[usable].nunique() < 2:
        return None
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator

    choices = {factor.name: _choices(factor, runs, usable) for factor in factors}
    space: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.CategoricalDistribution(sorted(set(of))) for name, of in choices.items()
    }
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for row, place in enumerate(usable):
        params = {name: of[row] for name, of in choices.items()}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=space, value=float(frame[SCORE].iloc[place]))
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST, region_quantile=1.0, evaluate_on_local=True)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _choices(factor: Factor, runs: Sequence[Run], usable: Sequence[int]) -> list[str]:
    """Each usable run's level."""
    return [factor.of[place] or NOT_SET for place in usable]


def tuned(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """``hyperparams.gamma`` and its like that differ between runs: each run's value, None where unknown."""
    found = {}
    for key in keys_of(Role.TUNED):
        short = key.rpartition(".")[2]
        values = [run.config.get(key, run.config.get(short)) for run in runs]
        if len({value for value in values if value is not None}) > 1:
            found[short] = values
    return found
