"""Where nothing makes a difference the report must say so: false claims in at most 5 % of sweeps, over all factors and
both outcomes together."""

from itertools import combinations, product

import numpy as np
import pytest
from made_up_runs import ALARM, crossed, run
from scipy import stats as scipy_stats

from td3sweep import stats
from td3sweep.report.compare import comparisons, contrasts
from td3sweep.report.factors import factors
from td3sweep.report.findings import conclude
from td3sweep.report.frame import tidy

SWEEPS = 3000


def family(frame, varied, outcomes):
    """p of every comparison (m, sweeps) as the report works it out, for outcomes (runs, sweeps), several of them."""
    rows = []
    for outcome in outcomes:
        for factor in varied:
            keys = [other.name for other in varied if other is not factor] + ["seed"]
            for base, level in combinations(factor.levels, 2):
                weights = contrasts(frame, keys, [factor.name], {(level,): 1.0, (base,): -1.0})
                rows.append(stats.sign_flip((weights @ outcome).T))
    return np.array(rows)


def false_claims(p):
    return np.mean([(stats.holm(column) <= stats.ALPHA).any() for column in p.T])


def at_most_five_percent(rate):
    return rate <= scipy_stats.binom.ppf(0.999, SWEEPS, 0.05) / SWEEPS


def outcomes(frame, rng, noise, shift=0.0):
    """Returns with a seed's luck in common, and divergence as likely anywhere."""
    luck = rng.normal(0.0, 2.0, (3, SWEEPS))[frame["seed"].to_numpy()]
    returns = luck + noise(rng, (len(frame), SWEEPS)) + shift
    return returns, (rng.random((len(frame), SWEEPS)) < 0.3).astype(float)


def heavy(rng, size):
    return rng.standard_t(2, size)


def normal(rng, size):
    return rng.normal(0.0, 1.0, size)


def test_the_null_is_rejected_in_at_most_five_percent_of_sweeps():
    runs = crossed(lambda levels, seed: (False, 0.0))
    varied = factors(runs)
    frame = tidy(runs, varied)
    rng = np.random.default_rng(11)
    for noise in (normal, heavy):
        rate = false_claims(family(frame, varied, outcomes(frame, rng, noise)))
        assert at_most_five_percent(rate), rate


def test_a_level_whose_sound_runs_are_ended_early_does_not_seem_to_diverge_more():
    rng, claims = np.random.default_rng(15), 0
    for _ in range(60):
        runs = []
        for level, seed in product(("separate", "crossed"), range(24)):
            at = int(rng.integers(500, 3000)) if rng.random() < 0.4 else None
            steps = at or (5000 if level == "separate" else 3000)
            one = run({"wiring.name": level}, seed, steps=steps, state="pruned" if steps == 3000 else "finished")
            one.alarms = [ALARM | {"step": at}] if at else []
            runs.append(one)
        varied = factors(runs)
        claims += any(one.claimed for one in comparisons(tidy(runs, varied), varied))
    assert claims <= scipy_stats.binom.ppf(0.999, 60, 0.05)


def test_a_little_luck_that_a_seed_has_with_a_factor_does_not_break_it():
    """A tenth of the variance is shared by the runs of one seed and level, whatever their other settings."""
    runs = crossed(lambda levels, seed: (False, 0.0))
    varied = factors(runs)
    frame = tidy(runs, varied)
    rng, seeds = np.random.default_rng(14), frame["seed"].to_numpy()
    both = np.sqrt(0.9) * rng.normal(size=(len(frame), 2, SWEEPS))
    for factor in varied:
        level = (frame[factor.name] == factor.levels[1]).to_numpy(int)
        both += np.sqrt(0.1 / len(varied)) * rng.normal(size=(3, 2, 2, SWEEPS))[seeds, level]
    rate = false_claims(family(frame, varied, (both[:, 0], (both[:, 1] > 0.5).astype(float))))
    assert at_most_five_percent(rate), rate


def test_factors_without_effect_stay_unnamed_beside_one_with_a_large_effect():
    runs = crossed(lambda levels, seed: (False, 0.0))
    varied = factors(runs)
    frame = tidy(runs, varied)
    effect = 5.0 * (frame["wiring"] == "crossed").to_numpy(float)[:, None]
    p = family(frame, varied, outcomes(frame, np.random.default_rng(12), normal, effect))
    names = [factor.name for factor in varied]
    null = np.ones(len(p), bool)
    null[names.index("wiring")] = False  # the first outcome is the return
    adjusted = np.array([stats.holm(column) for column in p.T]).T
    assert at_most_five_percent((adjusted[null] <= stats.ALPHA).any(axis=0).mean())
    assert (adjusted[names.index("wiring")] <= stats.ALPHA).mean() > 0.95  # and the test has power


def test_the_simulation_is_of_what_the_report_does():
    rng = np.random.default_rng(13)
    table = {(key, seed): float(rng.normal()) for key in range(8) for seed in range(3)}
    place = iter(sorted(table))
    runs = crossed(lambda levels, seed: (bool(table[(one := next(place))] > 0.3), table[one]))
    varied = factors(runs)
    frame = tidy(runs, varied)
    both = [frame["diverged"].to_numpy(float)[:, None], frame["return"].to_numpy(float)[:, None]]
    assert [one.p for one in comparisons(frame, varied)] == family(frame, varied, both)[:, 0].tolist()


@pytest.mark.slow
def test_permuted_labels_name_nothing():
    """The wiring alone decides in these runs; with the settings dealt anew among the runs of a seed it cannot."""
    truth = crossed(lambda levels, seed: (levels["wiring.name"] == "crossed", 100.0 + seed))
    assert conclude(truth, ["sweep"]).answer.named == ("wiring",)
    named = []
    for deal in range(40):
        runs = crossed(lambda levels, seed: (levels["wiring.name"] == "crossed", 100.0 + seed))
        rng = np.random.default_rng(deal)
        for seed in range(3):
            mine = [one for one in runs if one.seed == seed]
            settings = [one.config for one in mine]
            for one, place in zip(mine, rng.permutation(len(mine)), strict=True):
                one.config, one.overrides = settings[place], {}
        answer = conclude(runs, ["sweep"]).answer
        named.append(bool(answer.named))
        if not answer.named:
            assert not any(f"`{name}" in answer.text for name in ("wiring", "clip", "hyperparams"))
    assert sum(named) <= scipy_stats.binom.ppf(0.999, 40, 0.05)
