"""Driving metrics against numbers made by hand."""

import math

import pytest

from td3sweep.collect.evaluation import EpisodeOutcome
from td3sweep.envs.carla.state import DriveState
from td3sweep.evaluate.metrics import (
    collisions,
    driving_score_2_0,
    driving_score_2_1,
    jerks,
    mean,
    measure,
    rate,
    totals,
)


def outcome(fraction=1.0, success=True, total=10.0, dt=0.05):
    info = {"success": success, "end": "route_done" if success else "collision", "route_fraction": fraction}
    return EpisodeOutcome(total, 40, info | {"route_length": 300.0, "fixed_delta": dt})


def test_jerk_is_the_second_difference_of_the_speed():
    # v = t^3 has the jerk 6 t; second differences give it exactly at the middle points .5, 1, 1.5.
    times = [0.0, 0.5, 1.0, 1.5, 2.0]
    assert jerks([t**3 for t in times], 0.5) == pytest.approx([3.0, 6.0, 9.0])


def test_jerk_of_an_episode_is_its_root_mean_square_and_comfort_the_share_below_5():
    ticks = [DriveState(speed=speed) for speed in (0.0, 0.0, 4.0, 8.0)]  # second differences 4 and 0
    found = measure(outcome(dt=1.0), ticks)
    assert found["jerk"] == pytest.approx(math.sqrt((4.0**2 + 0.0**2) / 2))
    assert found["comfort"] == 1.0
    assert measure(outcome(dt=0.5), ticks)["comfort"] == 0.5  # now 16 and 0 m/s^3


def test_speed_and_way_come_from_every_tick():
    found = measure(outcome(), [DriveState(speed=speed) for speed in (2.0, 4.0, 6.0, 8.0)])
    assert found["speed"] == 5.0
    assert found["km"] == pytest.approx(20.0 * 0.05 / 1000)
    assert found["seconds"] == pytest.approx(0.2)


def test_outside_the_lane_counts_metres_not_time():
    inside, outside = DriveState(speed=9.0, lateral=1.7), DriveState(speed=3.0, lateral=-1.8)  # half a lane is 1.75
    assert measure(outcome(), [inside, outside])["outside_lane"] == pytest.approx(3.0 / 12.0)


def test_a_car_that_never_moves_has_no_way():
    found = measure(outcome(0.0, False), [DriveState()] * 5)
    assert (found["km"], found["outside_lane"], found["jerk"]) == (0.0, 0.0, 0.0)
    assert math.isnan(rate([0], [found["km"]]).value)


def test_contact_that_lasts_is_one_collision_and_its_kind_is_named():
    hits = ["", "vehicle.audi.tt", "vehicle.audi.tt", "", "walker.pedestrian.0001", "static.fence", "vehicle.audi.tt"]
    assert collisions([DriveState(hit=hit) for hit in hits]) == ["vehicle", "pedestrian", "static", "vehicle"]


def test_lane_invasions_are_the_sensors_and_departures_those_of_the_outline():
    found = measure(outcome(), [DriveState(crossings=2), DriveState(crossings=1, lane_invasion=True), DriveState()])
    assert (found["lane_invasions"], found["lane_departures"]) == (3, 1)


@pytest.mark.parametrize(
    ("hits", "outside", "score_2_0", "score_2_1"),
    [
        ([], 0.0, 80.0, 80.0),
        (["vehicle"], 0.0, 48.0, 80.0 / 1.7),
        (["pedestrian", "static"], 0.0, 26.0, 80.0 / 2.6),
        (["vehicle", "vehicle"], 0.25, 80 * 0.36 * 0.75, 80.0 / 2.4 * 0.75),
    ],
)
def test_driving_scores_of_both_leaderboards(hits, outside, score_2_0, score_2_1):
    assert driving_score_2_0(0.8, hits, outside) == pytest.approx(score_2_0)
    assert driving_score_2_1(0.8, hits, outside) == pytest.approx(score_2_1)


def test_an_episode_carries_both_scores_by_name():
    ticks = [DriveState(speed=5.0), DriveState(speed=5.0, hit="vehicle.audi.tt")]
    found = measure(outcome(0.5, False), ticks)
    assert found["driving_score/leaderboard_2.0"] == pytest.approx(30.0)
    assert found["driving_score/leaderboard_2.1"] == pytest.approx(50.0 / 1.7)


def test_success_has_wilsons_interval():
    episodes = [measure(outcome(success=number < 19), [DriveState(speed=5.0)] * 3) for number in range(20)]
    success = totals(episodes)["success"]
    # Wilson by hand: p = .95, n = 20, z = 1.95996.
    z, n, p = 1.959964, 20, 0.95
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert success.value == 0.95
    assert (success.low, success.high) == (
        pytest.approx(centre - half, abs=1e-6),
        pytest.approx(centre + half, abs=1e-6),
    )


def test_rates_are_events_over_all_kilometres():
    assert rate([3, 1], [1.5, 0.5]).value == 2.0  # not the mean of 2 and 2, nor of episodes:
    assert rate([3, 0], [1.0, 0.5]).value == 2.0


def test_no_event_in_two_kilometres_is_no_proof_of_none():
    found = rate([0, 0], [1.0, 1.0])
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(3.6889 / 2, abs=1e-4)  # Poisson: exp(-x) = .025


def test_events_that_come_together_widen_the_interval():
    spread, together = rate([2] * 10, [1.0] * 10), rate([20] + [0] * 9, [1.0] * 10)
    assert spread.value == together.value == 2.0
    assert together.high > spread.high + 1.0
    assert together.low < spread.low


def test_the_mean_of_fewer_than_five_episodes_has_no_interval():
    assert mean([3.0, 4.0, 5.0, 6.0]).low is None
    several = mean([1.0, 2.0, 3.0, 4.0, 5.0])
    assert several.value == 3.0
    assert 1.0 <= several.low < 3.0 < several.high <= 5.0


def test_an_environment_without_ticks_has_its_return_alone():
    found = measure(EpisodeOutcome(5.0, 3, {}), [])
    assert found == {"end": "", "return": 5.0, "length": 3, "success": False}
    assert set(totals([found])) == {"success", "return", "length"}
