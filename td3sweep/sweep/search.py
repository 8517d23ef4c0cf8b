"""Optuna's samplers and pruners by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from td3sweep.config.settings import SweepSettings
from td3sweep.errors import UserError


def build_sampler(search: SweepSettings, known: int) -> BaseSampler:
    """The sampler of ``search`` for a study of ``known`` logical trials.

    Its seed moves on with the study, so that a resumed sweep does not propose what it proposed before; a quasi-random
    sequence keeps its seed and counts for itself.

    Raises:
        UserError: an option that this sampler does not have.
    """
    seed = search.seed + (0 if search.sampler == "qmc" else known)
    makers: dict[str, Any] = {
        "tpe": optuna.samplers.TPESampler,
        "random": optuna.samplers.RandomSampler,
        "gp": optuna.samplers.GPSampler,
        "cmaes": _cmaes,
        "qmc": optuna.samplers.QMCSampler,
        "grid": optuna.samplers.RandomSampler,  # a grid's points are all queued; nothing is left to propose
    }
    options = {"scramble": True} if search.sampler == "qmc" else {}
    made = _make("sweep.sampler", search.sampler, makers, {"seed": seed, **options, **search.sampler_options})
    assert isinstance(made, BaseSampler)
    return made


def _cmaes(**options: Any) -> BaseSampler:
    import_module("cmaes")  # Optuna does so only at the second trial
    return optuna.samplers.CmaEsSampler(**options)


def build_pruner(search: SweepSettings, *, warmup: int, every: int, steps: int) -> BasePruner:
    """The pruner of ``search``.

    Args:
        search: which one, and its options.
        warmup: environment steps of a run before which nothing is judged.
        every: environment steps between two evaluations.
        steps: environment steps of all runs of a trial, one after the other.

    Raises:
        UserError: an option that this pruner does not have.
    """
    makers: dict[str, Any] = {
        "none": optuna.pruners.NopPruner,
        "median": optuna.pruners.MedianPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
        "patient": optuna.pruners.PatientPruner,
        "wilcoxon": optuna.pruners.WilcoxonPruner,
    }
    defaults: dict[str, dict[str, Any]] = {
        "median": {"n_startup_trials": 5, "n_warmup_steps": warmup},
        "hyperband": {"min_resource": max(every, warmup), "max_resource": steps},
        "patient": {"wrapped_pruner": optuna.pruners.MedianPruner(5, warmup), "patience": 2},
    }
    options = {**defaults.get(search.pruner, {}), **search.pruner_options}
    made = _make("sweep.pruner", search.pruner, makers, options)
    assert isinstance(made, BasePruner)
    return made


def _make(key: str, name: str, makers: dict[str, Any], options: dict[str, Any]) -> Any:
    try:
        return makers[name](**options)
    except (TypeError, ValueError) as error:
        line = str(error).splitlines()[0]
        raise UserError(f"{key}_options={options} with {key}={name}: {line}; see Optuna's documentation") from error
    except ImportError as error:
        raise UserError(f"{key}={name}: {str(error).splitlines()[0]}; pip install {error.name or 'it'}") from error
