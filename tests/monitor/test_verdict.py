"""Verdicts, their precedence, and a monitor that goes on judging after a restart."""

import json
import math

import pytest
import torch

from benchmarks.monitor.detection import described_episodes, described_log
from td3sweep.monitor.report import EXPLANATION
from td3sweep.monitor.text import lines
from td3sweep.monitor.verdict import Monitor

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
    for step in (75, 100):
        m.watch(step, CALM)
    for step in (125, 150, 175, 200):
        statistics, _ = m.watch(step, GROWN)
    assert statistics["divergence/d2"] == pytest.approx((1e4 - 15) / 7.9)  # half of the critic's 15, twice .2 of offset
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
    fresh = [m.watch(step, {"q/q1": value})[1] for step, value in enumerate((1.0, math.nan, math.nan))]
    assert [len(alarms) for alarms in fresh] == [0, 1, 0]


def calm_run(m, rows=40, episodes=30, evaluations=12):
    """A run without a fault: 50-step episodes of random actions, then of a policy that gets better."""
    for k in range(10):
        m.episode(50 * k, length=50 + k, ret=1.0, phase="warm-up", speed=5.0)
    for k in range(rows):
        m.watch(500 + 25 * k, CALM | {"q/actor": 15.2 + 0.1 * math.sin(7 * k)})
    for k in range(episodes):
        m.episode(500 + 50 * k, length=55 + k % 5, ret=2.0 + k, speed=5.0)
    for k in range(evaluations):
        m.evaluation(1000 * k, 5.0 + k)


def test_a_calm_run_with_enough_data_is_healthy_and_more_steps_help_while_it_rises():
    m = monitor()
    calm_run(m)
    assert (m.verdict, m.alarms, m.first_alarm_step) == ("healthy", [], None)
    assert m.report().more_steps_help == "yes"


@pytest.mark.parametrize("lacking", [{"rows": 11}, {"episodes": 9, "evaluations": 6}])
def test_too_little_data_is_never_healthy(lacking):
    m = monitor()
    calm_run(m, **lacking)
    assert m.verdict == "learning"  # the returns rise; whether Q is sound is not known
    assert any(str(value) in line for value in lacking.values() for line in m._lacking())


def test_too_few_returns_are_undetermined_however_calm_q_is():
    m = monitor()
    calm_run(m, episodes=9, evaluations=4)
    assert m.verdict == "undetermined"
    report = m.report()
    assert report.more_steps_help == "not yet known"
    assert "4 evaluations (5 tell) and 9 training episodes" in report.why


def flat_run(m, ret):
    """No fault, and returns of ``ret`` from the random actions on."""
    for k in range(10):
        m.episode(50 * k, length=50, ret=ret + 0.1 * (k % 3), phase="warm-up", speed=5.0)
    for k in range(40):
        m.watch(500 + 25 * k, CALM | {"q/actor": 15.2 + 0.1 * math.sin(7 * k)})
    for k in range(30):
        m.episode(500 + 50 * k, length=50, ret=ret + 0.1 * (k % 3), speed=5.0)


@pytest.mark.parametrize("ret", [20.0, 0.0, -300.0])
def test_returns_that_stay_those_of_random_actions_are_never_healthy(ret):
    m = monitor()
    flat_run(m, ret)
    report = m.report()
    assert (report.verdict, report.progress.kind) == ("not learning yet", "flat")
    assert "no rise beyond chance" in report.why


def test_a_policy_that_never_reaches_its_goal_is_not_healthy_though_its_returns_rise():
    m = monitor()
    calm_run(m)
    for k in range(3):
        m.evaluation(20_000 + k, 30.0 + k, 4, success=0.0)
    assert m.verdict == "not learning yet"
    for k in range(3):
        m.evaluation(30_000 + k, 30.0 + k, 4, success=0.75)
    assert m.verdict == "healthy"


def test_returns_that_were_had_and_lost_are_a_collapse_though_q_stays_sane():
    m = monitor()
    calm_run(m, evaluations=0)
    for k in range(40):
        m.evaluation(1000 * k, 100.0 * min(k, 15) if k < 20 else 10.0 + k % 2)
    report = m.report()
    assert (report.verdict, report.more_steps_help) == ("collapsed", "no")
    assert "had risen to 1500" in report.why


def test_a_failure_that_is_over_is_told_of_with_its_span_and_no_longer_counts():
    m = monitor()
    calm_run(m)
    for step in (2000, 2025, 2050):
        m.watch(step, GROWN)
    assert m.must_stop  # a live run ends at once
    assert m.verdict == "diverging"
    for k in range(20):
        m.watch(2075 + 25 * k, CALM)
    report = m.report()
    assert (report.verdict, report.since) == ("healthy", None)
    assert any("FAIL d2 from step 2050 to 2050, recovered since" in line for line in report.evidence)


def test_a_mirrored_sign_is_the_logs_where_returns_rise_and_a_fault_where_they_do_not():
    for learns in (True, False):
        m = monitor()
        (calm_run if learns else lambda m: flat_run(m, 5.0))(m)
        for k in range(6):
            m.watch(3000 + 25 * k, {"q/actor": -15.0, "q/q1": 15.0})
        assert m.verdict == ("healthy" if learns else "suspicious")


def test_a_dead_actor_has_collapsed_even_while_values_diverge():
    m = monitor()
    for step in (1, 2, 3):
        m.watch(step, GROWN | {"action/saturation": 1.0, "grad/actor/head/before": 0.0})
    assert m.verdict == "collapsed"
    assert m.report().more_steps_help == "no"


def test_short_episodes_alone_are_suspicious_and_with_a_gap_they_fail():
    m = monitor(stop_on=["d5"])
    calm_run(m, episodes=0)
    for k in range(5):
        m.episode(2000 + k, length=10, ret=0.0, speed=5.0)
    assert (m.verdict, m.must_stop) == ("suspicious", False)
    for step in (3000, 3025, 3050):
        m.watch(step, GROWN)
    assert [(a.detector, a.level, a.cause) for a in m.alarms] == [
        ("d5", "WARN", "learning"), ("d1", "FAIL", "H6-like"), ("d2", "FAIL", "H6-like"), ("d5", "FAIL", "diverging")
    ]  # fmt: skip
    assert (m.verdict, m.must_stop) == ("diverging", True)  # what the values do explains the episodes


def no_recovery(m, first=2000):
    """200 episodes of 10 steps and a lower return, over 10,000 steps: D5 fails."""
    for k in range(201):
        m.episode(first + 50 * k, length=10, ret=0.0, speed=5.0)


@pytest.mark.parametrize(
    ("row", "verdict", "since"),
    [
        (CALM, "collapsed", 12_000),  # the first short episodes end at 2,000; the grace budget is 10,000 steps
        (GROWN, "diverging", 1550),  # the third such row
        ({"loss/critic": math.nan}, "diverging", 1550),  # a loss that never was a number
        (GROWN | {"action/saturation": 1.0, "grad/actor/head/before": 0.0}, "collapsed", 1550),
    ],
)
def test_episodes_that_never_recover_are_a_collapse_only_where_values_stay_in_range(row, verdict, since):
    m = monitor()
    calm_run(m, episodes=0)
    for step in (1500, 1525, 1550):
        m.watch(step, row)
    no_recovery(m)
    assert ("d5", "FAIL", "no recovery") in [alarm.key for alarm in m.alarms]
    report = m.report()
    assert (report.verdict, report.since, report.more_steps_help) == (verdict, since, "no")
    assert ("H6" in report.why) == (verdict == "diverging" and row is GROWN)


def test_a_warning_that_stays_silent_long_enough_no_longer_counts():
    m = monitor()
    calm_run(m)
    m.watch(2000, CALM | {"q/actor_max": 101.0})
    for k in range(19):
        m.watch(2025 + k, CALM)
    assert m.verdict == "suspicious"
    m.watch(3000, CALM)
    assert m.verdict == "healthy"
    assert [alarm.step for alarm in m.alarms] == [2000]  # it is still told
    report = m.report()
    assert (report.first_alarm_step, report.since) == (2000, None)
    assert not any(line.startswith("since") for line in lines(report))  # healthy since an alarm would contradict itself


def test_a_verdict_dates_from_the_first_alarm_that_it_rests_on():
    m = monitor()
    m.watch(1074, CALM | {"q/actor_max": 101.0})  # a warning
    for step in (1450, 1475, 1500):
        m.watch(step, GROWN)
    report = m.report()
    assert (report.verdict, report.first_alarm_step, report.since) == ("diverging", 1074, 1500)
    assert "since step 1500" in lines(report)
    m.watch(2000, CALM | {"grad/actor/joint/after": 2.4})
    assert (m.report().verdict, m.report().since) == ("faulty wiring", 2000)


def test_an_audit_names_its_faults_each_once():
    m = monitor(stop_on=["d0"])
    assert m.wiring(0, [], []) == []
    assert m.watch(1, CALM)[0]["divergence/d0"] == 0.0
    fresh = m.wiring(2, ["H1", "H6"], ["clips too early", "crossed features"])
    assert [(alarm.detector, alarm.cause) for alarm in fresh] == [("d0", "H1"), ("d0", "H6")]
    assert (m.verdict, m.must_stop) == ("faulty wiring", True)
    assert m.wiring(3, ["H6"], ["crossed features"]) == []
    assert "divergence/d0" not in monitor().watch(1, CALM)[0]


def test_missing_series_leave_their_detectors_out_and_are_named():
    m = Monitor(gamma=None)
    for step in range(3):
        m.watch(step, {"q/actor": 1.0})
    missing = " ".join(m.report().missing)
    for text in ("d0", "d1: neither the discount", "d2: q/q1", "d4: action/saturation", "d5", "d6"):
        assert text in missing
    assert "d3" not in missing


def test_series_that_never_share_a_row_leave_their_detector_out_as_well():
    m = Monitor(gamma=None)
    calm_run(m, rows=0)
    for step in range(1500, 2500, 25):
        m.watch(step, {"q/actor": 1e4, "action/saturation": 0.1})
        m.watch(step, {"q/q1": 15.0, "q/target": 15.0, "q/target_sd": 3.0, "grad/actor/head/before": 1.0})
    missing = m.report().missing
    assert "d2: q/actor, q/q1 or q/actor, q/target never in one row" in missing
    assert "d4: action/saturation, grad/actor/head/before never in one row" in missing
    m.watch(2500, CALM)
    assert not any(line.startswith("d2") for line in m.report().missing)


def test_the_report_fits_into_json():
    m = monitor()
    calm_run(m)
    for step in (3000, 3025, 3050):
        m.watch(step, GROWN)
    found = json.loads(json.dumps(m.report().as_dict(), allow_nan=False))
    assert found["verdict"] == "diverging"
    assert set(found["growth"]) >= {"model", "weights", "forecast"}
    assert any("growth of" in line for line in found["evidence"])


def test_every_verdict_is_explained():
    words = "faulty wiring, collapsed, diverging, suspicious, not learning yet, undetermined, learning, healthy"
    assert list(EXPLANATION) == words.split(", ")


def test_a_restored_monitor_fails_on_the_log_the_old_one_would_have():
    first, second = monitor(), monitor()
    first.reward(5.0)
    for step in (1, 2):
        first.watch(step, GROWN)
    second.load_state_dict(first.state_dict())
    for m in (first, second):
        assert [alarm.detector for alarm in m.watch(3, GROWN)[1]] == ["d1", "d2"]
    assert second.state_dict() == first.state_dict()


@pytest.mark.parametrize("cut", [7, 40, 163])
def test_a_run_cut_anywhere_and_restored_raises_the_same_alarms_with_the_same_statistics(cut, tmp_path):
    log = [(step, "row", row) for step, row in described_log()]
    log += [(step, "episode", (phase, length, speed)) for step, phase, length, speed in described_episodes()]
    log += [(step, "evaluation", 50.0 - step / 100) for step in range(1000, 5001, 250)]
    log.sort(key=lambda event: event[0])

    def tell(m, event):
        step, kind, what = event
        if kind == "row":
            return m.watch(step, what)
        if kind == "episode":
            phase, length, speed = what
            return m.episode(step, length=length, ret=length, phase=phase, speed=speed)
        return m.evaluation(step, what)

    whole, first = monitor(), monitor()
    said = [tell(whole, event) for event in log]
    before = [tell(first, event) for event in log[:cut]]
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second = monitor()
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert before + [tell(second, event) for event in log[cut:]] == said
    assert second.state_dict() == whole.state_dict()
    assert second.verdict == whole.verdict
    assert {alarm.detector for alarm in whole.alarms} == {"d1", "d2", "d3", "d5", "d6"}
