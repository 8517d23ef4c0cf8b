"""What must hold of a sweep's directory and study afterwards, whoever was killed meanwhile."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from benchmarks.robustness.chaos_processes import Process

GAMMA = "hyperparams.gamma"
WINDOW = 3  # sweep.window


@dataclass(frozen=True)
class Check:
    """One claim, what was found, and whether it holds."""

    claim: str
    found: str
    holds: bool


def stock_study(directory: Path, url: str | None) -> optuna.Study:
    """The study, opened by Optuna alone."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = url or JournalStorage(JournalFileBackend(str(directory / "study.journal")))
    return optuna.load_study(study_name=directory.name, storage=storage)


def check(directory: Path, url: str | None, budget: int, steps: int, seen: Sequence[Process]) -> list[Check]:
    """Every claim about a finished sweep.

    Args:
        directory: the sweep's.
        url: of its database; None for a journal.
        budget: logical trials that were asked for.
        steps: environment steps of a run.
        seen: every process of the sweep that was ever seen.
    """
    study = stock_study(directory, url)
    attempts: dict[int, list[FrozenTrial]] = defaultdict(list)
    for trial in study.get_trials(deepcopy=False):
        attempts[int(trial.user_attrs.get("first", trial.number))].append(trial)
    firsts = sorted(attempts)
    folders = sorted(int(path.name) for path in directory.iterdir() if path.name.isdigit())
    summary = json.loads((directory / "sweep.json").read_text())
    told = {
        first: [trial for trial in tries if trial.state == TrialState.COMPLETE] for first, tries in attempts.items()
    }
    open_ = [trial.number for tries in attempts.values() for trial in tries if not trial.state.is_finished()]
    lost = [first for first in firsts if not told[first]]
    doubled = [first for first in firsts if len(told[first]) > 1]
    gammas = {first: sorted({trial.params.get(GAMMA) for trial in attempts[first] if trial.params}) for first in firsts}
    mixed = [first for first in firsts if len(gammas[first]) != 1]
    repeated = len(firsts) - len({values[0] for values in gammas.values() if values})
    wrong = {
        first: why
        for first in folders
        if told.get(first) and (why := _faults(directory / str(first), told[first][0], steps))
    }
    left = [found for found in seen if found.alive]
    best = (summary["best"]["value"], study.best_value)
    return [
        Check(f"{budget} logical trials by `first`", f"{len(firsts)}", len(firsts) == budget),
        Check("one directory each, no other", f"{len(folders)}", folders == firsts),
        Check("none lost: each COMPLETE", _listed(lost, attempts), not lost),
        Check("none doubled: one COMPLETE attempt each", str(doubled or "ok"), not doubled),
        Check("no attempt left waiting or running", str(open_ or "ok"), not open_),
        Check("all attempts of a trial at one point", str(mixed or "ok"), not mixed),
        Check("no point given out twice", str(repeated or "ok"), repeated == 0),
        Check("directories match their trials", str(wrong or "ok"), not wrong),
        Check("no process left", str([f"{found.pid} {found.command}" for found in left] or "ok"), not left),
        Check("sweep.json's best is stock Optuna's", f"{best[0]:.6g}", best[0] == best[1]),
        Check("sweep.json counts the same", str(summary["states"]), summary["states"] == {"COMPLETE": budget}),
    ]


def _listed(lost: Sequence[int], attempts: dict[int, list[FrozenTrial]]) -> str:
    return "; ".join(f"{first}: {[trial.state.name for trial in attempts[first]]}" for first in lost) or "ok"


def _faults(folder: Path, trial: FrozenTrial, steps: int) -> str:
    """What in a trial's directory does not belong to it; empty if all does."""
    runs = sorted(folder.glob("seed-*"))
    if len(runs) != 1:
        return f"{len(runs)} runs"
    (run,) = runs
    gamma = yaml.safe_load((run / "config.yaml").read_text())["hyperparams"]["gamma"]
    rows: list[dict[str, Any]] = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    at = [(row["env_step"], row["updates"]) for row in rows]
    kept = [(row["env_step"], row["phase"], "loss/critic" in row, "episode/return" in row) for row in rows]
    scores = [row["eval/return"] for row in rows if row["phase"] == "evaluation" and row["updates"] > 0]
    ended = json.loads((run / "summary.json").read_text())
    found = {
        f"gamma {gamma}, not {trial.params[GAMMA]}": gamma != trial.params[GAMMA],
        "steps go back": at != sorted(at),
        "rows twice": len(set(kept)) != len(kept),
        f"last row at {at[-1][0]}": at[-1][0] != steps,
        "not finished": not ended["finished"] or ended["env_steps"] != steps,
        f"value {trial.value}, not {fmean(scores[-WINDOW:])}": trial.value != fmean(scores[-WINDOW:]),
    }
    return ", ".join(fault for fault, holds in found.items() if holds)
