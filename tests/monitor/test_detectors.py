"""Each detector on numbers whose statistic was worked out by hand."""

import math

import pytest

from td3sweep.monitor.detectors import Bound, ClipInvariant, DeadActor, Gap, NonFinite


def levels(alarms):
    return [(alarm.detector, alarm.level) for alarm in alarms]


def test_bound_fails_on_the_third_log_in_a_row_above_it():
    d1 = Bound(gamma=0.9)
    d1.r_max = 2.0  # bound 2 / (1 - .9) = 20, threshold 22
    value, alarms = d1.update(10, {"q/actor": -33.0, "q/q1": 5.0})
    assert value == pytest.approx(1.5)
    assert alarms == []
    assert d1.update(20, {"q/actor": 23.0, "q/q1": 5.0})[1] == []
    _, alarms = d1.update(30, {"q/actor": 5.0, "q/q1": 23.0})
    assert levels(alarms) == [("d1", "FAIL")]
    assert alarms[0].step == 30
    assert "q/q1" in alarms[0].evidence


def test_bound_forgets_a_streak_that_breaks():
    d1 = Bound(gamma=0.9)
    d1.r_max = 2.0
    for q in (23.0, 23.0, 21.9, 23.0, 23.0):
        assert d1.update(0, {"q/actor": q})[1] == []


def test_a_single_q_above_the_bound_only_warns():
    d1 = Bound(gamma=0.9)
    d1.r_max = 2.0
    assert levels(d1.update(0, {"q/actor": 10.0, "q/actor_max": 20.5})[1]) == [("d1", "WARN")]
    assert d1.update(0, {"q/actor": 10.0, "q/actor_max": 19.5})[1] == []


def test_no_bound_before_a_reward():
    assert Bound(gamma=0.99).update(0, {"q/actor": 1e9}) == (0.0, [])


def test_gap_measures_the_distance_in_allowances():
    d2 = Gap()
    d2.r_max = 10.0  # allowance |15| + 3 x 3 + .05 x 10 = 24.5, and 2 for the networks' own offset
    row = {"q/actor": 68.0, "q/target": 15.0, "q/target_sd": 3.0}
    values = [d2.update(step, row) for step in (1, 2, 3)]
    assert [value for value, _ in values] == pytest.approx([2.0] * 3)
    assert [levels(alarms) for _, alarms in values] == [[], [], [("d2", "FAIL")]]


def test_gap_is_silent_where_actor_and_critic_agree():
    d2 = Gap()
    d2.r_max = 1.0
    for _ in range(5):
        assert d2.update(0, {"q/actor": 28.75, "q/target": 28.48, "q/target_sd": 0.0})[1] == []


def test_gap_measures_the_distance_from_the_critics_own_q_as_well():
    d2 = Gap()
    d2.r_max = 10.0
    row = {"q/actor": 2.0, "q/q1": 14.0, "q/target": 13.0, "q/target_sd": 8.0}
    assert d2.update(1, row)[0] == pytest.approx(12 / 9)  # half of |q1|, and 2; from the target it is 11 / 39.5
    assert d2.update(2, row | {"q/target_sd": 16.0})[0] == pytest.approx(12 / 10)  # half of the target's spread
    _, (alarm,) = d2.update(3, row | {"q/actor": 6.5, "q/q1": 0.5, "q/target_sd": 0.1})  # 6 over .2 x 10 + 2
    assert (alarm.level, alarm.step, alarm.cause) == ("FAIL", 3, "H6-like")
    assert "lies 1.5 allowances from the critic's own Q 0.5 on 3 logs in a row" in alarm.evidence


@pytest.mark.parametrize(
    "advantage",
    [
        {"q/q1": 9.0},  # 3 of 4.5
        {"q/actor": 4.6, "q/target_sd": 11.0},  # 5.4 of 5.5
        {"q/actor": 2.4, "q/q1": 0.5},  # 1.9 of 2
    ],
)
def test_an_advantage_within_its_allowance_is_no_gap(advantage):
    d2 = Gap()
    d2.r_max = 10.0
    row = {"q/actor": 12.0, "q/q1": 10.0, "q/target": 10.0, "q/target_sd": 2.0} | advantage
    assert [alarm for _ in range(5) for alarm in d2.update(0, row)[1]] == []


def test_networks_may_begin_with_an_offset_of_their_own():
    """Rewards are tiny: .3 between an untrained actor's Q and the critic's is the networks', not a gap."""
    d2 = Gap()
    d2.r_max = 0.001
    row = {"q/actor": 0.35, "q/q1": 0.05, "q/target": 0.0, "q/target_sd": 0.001}
    assert [d2.update(step, row)[1] for step in range(9)] == [[]] * 9
    assert [bool(d2.update(step, row | {"q/actor": 0.75})[1]) for step in range(3)] == [False, False, True]


def test_the_critics_own_q_is_enough():
    d2 = Gap()
    d2.update(0, {"q/actor": 10.0, "q/q1": 10.0})
    found = [d2.update(step, {"q/actor": 40.0, "q/q1": 10.0}) for step in (1, 2, 3)]
    assert [value for value, _ in found[:1]] == pytest.approx([30 / 7])  # half of 10, and 2 of offset
    ((alarm,),) = [alarms for _, alarms in found if alarms]
    assert (alarm.step, alarm.cause) == (3, "H6-like")


def test_an_actors_q_taken_from_its_loss_counts_only_where_it_is_larger():
    row = {"q/actor": 2.4, "q/q1": 870.0}  # a normalised loss
    taken = Gap(of_loss=True)
    assert [taken.update(step, row)[1] for step in range(5)] == [[]] * 5
    measured = Gap()
    assert [bool(measured.update(step, row)[1]) for step in range(3)] == [False, False, True]


def test_a_mirrored_q_is_a_warning_of_its_sign_and_no_gap():
    d2 = Gap()
    found = [d2.update(step, {"q/actor": 20.0 + step, "q/q1": -20.0 - step}) for step in range(5)]
    assert [value for value, _ in found] == [0.0] * 5
    assert [levels(alarms) for _, alarms in found] == [[]] * 4 + [[("d2", "WARN")]]
    assert "opposite sign" in found[-1][1][0].evidence


def test_gap_needs_its_numbers():
    assert Gap().update(0, {"q/actor": 1e9}) == (0.0, [])


def test_joint_clip_checks_the_joint_norm_and_not_the_sum_of_the_modules():
    d7 = ClipInvariant("joint", actor=1.0, critic=10.0)
    row = {"grad/actor/cnn/after": 0.8, "grad/actor/head/after": 0.6, "grad/actor/joint/after": 1.0}
    assert d7.update(0, row) == (pytest.approx(1.0), [])
    row["grad/actor/joint/after"] = 1.002
    assert levels(d7.update(0, row)[1]) == [("d7", "FAIL")]


@pytest.mark.parametrize(
    ("kind", "key", "limit_key"),
    [
        ("per_module", "grad/critic/memory/after", "clip.critic"),
        ("value", "grad/critic/max/after", "clip.critic"),
    ],
)
def test_the_other_clips_check_their_own_set(kind, key, limit_key):
    d7 = ClipInvariant(kind, actor=1.0, critic=10.0)
    assert d7.update(0, {key: 10.0, "grad/critic/joint/after": 99.0})[1] == []
    alarms = d7.update(0, {key: 10.1, "grad/critic/joint/after": 99.0})[1]
    assert levels(alarms) == [("d7", "FAIL")]
    assert limit_key in alarms[0].evidence


def test_no_clip_nothing_to_check():
    assert ClipInvariant("off", 1.0, 10.0).update(0, {"grad/actor/joint/after": 1e6}) == (0.0, [])


def test_a_clip_that_takes_nearly_everything_warns():
    d7 = ClipInvariant("joint", 1.0, 10.0)
    row = {"clip/actor/binding": 1.0, "clip/actor/coefficient": 0.009, "grad/actor/joint/after": 1.0}
    assert levels(d7.update(0, row)[1]) == [("d7", "WARN")]
    assert d7.update(0, row | {"clip/actor/coefficient": 0.011})[1] == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_fails_at_once_and_names_the_key(bad):
    nonfinite = NonFinite()
    nonfinite.update(6, {"loss/critic": 2.0, "q/q1": 1.0})
    value, alarms = nonfinite.update(7, {"loss/critic": bad, "q/q1": 1.0})
    assert value == 1.0
    assert levels(alarms) == [("nonfinite", "FAIL")]
    assert "loss/critic" in alarms[0].evidence


def test_a_series_that_never_was_finite_fails_on_its_third_row():
    nonfinite = NonFinite()
    found = [nonfinite.update(step, {"loss/actor": math.nan, "q/q1": 1.0})[1] for step in range(3)]
    assert [levels(alarms) for alarms in found] == [[], [], [("nonfinite", "FAIL")]]


def test_counted_non_finite_values_fail_as_well():
    assert levels(NonFinite().update(7, {"nonfinite": 3.0})[1]) == [("nonfinite", "FAIL")]
    assert NonFinite().update(7, {"nonfinite": 0.0}) == (0.0, [])


def test_bound_says_whether_the_critic_itself_left_its_range():
    rows = {"H6-like": {"q/actor": 99.0, "q/q1": 5.0}, "critic": {"q/actor": 99.0, "q/q1": 98.0}, "": {"q/actor": 99.0}}
    for cause, row in rows.items():
        d1 = Bound(gamma=0.9)
        d1.r_max = 2.0
        assert [alarm.cause for _ in range(3) for alarm in d1.update(0, row)[1]] == [cause]


def test_gap_says_whether_the_critic_agrees_with_its_target():
    for q1, cause in ((16.0, "H6-like"), (64.0, "critic")):
        d2 = Gap()
        row = {"q/actor": 64.0, "q/q1": q1, "q/target": 15.0, "q/target_sd": 3.0}
        alarms = [alarm for _ in range(3) for alarm in d2.update(0, row)[1]]
        assert [alarm.cause for alarm in alarms] == [cause]
        assert ("H6" in alarms[0].evidence) == (cause == "H6-like")


@pytest.mark.parametrize("gamma", [None, 1.0, 1.5])
def test_without_a_discount_below_1_there_is_no_bound(gamma):
    d1 = Bound(gamma=gamma)
    d1.r_max = 2.0
    assert d1.update(0, {"q/actor": 1e9}) == (0.0, [])


def test_returns_stand_for_a_bound_that_is_not_known():
    d1 = Bound(gamma=None)
    d1.episode(-1500.0, 200.0)  # 7.5 a step: over 1 - .999 that is 7,500, ten times that 75,000
    assert d1.update(0, {"q/q1": 75_001.0}) == (pytest.approx(1.0, abs=1e-4), [])
    found = [d1.update(step, {"q/q1": 150_000.0}) for step in (1, 2)]
    assert (found[-1][0], levels(found[-1][1])) == (pytest.approx(2.0), [("d1", "FAIL")])
    assert "ten times what returns of up to 1500 allow" in found[-1][1][0].evidence
    known = Bound(gamma=0.9)
    known.episode(100.0, math.nan)  # an evaluation, whose length is not known
    assert known.scale == pytest.approx(1000.0)


DEAD = {"action/saturation": 0.96, "grad/actor/head/before": 9e-9}


def test_an_actor_is_dead_when_saturated_and_without_gradient_on_three_logs():
    d4 = DeadActor()
    values, alarms = zip(*(d4.update(step, DEAD) for step in (1, 2, 3)), strict=True)
    assert values == (0.96,) * 3
    assert [levels(found) for found in alarms] == [[], [], [("d4", "FAIL")]]


@pytest.mark.parametrize("alive", [{"action/saturation": 0.94}, {"grad/actor/head/before": 2e-8}])
def test_an_actor_that_is_only_saturated_or_only_still_is_not_dead(alive):
    d4 = DeadActor()
    assert [d4.update(0, DEAD | alive)[1] for _ in range(5)] == [[]] * 5
    d4 = DeadActor()
    assert [d4.update(0, row)[1] for row in (DEAD, DEAD, DEAD | alive, DEAD, DEAD)] == [[]] * 5


def test_an_actor_that_stays_saturated_is_warned_of_though_gradients_reach_it():
    d4 = DeadActor()
    row = DEAD | {"grad/actor/head/before": 0.5}
    found = [d4.update(step, row) for step in range(10)]
    assert [value for value, _ in found] == [0.0] * 10
    assert [levels(alarms) for _, alarms in found] == [[]] * 9 + [[("d4", "WARN")]]
    assert "96% of actions saturated on 10 logs in a row, though a gradient of 0.5" in found[-1][1][0].evidence
    resumed = DeadActor()
    resumed.load_state_dict(d4.state_dict())
    assert levels(resumed.update(10, row)[1]) == [("d4", "WARN")]
    resumed.load_state_dict({"streak": 0})  # of a checkpoint before there was such a warning
    d4.update(10, row | {"action/saturation": 0.5})
    assert d4.update(11, row)[1] == []


def test_tensors_that_are_not_finite_are_named():
    alarms = NonFinite().update(1, {"loss/actor": math.nan}, ["actor.a", "actor.b", "actor.c", "actor.d"])[1]
    assert "actor.a, actor.b, actor.c and 1 more" in alarms[0].evidence
