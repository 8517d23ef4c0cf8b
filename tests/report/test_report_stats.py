"""Every statistic of the report against numbers worked out by hand or by a reference library."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from td3sweep import stats


def test_iqm_leaves_out_a_quarter_at_each_end():
    assert stats.iqm([100.0, 1.0, 2.0, 3.0]) == pytest.approx(2.5)  # 2 and 3 stay
    assert stats.iqm([1.0, 2.0, 30.0]) == pytest.approx(11.0)  # of three none can go
    values = np.random.default_rng(1).normal(size=(5, 23))
    assert stats.iqm(values) == pytest.approx(scipy_stats.trim_mean(values, 0.25, axis=1))


def test_iqm_ignores_what_is_missing():
    assert stats.iqm([100.0, math.nan, 1.0, 2.0, 3.0, math.nan]) == pytest.approx(2.5)
    assert math.isnan(stats.iqm([math.nan, math.nan]))


def test_a_stratified_bootstrap_never_moves_a_run_to_another_configuration():
    strata = ["a", "b", "a", "b", "b", "a"]
    picked = stats.resampled(strata, 200, np.random.default_rng(0))
    assert {(column, strata[index]) for row in picked for column, index in enumerate(row)} == set(enumerate(strata))
    # Two configurations without spread: nothing to resample, whatever lies between them.
    flat = stats.bootstrapped([1.0, 1.0, 1.0, 9.0, 9.0, 9.0], [*"aaabbb"], np.mean)
    assert (flat.value, flat.low, flat.high) == (5.0, 5.0, 5.0)


def test_configurations_of_one_or_two_runs_are_drawn_from_as_one():
    single = stats.bootstrapped([1.0, 9.0, 1.0, 9.0, 1.0, 9.0], [*"abcdef"], np.mean)
    assert single.low < 4.0
    assert single.high > 6.0  # SE of the mean: 4 / sqrt(6) = 1.6
    beside = stats.resampled([*"aaabc"], 300, np.random.default_rng(0))
    assert set(beside.ravel()) == set(range(5))
    assert set(beside[:, 0]) == set(range(5))  # two runs are no stratum either: all are one


def test_few_runs_have_no_bootstrap_interval():
    assert stats.bootstrapped([1.0, 2.0, 3.0, 4.0], [0] * 4).low is None
    assert stats.bootstrapped([1.0, 2.0, 3.0, 4.0, 5.0], [0] * 5).low is not None
    assert stats.unpaired([5.0, 6.0], [0.0, 1.0])[0].low is None
    assert stats.improvement([([5.0, 6.0], [0.0, 1.0, 2.0])]).low is None


def test_the_bootstrap_interval_agrees_with_scipys():
    values = np.random.default_rng(2).normal(10.0, 3.0, 40)
    ours = stats.bootstrapped(values, [0] * 40, draws=20_000)
    theirs = scipy_stats.bootstrap((values,), stats.iqm, method="percentile", n_resamples=20_000, rng=3)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.05)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.05)


def test_a_profile_is_the_share_of_runs_above():
    assert stats.profile([1.0, 2.0, 2.0, 5.0], [0.0, 1.0, 2.0, 5.0]).tolist() == [1.0, 0.75, 0.25, 0.0]


def test_probability_of_improvement_is_mann_whitney_over_strata():
    x, y = [3.0, 4.0, 9.0], [1.0, 4.0]
    estimate = stats.improvement([(x, y)])  # of six pairs: 3>1, 4>1, 4=4, 9>1, 9>4: 4.5
    assert estimate.value == pytest.approx(4.5 / 6)
    assert estimate.value == pytest.approx(scipy_stats.mannwhitneyu(x, y).statistic / 6)
    assert stats.improvement([(x, y), ([0.0], [1.0])]).value == pytest.approx(4.5 / 12)  # a mean over strata
    assert estimate.low is None
    many = stats.improvement([(x, [1.0, 4.0, 5.0])])
    assert many.low <= many.value <= many.high


def test_the_smallest_p_is_that_of_complete_separation():
    for pairs in (1, 3, 6, 12, 13):
        assert stats.least_paired(pairs) == pytest.approx(float(stats.sign_flip(np.ones(pairs))), rel=0.7)
    assert [stats.least_paired(pairs) for pairs in (1, 3, 6, 12)] == [1.0, 0.25, 2 / 64, 2 / 4096]
    for first, second in ((2, 2), (3, 3), (2, 5), (10, 10)):
        p = stats.unpaired(np.ones(first), np.zeros(second))[1]
        assert stats.least_unpaired(first, second) == pytest.approx(p)


def test_newcombes_paired_interval_by_hand():
    # Fourfold table of 20 pairs: 8 both, 6 the first only, 2 the second only, 4 neither; .7 against .5.
    first, second = [1] * 14 + [0] * 6, [1] * 8 + [0] * 6 + [1] * 2 + [0] * 4
    estimate = stats.newcombe_paired(first, second)
    # Wilson: .7 in (.4810, .8545), .5 in (.2993, .7007); ad - bc = 20, n/2 = 10: phi = 10 / sqrt(14 6 10 10) = .1091
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.2, -0.0804, 0.4396), abs=1e-4)
    apart = stats.newcombe_paired(np.ones(12), np.zeros(12))  # no correlation can be seen: Wilson .7575 and .2425
    assert (apart.low, apart.high) == pytest.approx((0.6571, 1.0), abs=5e-5)


def test_wilson_and_newcombe_give_the_published_intervals():
    # Newcombe (1998), Statistics in Medicine 17:873, table II: 56/70 against 48/80.
    difference = stats.newcombe(56, 70, 48, 80)
    assert (difference.value, difference.low, difference.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    none = stats.newcombe(0, 10, 0, 10)  # the same table: 0/10 against 0/10
    assert (none.low, none.high) == pytest.approx((-0.2775, 0.2775), abs=5e-5)
    share = stats.wilson(0, 20)
    assert (share.low, share.high) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_holm_by_hand():
    # sorted .01, .02, .04: x3, x2, x1 = .03, .04, .04
    assert stats.holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert stats.holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])


def test_sign_flip_is_scipys_paired_permutation_test_and_mcnemar():
    assert stats.sign_flip([1.0, 2.0, 3.0]) == pytest.approx(2 / 8)  # the smallest p that three pairs can give
    d = np.random.default_rng(4).normal(0.5, 1.0, 9)
    theirs = scipy_stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert stats.sign_flip(d) == pytest.approx(theirs.pvalue)
    discordant = [1.0] * 7 + [-1.0] + [0.0] * 4
    assert stats.sign_flip(discordant) == pytest.approx(scipy_stats.binomtest(1, 8).pvalue)
    many = np.random.default_rng(5).normal(0.4, 1.0, 30)
    theirs = scipy_stats.permutation_test((many,), np.mean, permutation_type="samples", n_resamples=50_000, rng=1)
    assert stats.sign_flip(many) == pytest.approx(theirs.pvalue, abs=0.01)


def test_the_paired_interval_is_what_the_test_does_not_reject():
    d = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    estimate = stats.paired(d)
    assert estimate.value == 3.5
    # Six pairs reject a shift only when all lie on one side: the interval is the range.
    assert (estimate.low, estimate.high) == pytest.approx((1.0, 6.0), abs=1e-6)
    assert stats.paired(d[:5]).low is None
    sure = stats.paired(np.full(8, 2.0))
    assert (sure.low, sure.high) == pytest.approx((2.0, 2.0))


def test_the_paired_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(6)
    held = [e.low <= 1.0 <= e.high for e in (stats.paired(rng.normal(1.0, 2.0, 10)) for _ in range(300))]
    assert 0.91 <= np.mean(held) <= 0.99


def test_the_unpaired_comparison_agrees_with_scipy():
    x, y = [5.0, 6.0, 7.0], [1.0, 2.0, 3.0]
    estimate, p = stats.unpaired(x, y)
    assert estimate.value == 4.0
    assert p == pytest.approx(2 / 20)  # of the 20 ways to choose three of six, two are as extreme
    assert estimate.low is None
    wide, _ = stats.unpaired([5.0, 6.0, 7.0, 5.5, 6.5], [1.0, 2.0, 3.0, 1.5, 2.5])
    assert wide.low < 4.0 < wide.high


def test_survival_by_hand():
    # Events at 10 and 30, lost at 20 and 40: 3/4 after 10, then 3/4 x 1/2 after 30.
    steps, share, low, high = stats.survival([10, 20, 30, 40], [True, False, True, False])
    assert dict(zip(steps.tolist(), share.tolist(), strict=True)) == pytest.approx(
        {10.0: 0.75, 20.0: 0.75, 30.0: 0.375, 40.0: 0.375}
    )
    assert ((low <= share) & (share <= high)).all()
    # Greenwood on the log-log scale at 10 (Kalbfleisch and Prentice): .75 -> [.128, .961]
    assert (low[0], high[0]) == pytest.approx((0.1279, 0.9605), abs=5e-4)


def test_where_nothing_happened_survival_is_not_certain():
    _, share, low, high = stats.survival([100, 100, 100], [False] * 3)
    assert (share[-1], high[-1]) == (1.0, 1.0)
    assert low[-1] == pytest.approx(3 / (3 + 1.96**2), abs=1e-4)  # Wilson's lower bound of 3 of 3
