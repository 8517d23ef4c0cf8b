"""Everything the report knows, worked out once: the page, the JSON and the W&B report only show it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from td3sweep.record.metrics import finite
from td3sweep.report.answer import Answer, answer
from td3sweep.report.best import Best, best
from td3sweep.report.compare import Comparison, Interaction, comparisons, interactions
from td3sweep.report.factors import Factor, factors
from td3sweep.report.frame import DIVERGED, MEASURES, SCORE, WINDOW, horizon, measure, tidy
from td3sweep.report.importance import importance
from td3sweep.report.load import load
from td3sweep.report.provenance import provenance, warnings
from td3sweep.report.runs import STATES, Run


@dataclass(frozen=True)
class Findings:
    """Runs and what follows from them."""

    sources: tuple[str, ...]
    runs: list[Run]
    factors: list[Factor]
    frame: pd.DataFrame
    comparisons: list[Comparison]
    interactions: list[Interaction]
    answer: Answer
    importance: dict[str, float] | None
    best: Best | None
    provenance: list[tuple[str, list[tuple[str, int]]]]
    warnings: list[str]

    @property
    def states(self) -> dict[str, int]:
        """How many runs ended how; they add up to all of them."""
        counts = Counter(run.state for run in self.runs)
        return {state: counts[state] for state in STATES if counts[state]}

    @property
    def score(self) -> str:
        """What a return is, in words."""
        until = horizon(self.runs)
        return f"mean {MEASURES[measure(self.runs)]} over the last {WINDOW:.0%} of {until:,} steps"


def find(sources: Sequence[str]) -> Findings:
    """Load, compare, conclude. Raises UserError where there is nothing at ``sources``."""
    runs = load(sources)
    return conclude(runs, sources)


def conclude(runs: list[Run], sources: Sequence[str]) -> Findings:
    """The findings of loaded runs."""
    varied = factors(runs, len({run.source for run in runs}))
    frame = tidy(runs, varied)
    compared = comparisons(frame, varied)
    surest = {
        factor.name: min((one.adjusted for one in compared if one.factor == factor.name), default=2.0)
        for factor in varied
    }
    varied.sort(key=lambda factor: surest[factor.name])
    stamps = provenance(runs)
    return Findings(
        tuple(sources),
        runs,
        varied,
        frame,
        compared,
        interactions(frame, varied),
        answer(runs, varied, compared),
        importance(runs, frame, varied),
        best(runs, frame, varied),
        stamps,
        warnings(runs, stamps) + _caveats(runs, varied, frame),
    )


def _caveats(runs: Sequence[Run], varied: Sequence[Factor], frame: pd.DataFrame) -> list[str]:
    """What weakens a comparison of these runs."""
    lines = _lengths(runs)
    lines += [
        f"{factor.name} sets the scale of returns: they are not compared across it, and no configuration is best"
        for factor in varied
        if factor.rescales
    ]
    early = [run.state in ("pruned", "stopped by the monitor") for run in runs]
    scored = frame[SCORE].notna().to_numpy() & early
    if scored.any():
        lines.append(f"{scored.sum()} of {len(runs)} runs were ended early: their last returns stand for the rest")
    lost = sum(early) - int(scored.sum())
    if lost:
        lines.append(f"{lost} of {len(runs)} runs were ended before they had a return: no return counts them")
    unseen = sum(run.compared and not run.observed for run in runs)
    if unseen:
        lines.append(
            f"{unseen} of {len(runs)} runs were ended by the audit of their wiring before they learnt: whether they "
            "would have diverged is not known (monitor=warn lets them run)"
        )
    seedless = sum(run.compared and run.seed is None for run in runs)
    if seedless:
        lines.append(f"{seedless} of {len(runs)} runs do not tell their seed: each counts as a seed of its own")
    left = sum(not run.compared for run in runs)
    if left:
        lines.append(
            f"{left} of {len(runs)} runs are listed, but not compared: their ending says nothing about the settings"
        )
    return lines


def _lengths(runs: Sequence[Run]) -> list[str]:
    """What runs of unequal length do not tell."""
    lines = []
    ends = {run.steps for run in runs if run.state == "finished"}
    if len(ends) > 1:
        lines.append(f"finished runs have {min(ends):,} to {max(ends):,} steps: all are compared at the shortest")
    until = horizon(runs)
    short = sum(run.observed and run.failed_at is None and run.steps < until for run in runs)
    if short:
        lines.append(
            f"{short} of {len(runs)} runs ended before step {until:,} without having failed: whether they would have "
            "diverged by then is not known; comparisons count what diverged while all of their runs were watched"
        )
    late = sum(run.observed and (run.failed_at or 0) > until for run in runs)
    if late:
        lines.append(f"{late} of {len(runs)} runs failed only after step {until:,}: that does not count as diverged")
    return lines


def as_json(findings: Findings) -> str:
    """The statistics behind the page, one object."""
    runs = [
        {
            **{key: row[key] for key in ("run", "state", "seed", DIVERGED, SCORE)},
            "why": run.why,
            "verdict": run.verdict,
            "first_alarm_step": None if run.first_alarm is None else run.first_alarm["step"],
            "levels": {factor.name: factor.of[place] for factor in findings.factors},
        }
        for place, (run, row) in enumerate(zip(findings.runs, findings.frame.to_dict("records"), strict=True))
    ]
    whole = {
        "answer": findings.answer.text,
        "named": findings.answer.named,
        "states": findings.states,
        "return_is": findings.score,
        "factors": [{"name": factor.name, "keys": factor.keys, "levels": factor.levels} for factor in findings.factors],
        "comparisons": [asdict(one) | {"claimed": one.claimed} for one in findings.comparisons],
        "interactions": [asdict(one) for one in findings.interactions],
        "importance": findings.importance,
        "best": findings.best and asdict(findings.best) | {"tuning_seed_result": True},
        "warnings": findings.warnings,
        "runs": runs,
    }
    return json.dumps(finite(whole), allow_nan=False)
