"""Runs of unequal length: what is compared up to where, and what is then not known."""

import json

import pytest
from made_up_runs import ALARM, run

from td3sweep.report.findings import as_json, conclude
from td3sweep.report.frame import diverged, horizon


def of_lengths(separate, crossed, *, late=None, state="finished"):
    """Eight runs of either wiring, so many steps long; of the longer ones all fail at the step ``late``."""
    runs = []
    for level, steps, ended in (("separate", separate, "finished"), ("crossed", crossed, state)):
        for seed in range(8):
            one = run({"wiring.name": level}, seed, ret=float(seed), steps=steps, state=ended)
            fails = late is not None and steps == max(separate, crossed)
            one.alarms = [ALARM | {"step": late}] if fails else []
            runs.append(one)
    return runs


@pytest.mark.parametrize(
    ("steps", "failed_at", "known"),
    [(1000, None, 0.0), (1000, 500, 1.0), (1000, 501, 0.0), (400, 400, 1.0)],
)
def test_divergence_counts_up_to_a_step(steps, failed_at, known):
    one = run({}, 0, steps=steps)
    one.alarms = [] if failed_at is None else [ALARM | {"step": failed_at}]
    assert diverged(one, 500) == known


def divergence(findings):
    return next(one for one in findings.comparisons if one.outcome == "diverged")


def test_a_failure_after_the_shortest_run_ended_is_no_difference():
    runs = of_lengths(5000, 20000, late=15000)
    findings = conclude(runs, ["sweep"])
    assert findings.answer.named == ()
    one = divergence(findings)
    assert (one.side.count, one.base.count, one.until) == (0, 0, 5000)
    assert "0 of 16 runs diverged by step 5,000." in findings.answer.text
    assert "8 of 16 runs failed only after step 5,000: that does not count as diverged" in findings.warnings
    assert findings.best.runs[0].startswith("separate")  # of the crossed ones all failed


def test_a_run_that_was_pruned_early_did_not_hold_out():
    runs = of_lengths(20000, 3000, late=15000, state="pruned")
    findings = conclude(runs, ["sweep"])
    assert findings.answer.named == ()
    one = divergence(findings)
    assert (one.side.count, one.base.count, one.until) == (0, 0, 3000)
    assert any(line.startswith("8 of 16 runs ended before step 20,000 without") for line in findings.warnings)
    assert json.loads(as_json(findings))["comparisons"][0]["until"] == 3000


def test_divergence_is_compared_while_all_runs_of_the_comparison_were_watched():
    runs = of_lengths(2000, 2000)
    for one in runs[8:]:
        one.alarms = [ALARM | {"step": 700}]
    runs[0].state, runs[0].steps = "pruned", 900
    stray = run({"wiring.name": "separate"}, 50, steps=300)  # it has no partner, so it counts nowhere
    findings = conclude([*runs, stray], ["sweep"])
    one = divergence(findings)
    assert (one.design, one.units, one.side.count, one.base.count, one.until) == ("matched", 8, 8, 0, 900)
    assert "8 of 8 runs diverged by step 900 instead of 0 of 8" in findings.answer.text
    runs[0].steps = 600
    one = divergence(conclude(runs, ["sweep"]))
    assert (one.side.count, one.base.count, one.until) == (0, 0, 600)


def test_where_no_run_finished_the_longest_of_those_compared_sets_the_horizon():
    runs = of_lengths(2000, 3000)
    for one in runs:
        one.state = "pruned"
    runs[0].state, runs[0].steps = "interrupted", 9000
    assert horizon(runs) == 3000
