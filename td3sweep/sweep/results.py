"""What a sweep found: ``sweep.json``, and the same as a data frame."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from td3sweep.files import write_atomically
from td3sweep.sweep.space import Space, parse_space
from td3sweep.sweep.spec import load_spec
from td3sweep.sweep.study import ATTEMPT, REASON, RUNS, VERDICT, Ledger, first_of

if TYPE_CHECKING:
    import pandas as pd

FILE = "sweep.json"
ENDED = ("COMPLETE", "PRUNED", "FAIL")


def summarise(ledger: Ledger, space: Space, budget: int) -> dict[str, Any]:
    """The sweep in its present state: one entry a logical trial, under its newest attempt's number and state."""
    spec = ledger.spec
    seconds: Counter[int] = Counter()
    for attempt in ledger.trials():
        if attempt.datetime_start is not None and attempt.datetime_complete is not None:
            seconds[first_of(attempt)] += (attempt.datetime_complete - attempt.datetime_start).total_seconds()  # type: ignore[assignment]
    latest = ledger.latest()
    trials = [_entry(trial, space, float(seconds[first_of(trial)])) for trial in latest]
    return {
        "name": spec.name,
        "space": {"name": spec.space, "params": spec.words},
        "base": spec.base,
        "objective": list(spec.search.objectives),
        "seeds": spec.seeds,
        "budget": budget,
        "states": dict(Counter(trial.state.name for trial in latest)),
        "verdicts": dict(Counter(entry["verdict"] for entry in trials if entry["verdict"])),
        "best": _best(trials, spec.base),
        "trials": trials,
    }


def _entry(trial: FrozenTrial, space: Space, seconds: float) -> dict[str, Any]:
    known = trial.user_attrs
    values = trial.values if trial.state == TrialState.COMPLETE else None
    return {
        "number": trial.number,
        "first": first_of(trial),
        "attempt": int(known.get(ATTEMPT, 0)),
        "state": trial.state.name,
        "value": values[0] if values else None,
        "values": values,
        "params": trial.params,
        "overrides": space.overrides(trial.params) if space.distributions.keys() == trial.params.keys() else [],
        "verdict": known.get(VERDICT, ""),
        "reason": known.get(REASON, ""),
        "seconds": seconds,
        "runs": known.get(RUNS, []),
    }


def _best(trials: list[dict[str, Any]], base: list[str]) -> dict[str, Any] | None:
    """The trial with the highest return, and its command. Its own seeds chose it: that proves nothing yet."""
    complete = [trial for trial in trials if trial["value"] is not None]
    if not complete:
        return None
    best = max(complete, key=lambda trial: trial["value"])
    command = shlex.join(["python", "-m", "td3sweep", *base, *best["overrides"]])
    return {key: best[key] for key in ("number", "first", "value", "values")} | {"command": command}


def write(directory: Path, found: dict[str, Any]) -> None:
    """Write ``sweep.json``."""
    write_atomically(directory / FILE, json.dumps(found, indent=1) + "\n")


def read(directory: Path) -> dict[str, Any]:
    """The sweep of a directory, from its study. Raises UserError where there is none."""
    spec = load_spec(directory)
    space, _ = parse_space(spec.words, [])
    known = json.loads((directory / FILE).read_text())["budget"] if (directory / FILE).exists() else 0
    return summarise(Ledger(spec, directory), space, known)


def frame(directory: str | Path) -> pd.DataFrame:
    """One row a logical trial: number, state, value, verdict, seconds, and a column for every parameter.

    Raises:
        UserError: no sweep lies there.
    """
    import pandas as pd

    rows = read(Path(directory))["trials"]
    listed = ("number", "first", "attempt", "state", "value", "verdict", "reason", "seconds")
    table: pd.DataFrame = pd.DataFrame([{key: row[key] for key in listed} | row["params"] for row in rows])
    return table
