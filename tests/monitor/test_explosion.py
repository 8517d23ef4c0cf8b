"""D3 over whole runs: what it calls exploding, when, and what it never does."""

from itertools import pairwise

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
from td3sweep.monitor.explosion import ACTOR, CRITIC, GAP, LOSS, MAX_POINTS, TARGET, Explosion, Limits


def feed(d3, steps, values, bound=100.0):
    """What the gap's alarms are, each as often as it stands."""
    return [alarm for step, value in zip(steps, values, strict=True)
            for alarm in d3.update(round(step), {"q/actor": 20.0 + value, "q/q1": 20.0}, Limits(bound))[1]
            if alarm.cause == GAP]  # fmt: skip


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
    assert d3.series[GAP].weight == 0.0
    assert [alarm.step for alarm in feed(d3, steps[11:], values[11:])] == [1200]


def test_without_rewards_the_limit_is_ten_thousand_times_what_it_began_with():
    steps = 100.0 * np.arange(1, 41)
    values = 90.0 * np.exp(np.arange(40) / 4.0)  # began at 168 (median of six): limit 1.7e6, near it from 1.3e5 on
    assert len(feed(Explosion(), steps, values, bound=None)) >= 1
    assert feed(Explosion(), steps, 90.0 * np.exp(np.arange(40) / 8.0), bound=None) == []  # 11,800 at the end


@pytest.mark.parametrize(("level", "alarms"), [(1e4, 0), (1e5, 0)])
def test_a_rise_that_levels_off_is_no_explosion_however_high(level, alarms):
    steps = 1000.0 * np.arange(1, 101)
    values = 120.0 + level / (1.0 + np.exp(-(steps - 45_000) / 6_000))
    assert len(feed(Explosion(), steps, values, bound=None)) == alarms


def explode(monitor_row):
    """The names of the series that fail where each of a row's series doubles every 500 steps."""
    d3 = Explosion()
    found = set()
    for k in range(60):
        row = {key: value * 2.0 ** (k / 2) for key, value in monitor_row.items()}
        found |= {alarm.cause for alarm in d3.update(250 * k, row, Limits(scale=1000.0))[1]}
    return found


def test_values_that_explode_together_are_seen_though_their_gap_stays_small():
    row = {"q/actor": 10.0, "q/q1": 9.99, "q/target": 10.01}
    assert {ACTOR, CRITIC, TARGET} <= explode(row)


@pytest.mark.parametrize(("key", "name"), [("q/q1", CRITIC), ("q/target", TARGET)])
def test_each_series_is_judged_for_itself(key, name):
    assert explode({key: 10.0}) == {name}


def test_the_critics_loss_alone_may_fail_by_the_square_of_the_limit():
    d3, first = Explosion(), None
    for k in range(60):
        value = 2.0 ** (k / 2)
        alarms = d3.update(250 * k, {"loss/critic": value}, Limits(scale=1000.0))[1]
        first = value if alarms and first is None else first
    assert first is not None
    assert first >= 0.75 * 100.0**2  # near the limit: a tenth of the scale, squared
    assert LOSS in d3.series


def test_an_alarm_falls_silent_when_values_come_back():
    d3 = Explosion()
    steps = 100.0 * np.arange(1, 31)
    values = 20.0 * np.exp(np.arange(30) / 6.0)
    assert feed(d3, steps, values)
    assert feed(d3, steps + 3000, np.full(30, 5.0)) == []


def test_a_long_log_is_thinned_and_spans_the_whole_run():
    d3 = Explosion()
    feed(d3, range(1000), np.full(1000, 5.0))
    points = d3.series[GAP].points
    assert len(points) <= MAX_POINTS
    assert d3.points_seen == 1000
    assert (points[0][0], points[-1][0] > 980) == (0.0, True)
    assert len({b[0] - a[0] for a, b in pairwise(points)}) == 1


def test_numbers_that_are_not_finite_are_left_out():
    d3 = Explosion()
    d3.update(1, {"q/actor": float("nan"), "q/q1": 1.0}, Limits(1.0))
    d3.update(2, {"q/q1": 1.0}, Limits(1.0))
    assert d3.series.keys() == {CRITIC}


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
        d3.update(round(step), {"q/actor": 14.0 + gap, "q/q1": 14.0}, Limits(4000.0))
    assert d3.growth(Limits(4000.0)).model == "exponential"
    weight = d3.series[GAP].weight
    assert weight > 0.95
    mirrored = Explosion()
    for step, gap in d3.series[GAP].points:
        mirrored.update(round(step), {"q/actor": 14.0 - gap, "q/q1": 14.0}, Limits(4000.0))
    assert mirrored.series[GAP].weight == pytest.approx(weight, abs=1e-6)
