"""Each rule at a gate on a monitor fed by hand: what passes, what fails it, and what is too little to tell."""

import math

import pytest

from td3sweep.gates.rules import MAY_BE_UNKNOWN, RULES, Evidence, judge, stops, sustained
from td3sweep.monitor.verdict import Monitor

CALM = {
    "q/actor": 15.2, "q/q1": 15.0, "q/target": 15.1, "q/target_sd": 3.0, "action/saturation": 0.1,
    "grad/actor/head/before": 0.2, "grad/actor/joint/after": 0.9, "grad/critic/joint/after": 10.0,
}  # fmt: skip


class Run:
    """A run of 5,000 steps, as a monitor saw it: calm unless a test says otherwise."""

    def __init__(self, clip="joint", audited=True, reward=1.0):
        self.monitor = Monitor(gamma=0.9, clip=clip)  # with rewards of 1 Q may come to 10; 1.1 times that is 11
        self.clip, self.rows, self.evaluations, self.policy = clip, [], [], 0
        self.monitor.reward(reward)
        if audited:
            self.monitor.wiring(0, [], [])

    def learn(self, rows=20, **changes):
        for _ in range(rows):
            step = 1000 + 25 * len(self.rows)
            row = CALM | {name.replace("__", "/"): value for name, value in changes.items()}
            self.rows.append(row | self.monitor.watch(step, row)[0])
        return self

    def drive(self, random=(50,) * 10, policy=(60,) * 10):
        for place, length in enumerate(random):
            self.monitor.episode(place, length=length, ret=1.0, phase="warm-up")
        for place, length in enumerate(policy):
            self.monitor.episode(1000 + place, length=length, ret=1.0)
        self.policy = len(policy)
        return self

    def evaluate(self, *returns):
        for place, value in enumerate(returns):
            self.evaluations.append((100 * place, value))
            self.monitor.evaluation(100 * place, value)
        return self

    def judged(self, steps=5000, finished=True):
        summary = self.monitor.report().as_dict() | {"env_steps": steps, "finished": finished}
        return {
            finding.rule: finding
            for finding in judge(Evidence(5000, summary, self.rows, self.evaluations, self.policy, self.clip))
        }


def sound():
    return Run(reward=2.0).learn().drive().evaluate(*range(10))


def test_a_sound_run_passes_every_rule():
    findings = sound().judged()
    assert [*findings] == ["steps", *(rule.name for rule in RULES)]
    assert {finding.outcome for finding in findings.values()} == {"pass"}
    assert findings["d1"].measured == pytest.approx(15.2 / 22)
    assert findings["d7"].measured == 1.0
    assert findings["d2"].measured == pytest.approx(0.2 / 7.9)


@pytest.mark.parametrize(
    ("rule", "changes", "measured"),
    [
        ("nonfinite", {"q__q2": math.nan}, 1.0),
        ("d7", {"grad__critic__joint__after": 10.2}, 1.02),
        ("d1", {"q__actor": 24.2, "q__q1": 24.0, "q__target": 24.0}, 1.1),
        ("d2", {"q__actor": 21.0, "q__q1": 10.0}, 11 / 5.4),  # half of 10, and twice the .2 that the first rows show
        ("d4", {"action__saturation": 1.0, "grad__actor__head__before": 0.0}, 1.0),
    ],
)
def test_three_rows_beyond_its_limit_fail_a_rule_and_that_one_alone(rule, changes, measured):
    run = sound().learn(3, **changes).learn(5)
    findings = run.judged()
    assert [name for name, finding in findings.items() if finding.outcome == "FAIL"] == [rule]
    assert findings[rule].measured == pytest.approx(measured)
    assert "since step 15" in findings[rule].note
    assert stops(findings[rule])


@pytest.mark.parametrize("rule", ["d1", "d2", "d4"])
def test_two_rows_in_a_row_are_no_failure(rule):
    changes = {
        "d1": {"q__actor": 24.2, "q__q1": 24.0, "q__target": 24.0},
        "d2": {"q__actor": 21.0, "q__q1": 10.0},
        "d4": {"action__saturation": 1.0, "grad__actor__head__before": 0.0},
    }[rule]
    assert sound().learn(2, **changes).learn(1).learn(2, **changes).judged()[rule].outcome == "pass"


def test_sustained_is_the_highest_value_held_for_three_rows():
    assert sustained([9, 1, 4, 3, 5, 2]) == 3


def test_faulty_wiring_fails_d0():
    run = sound()
    run.monitor.wiring(0, ["H6"], ["crossed features"])
    finding = run.learn(1).judged()["d0"]
    assert (finding.outcome, finding.measured, finding.note) == ("FAIL", 1.0, "since step 0: H6: crossed features")


def test_growth_that_explodes_fails_d3():
    run = Run(reward=2.0)
    for place in range(48):  # D3 fits anew at the 48th row
        run.learn(1, q__actor=15.0 + 0.2 * math.exp(0.1 * place))
    finding = run.judged()["d3"]
    assert (finding.outcome, finding.limit) == ("FAIL", 0.95)
    assert "law (exploding models weigh" in finding.note


def test_short_episodes_are_not_known_before_their_grace_is_over_and_fail_with_a_dead_actor():
    run = sound().drive(random=(), policy=(5,) * 10)
    finding = run.learn(1).judged()["d5"]
    assert (finding.outcome, stops(finding), finding.measured) == ("not known", False, 16.0)
    assert "10000 steps and 50 episodes" in finding.note
    run.learn(3, action__saturation=1.0, grad__actor__head__before=0.0)
    assert run.judged()["d5"].outcome == "FAIL"


def test_fallen_evaluations_fail_d6_until_they_recover():
    run = sound().evaluate(*[10.0] * 10, *[1.0] * 10)
    finding = run.judged()["d6"]
    assert (finding.outcome, finding.measured) == ("FAIL", pytest.approx(0.9))
    run.evaluate(*[10.0] * 10)
    assert run.judged()["d6"].outcome == "pass"


def test_a_steady_fall_of_the_evaluations_fails_d6():
    finding = Run().evaluate(*(100.0 - place for place in range(20))).judged()["d6"]
    assert (finding.outcome, "Mann-Kendall" in finding.note) == ("FAIL", True)


@pytest.mark.parametrize(
    ("run", "rule", "why"),
    [
        (Run().drive(), "nonfinite", "it takes 1 rows"),
        (Run(audited=False).learn(), "d0", "not audited"),
        (Run().drive(), "d7", "no gradient norms"),
        (Run().learn(2), "d1", "it takes 3 rows"),
        (Run(reward=0.0).learn(), "d1", "no reward other than 0"),
        (Run().learn(2), "d2", "it takes 3 rows"),
        (Run().learn(11), "d3", "it takes 12 rows"),
        (Run().learn(2), "d4", "it takes 3 rows"),
        (Run().learn().drive(random=(50,) * 4), "d5", "fewer than 5 episodes"),
        (Run().learn().drive(policy=(60,) * 9), "d5", "9 of 10 episodes"),
        (Run().learn().evaluate(*range(9)), "d6", "9 of 10 evaluations"),
    ],
)
def test_too_little_evidence_is_not_known_and_stops_where_a_rule_must_be_known(run, rule, why):
    finding = run.judged()[rule]
    assert (finding.outcome, stops(finding)) == ("not known", rule not in MAY_BE_UNKNOWN)
    assert why in finding.note


def test_rows_that_no_monitor_watched_leave_the_rules_open():
    run = sound()
    run.rows.append(dict(CALM))
    assert {run.judged()[rule].outcome for rule in ("nonfinite", "d0", "d7", "d1", "d2", "d3", "d4", "d5")} == {
        "not known"
    }


def test_without_a_clip_its_rule_is_not_asked():
    finding = Run(clip="off").learn().judged()["d7"]
    assert (finding.outcome, stops(finding)) == ("not asked", False)


@pytest.mark.parametrize(("steps", "finished"), [(4999, True), (5000, False)])
def test_a_run_that_was_stopped_did_not_reach_its_gate(steps, finished):
    finding = sound().judged(steps, finished)["steps"]
    assert (finding.outcome, finding.measured, finding.limit) == ("FAIL", steps, 5000.0)
