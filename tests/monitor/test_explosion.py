"""D3 over whole runs: what it calls exploding, when, and what it never does."""

import numpy as np
import pytest

from benchmarks.monitor.detection import (
    EXPLODING,
    FITTED_CALM,
    NEVER_FITTED,
    Case,
    coverage,
    first_alarm,
    watch_seed_log,
)
from td3sweep.monitor.explosion import MAX_POINTS, Explosion


def feed(d3, steps, values, bound=100.0):
    return [alarm for step, value in zip(steps, values, strict=True)
            for alarm in d3.update(round(step), {"q/actor": 20.0 + value, "q/q1": 20.0}, bound)[1]]  # fmt: skip


@pytest.mark.parametrize("law", EXPLODING[:2], ids=lambda law: law.__name__)
def test_exploding_growth_is_caught(law):
    steps, values = Case(law, 50, 0.03, False, 1).draw()
    assert first_alarm(steps, values, critic_known=True)[0] is not None


@pytest.mark.parametrize("law", [*FITTED_CALM, *NEVER_FITTED], ids=lambda law: law.__name__)
@pytest.mark.parametrize("critic_known", [True, False])
def test_growth_that_stays_below_the_bound_is_never_called_exploding(law, critic_known):
    for seed in (1, 3):
        for points in (20, 100):
            steps, values = Case(law, points, 0.1, False, seed).draw()
            assert first_alarm(steps, values, critic_known=critic_known)[0] is None


def test_nothing_is_judged_before_the_twelfth_point():
    d3 = Explosion()
    steps = 100.0 * np.arange(1, 13)
    values = 90.0 * np.exp(np.arange(12) / 2.0)
    assert feed(d3, steps[:11], values[:11]) == []
    assert d3.weight == 0.0
    assert [alarm.step for alarm in feed(d3, steps[11:], values[11:])] == [1200]


def test_without_rewards_the_limit_is_that_of_fp16():
    steps = 100.0 * np.arange(1, 41)
    values = 90.0 * np.exp(np.arange(40) / 8.0)  # 11,800 at the end, twice that span later 1.7e6
    assert len(feed(Explosion(), steps, values, bound=None)) >= 1
    assert feed(Explosion(), steps, values / 100, bound=None) == []


def test_a_long_log_is_thinned_and_spans_the_whole_run():
    d3 = Explosion()
    feed(d3, range(1000), np.full(1000, 5.0))
    assert len(d3.points) <= MAX_POINTS
    assert d3.points_seen == 1000
    assert (d3.points[0][0], d3.points[-1][0] > 980) == (0.0, True)
    assert len({b[0] - a[0] for a, b in zip(d3.points, d3.points[1:], strict=False)}) == 1


def test_numbers_that_are_not_finite_are_left_out():
    d3 = Explosion()
    d3.update(1, {"q/actor": float("nan"), "q/q1": 1.0}, 1.0)
    d3.update(2, {"q/q1": 1.0}, 1.0)
    assert d3.points == []


def test_the_described_systems_log_is_named_for_what_it_is():
    monitor = watch_seed_log()
    first = {}
    for alarm in monitor.alarms:
        if alarm.level == "FAIL":
            first.setdefault(alarm.detector, alarm)
    assert first["d2"].step <= 1800
    assert first["d2"].cause == "H6-like"
    assert first["d1"].step == 2300
    assert first["d1"].cause == "H6-like"
    assert 2200 <= first["d3"].step <= 2600
    assert monitor.verdict == "diverging"
    report = monitor.report()
    assert (report.more_steps_help, "H6" in report.why) == ("no", True)
    assert report.growth.model == "power"
    assert "environment" in {alarm.cause for alarm in monitor.alarms}  # lengths 17 -> 3 are not the policy's doing
    assert not any(alarm.cause in ("critic", "no recovery") for alarm in monitor.alarms)


@pytest.mark.slow
def test_forecast_intervals_cover_held_out_growth():
    rows = [row for row in coverage(2, odd=True) if row["fitted"]]
    assert sum(row["held"] for row in rows) / sum(row["forecasts"] for row in rows) >= 0.85


def test_a_gap_that_grows_through_zero_is_one_curve_and_not_a_valley():
    d3 = Explosion()
    steps = 25.0 * np.arange(1, 21)
    for step, gap in zip(steps, -13.0 + 2.0 * np.exp(steps / 120), strict=True):  # from -11 to 116
        d3.update(round(step), {"q/actor": 14.0 + gap, "q/q1": 14.0}, 4000.0)
    assert d3.growth(4000.0).model == "exponential"
    assert d3.weight > 0.95
    mirrored = Explosion()
    for step, gap, _ in d3.points:
        mirrored.update(round(step), {"q/actor": 14.0 - gap, "q/q1": 14.0}, 4000.0)
    assert mirrored.weight == pytest.approx(d3.weight, abs=1e-6)
