"""D5 and D6 on lengths and returns whose statistics were worked out by hand."""

import math
from collections import Counter

import numpy as np
import pytest

from td3sweep.monitor.detectors import FAIL, WARN
from td3sweep.monitor.episodes import FLAT, LEVEL, RISE, Lengths, Returns, mann_kendall, theil_sen

WARM = (40, 50, 60, 50, 45, 55)  # log lengths: median ln 50, MAD ln(50/45) = .105


def made(ret=10.0):
    d5 = Lengths()
    for step, length in enumerate(WARM):
        assert feed(d5, step, length, "warm-up", ret=ret) == []
    return d5


def feed(d5, step, length, phase="learning", *, ret=10.0, speed=5.0):
    return d5.update(step, length=length, ret=ret, phase=phase, speed=speed)


def test_theil_sen_is_the_median_slope_and_shrugs_at_an_outlier():
    assert theil_sen([0, 1, 2, 4], [1, 3, 5, 9]) == 2.0
    assert theil_sen([0, 1, 2, 3, 4], [0, 1, 2, 3, 400]) == 1.0
    assert theil_sen([5], [1]) == 0.0


def test_mann_kendall_by_hand():
    # 1 2 3 4: S = 6, var = 4 3 13 / 18 = 8.667, z = 5 / 2.944 = 1.698, p = .0894
    s, p = mann_kendall([1, 2, 3, 4])
    assert (s, p) == (6.0, pytest.approx(0.0894, abs=1e-3))
    assert mann_kendall([4, 3, 2, 1])[0] == -6.0
    assert mann_kendall([2, 2, 2, 2]) == (0.0, 1.0)
    # ties: 1 1 2 2: S = 4, var = (156 - 2 * 2 * 1 * 9) / 18 = 6.667
    assert mann_kendall([1, 1, 2, 2])[1] == pytest.approx(math.erfc(3 / math.sqrt(20 / 3) / math.sqrt(2)))


def test_the_cusum_adds_what_exceeds_half_a_deviation():
    d5 = made()
    spread = 1.4826 * (math.log(55 / 50) + math.log(50 / 45)) / 2  # median of six deviations, all over .1
    z = math.log(50 / 25) / spread
    feed(d5, 100, 25)
    assert d5.statistic == pytest.approx(z - 0.5)
    feed(d5, 200, 50)
    assert d5.statistic == pytest.approx(z - 1.0)


def test_shortening_warns_and_a_recovery_ends_it():
    d5 = made()
    found = [feed(d5, 100 * k, 17) for k in range(1, 4)]
    assert [[alarm.level for alarm in alarms] for alarms in found] == [[], [WARN], [WARN]]
    assert d5.standing
    for k in range(4, 40):
        last = feed(d5, 100 * k, 55)
    assert last == []
    assert not d5.standing


def test_no_recovery_within_the_grace_budget_fails_unless_returns_are_no_worse():
    for ret, levels in ((2.0, {WARN, FAIL}), (20.0, set())):  # more at each step as well
        d5 = made(ret=10.0)
        seen = [alarm for k in range(200) for alarm in feed(d5, 100 * k, 17, ret=ret)]
        assert {alarm.level for alarm in seen} == levels
        fails = [alarm.step for alarm in seen if alarm.level == FAIL]
        assert fails == [] or fails[0] == 10_100  # 10,000 steps after the first warning, at step 100


def test_phases_never_share_a_line():
    d5 = made()
    feed(d5, 100, 17)
    sum_of_learning = d5.statistic
    assert sum_of_learning > 0
    feed(d5, 200, 50, phase="after-evaluation")
    assert d5.statistic == 0.0
    assert d5.trend() is None
    feed(d5, 300, 50)
    assert d5.statistic == pytest.approx(sum_of_learning - 0.5)


def test_the_trend_is_per_environment_step_and_not_per_episode():
    d5 = made()
    for k in range(10):
        feed(d5, 500 * k, 60 - k)
    assert d5.trend() == pytest.approx(-2.0)  # one step of length in 500


def test_episodes_that_end_standing_still_are_the_environments_fault():
    d5 = made()
    found = [feed(d5, k, 2, speed=0.0) for k in range(6)]
    assert [[alarm.cause for alarm in alarms] for alarms in found] == [[], [], *[["environment"]] * 4]
    assert found[2][0].level == WARN
    assert d5.statistic == 0.0  # not laid at the policy's door
    moving = made()
    causes = [alarm.cause for k in range(6) for alarm in feed(moving, k, 2, speed=6.0)]
    assert causes
    assert set(causes) == {"learning"}


def test_no_random_phase_nothing_to_compare_with():
    d5 = Lengths()
    assert [feed(d5, k, 2) for k in range(30)] == [[]] * 30


def test_evaluations_below_a_quarter_of_the_best_median_warn():
    d6 = Returns()
    found = [d6.update(step, ret) for step, ret in enumerate([100.0] * 10 + [20.0] * 6)]
    fallen = ["fall" in [alarm.cause for alarm in alarms] for alarms in found]
    assert fallen == [False] * 15 + [True]  # after five the median is (100 + 20) / 2 = 60
    assert d6.statistic == pytest.approx(0.8)


def test_negative_returns_are_measured_from_the_worst():
    d6 = Returns()
    rising = [-1000.0 + 80.0 * k for k in range(12)]
    assert [d6.update(k, ret) for k, ret in enumerate(rising)] == [[]] * 12
    for k in range(12, 30):
        alarms = d6.update(k, -990.0)
    assert "fall" in [alarm.cause for alarm in alarms]


def test_a_steady_fall_warns_and_noise_does_not():
    falling, noisy = Returns(), Returns()
    for k in range(20):
        alarms = falling.update(1000 * k, 100.0 - k)
        quiet = noisy.update(1000 * k, 100.0 + (-1) ** k)
    assert [(alarm.cause, alarm.level) for alarm in alarms] == [("trend", WARN)]
    assert "1 per 1,000 steps" in alarms[0].evidence
    assert quiet == []
    assert (falling.trend(), noisy.trend()) == (FLAT, FLAT)


def test_rising_evaluations_are_seen_from_ten_on():
    d6 = Returns()
    seen = [d6.trend() for k in range(11) if d6.update(k, float(k)) == []]
    assert seen == ["are too few (10 show a trend)"] * 9 + [RISE] * 2


@pytest.mark.parametrize(
    ("returns", "trend"),
    [
        ([*range(30)], RISE),
        ([*range(10), *[10.0] * 30], LEVEL),
        ([*range(20), *[20.0] * 10, *range(20, 8, -1)], LEVEL),  # still above where it began
        ([*[0.0] * 30, *range(1, 30)], RISE),
    ],
    ids=["rises", "rose and went flat", "rose and falls", "rises at last"],
)
def test_what_rose_once_need_not_rise_still(returns, trend):
    d6 = Returns()
    for step, ret in enumerate(returns):
        d6.update(step, float(ret))
    assert d6.trend() == trend


def test_plateaus_are_seldom_taken_for_rises():
    rng = np.random.default_rng(0)
    said = Counter()
    for _ in range(200):
        d6 = Returns()
        for step, ret in enumerate(np.minimum(np.arange(40) / 10, 1) * 10 + rng.normal(size=40)):
            d6.update(step, ret)
        said[d6.trend()] += 1
    assert said[RISE] <= 10  # one-sided 2.5 % of 200, and the luck of the draw
    assert said[LEVEL] >= 180
