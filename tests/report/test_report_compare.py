"""Comparisons by hand: matched pairs, sampled designs, returns of unequal runs, interactions, importance."""

import math

import numpy as np
import pytest
from made_up_runs import crossed, run, two

from td3sweep.report.compare import comparisons, interactions
from td3sweep.report.factors import factors
from td3sweep.report.findings import conclude
from td3sweep.report.frame import final_window, tidy
from td3sweep.report.importance import importance
from td3sweep.report.runs import EVAL


def found(runs, factor, outcome):
    varied = factors(runs)
    return next(
        one for one in comparisons(tidy(runs, varied), varied) if (one.factor, one.outcome) == (factor, outcome)
    )


def test_wiring_by_hand():
    runs = crossed(
        lambda levels, seed: (levels["wiring.name"] == "crossed", -10.0 if levels["wiring.name"] == "crossed" else 0.0)
    )
    one = found(runs, "wiring", "diverged")
    assert (one.side.level, one.side.count, one.side.runs, one.base.count) == ("crossed", 12, 12, 0)
    assert (one.design, one.units, one.effect.value) == ("matched", 12, 1.0)
    assert one.p == pytest.approx(2 / 2**12)
    assert one.adjusted == pytest.approx(6 * 2 / 2**12)
    assert (one.effect.low, one.effect.high) == pytest.approx((0.6571, 1.0), abs=5e-5)  # Wilson .7575 and .2425
    assert one.claimed
    back = found(runs, "wiring", "return")
    assert (back.effect.value, back.effect.low, back.effect.high) == pytest.approx((-10.0, -10.0, -10.0))
    assert back.superiority.value == 0.0
    assert not found(runs, "clip", "return").claimed


def test_three_pairs_cannot_show_anything():
    runs = crossed(
        lambda levels, seed: (levels["wiring.name"] == "crossed", 0.0), factors={"wiring.name": ("separate", "crossed")}
    )
    one = found(runs, "wiring", "diverged")
    assert (one.units, one.p) == (3, 0.25)
    answer = conclude(runs, ["sweep"]).answer
    assert answer.named == ()
    assert "3 pairs of runs" in answer.text
    assert "not evidence of no difference" in answer.text


def test_a_sampled_sweep_is_an_association_never_a_claim():
    rng = np.random.default_rng(3)
    runs = []
    for _ in range(24):
        gamma, tau = rng.uniform(0.9, 0.999), rng.uniform(0.001, 0.01)
        runs += [
            run({"hyperparams.gamma": gamma, "hyperparams.tau": tau}, seed, ret=100 * (gamma > 0.95) + rng.normal())
            for seed in range(2)
        ]
    one = found(runs, "hyperparams.gamma", "return")
    assert one.design == "sampled"
    assert one.units == 24  # configurations, not runs
    assert one.associated
    assert not one.claimed
    findings = conclude(runs, ["sweep"])
    assert findings.answer.named == ()
    assert findings.answer.headline == "No difference can be claimed yet."
    assert "1 of 2 comparisons hold at p ≤ .05 after correction" in findings.answer.text
    assert "no claim" in findings.answer.text
    assert "hyperparams.gamma" not in findings.answer.text
    assert findings.importance["hyperparams.gamma"] > 0.6


def test_two_configurations_on_other_seeds_are_compared_run_by_run():
    runs = two(range(10), range(10, 20), ret=lambda level, seed: 100.0 * (level == "separate") + seed % 10)
    one = found(runs, "wiring", "diverged")
    assert (one.design, one.units, one.pairs, one.seeds) == ("unmatched", 20, 0, 20)
    assert one.p == pytest.approx(2 / 5000)  # of 184,756 ways 4,999 are tried
    assert (one.effect.value, one.effect.low) == pytest.approx((1.0, 1 - math.hypot(0.2775, 0.2775)), abs=5e-5)
    answer = conclude(runs, ["sweep"]).answer
    assert answer.named == ("wiring",)
    assert "20 runs on 20 seeds that differ in nothing but that and the seed" in answer.text


def ret_of(level, seed):
    return 10.0 + seed if level == "separate" else 5.0 + 1.5 * seed


@pytest.mark.parametrize("times", [1, 2])
def test_the_same_seeds_again_are_no_further_evidence(times):
    """A backup beside the runs, or a rerun on the same seeds: three pairs, p = 2/8."""
    one = found(two(list(range(3)) * times, list(range(3)) * times, ret=ret_of), "wiring", "return")
    assert (one.design, one.units, one.pairs, one.seeds, one.effect.value) == ("matched", 3, 3, 3, -4.5)
    assert one.p == 0.25


def test_runs_of_one_forgotten_seed_are_one_pair():
    runs = two([0] * 4, [0] * 4, ret=ret_of)
    one = found(runs, "wiring", "return")
    assert (one.units, one.seeds, one.p) == (1, 1, 1.0)
    assert conclude(runs, ["sweep"]).answer.headline == "Too few runs to tell."


def test_on_other_seeds_the_repeats_of_one_are_averaged():
    """Returns 0, 1, 2 and 10, 20, 30, the last seed of each side twice: 3 + 3 units, the least p of 20 ways is 2/20."""
    returns = {0: 0.0, 1: 1.0, 2: 2.0, 3: 10.0, 4: 20.0, 5: 30.0}
    runs = two([0, 1, 2, 2], [3, 4, 5, 5], lambda level, seed: seed in (2, 5), lambda level, seed: returns[seed])
    runs[2].alarms = []  # of the two runs on seed 2 one diverged
    one = found(runs, "wiring", "return")
    assert (one.design, one.units, one.seeds, one.effect.value) == ("unmatched", 6, 6, 19.0)
    assert (one.p, one.least) == pytest.approx((0.1, 0.1))
    assert found(runs, "wiring", "diverged").effect.value == pytest.approx(1 / 3 - 0.5 / 3)


def test_a_run_whose_seed_is_not_known_stands_for_itself():
    runs = two([None] * 4, [None] * 4, ret=lambda level, seed: 5.0 * (level == "separate"))
    one = found(runs, "wiring", "return")
    assert (one.design, one.units, one.seeds) == ("unmatched", 8, 8)
    assert "8 of 8 runs do not tell their seed: each counts as a seed of its own" in conclude(runs, ["s"]).warnings


@pytest.mark.parametrize("seeds", [1, 20])  # all on one, or each on its own
def test_many_values_of_one_number_are_a_sampled_sweep_too(seeds):
    rates = np.linspace(1e-4, 1e-3, 20)
    runs = [run({"hyperparams.actor_lr": rate}, k % seeds, ret=float(k)) for k, rate in enumerate(rates)]
    one = found(runs, "hyperparams.actor_lr", "return")
    assert (one.design, one.units, one.seeds, one.effect.value) == ("sampled", 20, seeds, 10.0)
    assert one.associated
    assert conclude(runs, ["sweep"]).answer.named == ()


def test_a_claim_tells_of_the_pairs_that_it_was_tested_on():
    """Crossed always diverges in its seven pairs; the many runs without a partner, most of them the other way, do not
    turn it."""

    def diverged(level, seed):
        return level == "crossed" if seed < 7 else level == "separate"

    one = found(two([*range(7), *range(100, 130)], [*range(7), *range(200, 230)], diverged), "wiring", "diverged")
    assert (one.design, one.units, one.seeds) == ("matched", 7, 7)
    assert (one.side.count, one.side.runs, one.base.count, one.base.runs) == (7, 7, 0, 7)
    assert (one.effect.value, one.p) == (1.0, pytest.approx(2 / 2**7))
    assert one.effect.low > 0.0


@pytest.mark.parametrize(("seeds", "headline"), [(6, "Too few runs to tell."), (7, "`wiring` made the difference.")])
def test_correction_counts_in_what_is_too_few(seeds, headline):
    """Six pairs give p = 2/64 at least, and twice that where divergence and return both vary."""
    runs = two(range(seeds), range(seeds), ret=lambda level, seed: 100.0 * (level == "separate"))
    answer = conclude(runs, ["sweep"]).answer
    assert answer.headline == headline
    assert ("There are 6 pairs of runs that differ in a single setting, and 7 are the fewest" in answer.text) == (
        seeds == 6
    )


@pytest.mark.parametrize("keys", [("reward.name", "cnn.name"), ("env.name",), ("env.map",)])
def test_where_a_factor_sets_the_scale_no_return_is_compared_and_none_is_best(keys):
    runs = [
        run(dict.fromkeys(keys, level), seed, ret=5000.0 if level == "b" else 50.0)
        for level in "ab"
        for seed in range(8)
    ]
    findings = conclude(runs, ["sweep"])
    assert findings.best is None
    assert findings.importance is None
    assert not any(one.outcome == "return" for one in findings.comparisons)
    assert any("sets the scale of returns" in line for line in findings.warnings)


def test_the_final_window_is_a_mean_not_a_maximum():
    one = run({}, 0)
    one.series[EVAL] = (np.array([100.0, 500.0, 850.0, 1000.0]), np.array([9.0, 900.0, 10.0, 20.0]))
    assert final_window(one, EVAL, 1000) == 15.0  # those after step 800
    assert final_window(one, EVAL, 500) == 900.0  # after 400, up to 500
    assert final_window(one, EVAL, 300) == 9.0  # none in the window: the last before
    assert math.isnan(final_window(one, EVAL, 50))
    one.steps = 600  # it was stopped: its own last fifth, after 480
    assert final_window(one, EVAL, 1000) == 900.0


def test_a_crashed_run_takes_its_pair_along_and_no_other():
    runs = crossed(lambda levels, seed: (levels["wiring.name"] == "crossed", 0.0))
    runs[0].state = "crashed"
    one = found(runs, "wiring", "diverged")
    assert (one.units, one.base.runs, one.side.runs) == (11, 11, 11)


def test_returns_are_not_compared_across_rewards():
    runs = crossed(
        lambda levels, seed: (seed == 0, float(seed)),
        factors={"reward.name": ("cruise", "race"), "clip.name": ("joint", "off")},
    )
    varied = factors(runs)
    asked = {(one.factor, one.outcome) for one in comparisons(tidy(runs, varied), varied)}
    assert ("reward", "return") not in asked
    assert {("reward", "diverged"), ("clip", "return")} <= asked


def test_an_interaction_is_a_difference_of_differences():
    def outcome(levels, seed):
        both = levels["wiring.name"] == "crossed" and levels["clip.name"] == "off"
        return False, 8.0 if both else 0.0

    runs = crossed(outcome)
    varied = factors(runs)
    table = {
        (one.first, one.second): one for one in interactions(tidy(runs, varied), varied) if one.outcome == "return"
    }
    assert table["wiring", "clip"].effect.value == 8.0
    assert table["wiring", "clip"].blocks == 6
    assert table["wiring", "clip"].p == pytest.approx(2 / 64)
    assert table["wiring", "hyperparams.gamma"].effect.value == 0.0


def test_importance_finds_the_setting_that_matters_and_wants_enough_runs():
    rng = np.random.default_rng(0)
    runs = crossed(lambda levels, seed: (False, 50.0 * (levels["clip.name"] == "off") + rng.normal()))
    varied = factors(runs)
    shares = importance(runs, tidy(runs, varied), varied)
    assert next(iter(shares)) == "clip"
    assert sum(shares.values()) == pytest.approx(1.0)
    assert importance(runs[:15], tidy(runs[:15], factors(runs[:15])), factors(runs[:15])) is None


def test_what_the_audit_ended_is_told_without_statistics():
    runs = crossed(lambda levels, seed: (False, float(seed)))
    for one in runs:
        if one.config["wiring.name"] == "crossed":
            one.state, one.verdict, one.series, one.steps = "stopped by the monitor", "faulty wiring", {}, 0
    answer = conclude(runs, ["sweep"]).answer
    assert answer.named == ()
    assert answer.headline.startswith("`wiring=crossed` failed the audit of its wiring; too few runs to tell")
    assert "ended every run with `wiring=crossed`, and no other" in answer.text
    runs[0].state, runs[0].verdict, runs[0].series = (
        "stopped by the monitor",
        "faulty wiring",
        {},
    )  # a separate one, too
    assert "audit" not in conclude(runs, ["sweep"]).answer.text


def test_a_study_of_another_number_beside_it_gives_a_factor_no_effect():
    """Seven seeds of each wiring return the same; further runs of one of them, under a weight decay, return less."""
    runs = two(range(7), range(7), lambda level, seed: False, lambda level, seed: 100.0 + seed)
    for one in runs:
        one.config["weight_decay"] = 0.0
    for seed, decay in enumerate((0.001, 0.003, 0.01, 0.03)):
        runs.append(run({"wiring.name": "separate", "weight_decay": decay}, seed, ret=40.0))
    one = found(runs, "wiring", "return")
    assert (one.design, one.units, one.effect.value, one.p) == ("matched", 7, 0.0, 1.0)


def test_runs_that_agree_only_in_halves_are_no_pair():
    """Thirty configurations drawn at random: none differs from another in one setting alone."""
    rng = np.random.default_rng(8)
    runs = []
    for _ in range(30):
        levels = {"hyperparams.gamma": rng.uniform(0.9, 0.999), "cnn.name": str(rng.choice(["nature", "pooled"]))}
        runs += [run(levels, seed, ret=float(rng.normal())) for seed in range(2)]
    varied = factors(runs)
    found = comparisons(tidy(runs, varied), varied)
    assert {(one.factor, one.design, one.pairs) for one in found} == {
        ("cnn", "sampled", 0),  # no two runs agree in gamma
        ("hyperparams.gamma", "sampled", 4),  # but runs of one CNN and one seed differ in nothing but gamma
    }
