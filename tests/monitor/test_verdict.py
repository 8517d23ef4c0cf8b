"""Verdicts, their precedence, and a monitor that goes on judging after a restart."""

import math

import pytest

from td3sweep.monitor.verdict import EXPLANATION, Monitor

GROWN = {"q/actor": 1e4, "q/q1": 15.0, "q/target": 15.0, "q/target_sd": 3.0}
CALM = {"q/actor": 15.2, "q/q1": 15.0, "q/target": 15.0, "q/target_sd": 3.0}


def monitor(**options):
    made = Monitor(
        **{"gamma": 0.99, "clip": "joint", "clip_actor": 1.0, "clip_critic": 10.0, "stop_on": ["d2"]} | options
    )
    made.reward(-1.0)
    return made


def test_silence_is_undetermined_and_never_healthy():
    m = monitor()
    for step in range(0, 5000, 25):
        m.watch(step, CALM)
    assert (m.verdict, m.first_alarm_step, m.must_stop) == ("undetermined", None, False)


def test_an_actor_scored_far_from_the_target_is_diverging_since_its_third_log():
    m = monitor()
    m.watch(100, CALM)
    for step in (125, 150, 175, 200):
        statistics, _ = m.watch(step, GROWN)
    assert statistics["divergence/d2"] == pytest.approx((1e4 - 15) / (15 + 9 + 0.05))
    assert (m.verdict, m.first_alarm_step, m.must_stop) == ("diverging", 175, True)


def test_only_the_named_detectors_stop_a_run():
    m = monitor(stop_on=["d7"])
    for step in (1, 2, 3):
        m.watch(step, GROWN)
    assert (m.verdict, m.must_stop) == ("diverging", False)


def test_a_broken_invariant_outranks_divergence():
    m = monitor()
    for step in (1, 2, 3):
        m.watch(step, GROWN | {"grad/actor/joint/after": 2.4})
    assert m.verdict == "faulty wiring"


def test_a_warning_alone_is_suspicious():
    m = monitor()
    m.watch(1, CALM | {"q/actor_max": 101.0})
    assert m.verdict == "suspicious"


def test_an_alarm_is_raised_once():
    m = monitor()
    fresh = [m.watch(step, {"q/q1": math.nan})[1] for step in (1, 2)]
    assert [len(alarms) for alarms in fresh] == [1, 0]


def test_every_verdict_is_explained():
    assert set(EXPLANATION) >= {"faulty wiring", "diverging", "suspicious", "undetermined"}


def test_a_restored_monitor_fails_on_the_log_the_old_one_would_have():
    first, second = monitor(), monitor()
    first.reward(5.0)
    for step in (1, 2):
        first.watch(step, GROWN)
    second.load_state_dict(first.state_dict())
    for m in (first, second):
        assert [alarm.detector for alarm in m.watch(3, GROWN)[1]] == ["d1", "d2"]
    assert second.state_dict() == first.state_dict()
