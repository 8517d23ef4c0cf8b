"""Every reward term against numbers worked out by hand from its formula."""

import math

import pytest

from td3sweep.config.presets import preset
from td3sweep.envs.carla.reward import (
    Comfort,
    CruiseSpeed,
    Efficiency,
    Failure,
    Goal,
    LaneKeeping,
    Progress,
    Race,
    Safety,
    build_reward,
)
from td3sweep.envs.carla.state import DriveState
from td3sweep.errors import UserError

CASES = [
    (Efficiency(), {"speed": 4.165}, 0.5),
    (Efficiency(), {"speed": 8.33, "heading_error": math.pi / 3}, 0.5),
    (Efficiency(), {"speed": 20.0}, 1.0),
    (Efficiency(), {"speed": 20.0, "heading_error": math.pi}, -1.0),
    (CruiseSpeed(), {"speed": 4.165}, 0.5),
    (CruiseSpeed(), {"speed": 8.33}, 1.0),
    (CruiseSpeed(), {"speed": 12.495}, 0.0),  # 1 - 2 x .5
    (CruiseSpeed(), {"speed": 16.66}, -1.0),
    (LaneKeeping(), {"speed": 3.0}, 0.5),
    (LaneKeeping(), {"speed": 3.0, "lateral": -0.875}, 0.325),  # ((1 - .35) + 1) / 2 - .5
    (LaneKeeping(), {"speed": 3.0, "lateral": 9.0, "heading_error": -1.0}, 0.0),  # (.3 + .7) / 2 - .5
    (LaneKeeping(), {"speed": 3.0, "heading_error": 0.05}, 0.425),
    (LaneKeeping(), {"speed": 1.55}, 0.25),  # half faded in
    (LaneKeeping(), {"speed": 0.1}, 0.0),
    (Comfort(), {"jerk": 0.0}, 0.3),
    (Comfort(), {"jerk": 2.5}, 0.15),
    (Comfort(), {"jerk": 7.5}, -0.075),
    (Comfort(), {"jerk": 99.0}, -0.3),
    (Safety(), {}, 0.0),
    (Safety(), {"gap": 4.0}, -0.25),
    (Safety(), {"gap": 0.1}, -2.0),
    (Safety(), {"gap": 10.0}, 0.0),
    (Safety(), {"time_to_collision": 2.0}, -0.25),
    (Safety(), {"time_to_collision": 0.01}, -5.0),
    (Safety(), {"collision_speed": 1.9}, -5.0),
    (Safety(), {"collision_speed": 2.0}, -25.0),
    (Safety(), {"collision_speed": 5.0}, -100.0),
    (Safety(), {"lateral": -2.6}, -20.0),
    (Safety(), {"lateral": 2.5}, 0.0),
    (Safety(), {"heading_error": 0.75 * math.pi}, -3.0),
    (Safety(), {"heading_error": -math.pi}, -5.0),
    (Safety(), {"lane_invasion": True}, -10.0),
    (Safety(), {"stopped_ticks": 50}, -0.03),
    (Safety(), {"stopped_ticks": 1000}, -0.05),
    (Safety(), {"gap": 5.0, "lane_invasion": True}, -10.2),
    (Progress(0.5), {"metres_gained": 0.4}, 0.2),
    (Progress(50.0), {"metres_gained": 0.4, "waypoints_passed": 1}, 21.0),
    (Progress(50.0), {"metres_gained": 0.4, "route_done": True}, 110.0),
    (Progress(50.0), {"metres_gained": -0.4}, -10.0),
    (Race(), {"speed": 10.0, "heading_error": math.pi / 3, "lateral": -0.2}, 3.0),
    (Failure(), {"collision_speed": 0.0}, -1.0),
    (Failure(), {"lateral": 2.51}, -1.0),
    (Failure(), {"route_done": True}, 0.0),
    (Failure(), {"stopped_ticks": 1000}, 0.0),  # unless standing ends the task
    (Failure(stalled=100), {"stopped_ticks": 99}, 0.0),
    (Failure(stalled=100), {"stopped_ticks": 100}, -1.0),
    (Failure(stalled=100), {"stopped_ticks": 100, "lateral": 9.0}, -1.0),
    (Goal(), {"route_done": True}, 1.0),
    (Goal(), {}, 0.0),
]


@pytest.mark.parametrize(("term", "state", "value"), CASES)
def test_term(term, state, value):
    assert term(DriveState(**state)) == pytest.approx(value, abs=1e-9)


def test_the_two_described_presets_weigh_the_same_tick_very_differently():
    state = DriveState(speed=8.33, metres_gained=0.4165)
    first, later = (
        build_reward(said["terms"], progress_scale=said["progress_scale"])(state)
        for said in (preset("reward", "described_20nov"), preset("reward", "described_later"))
    )
    assert first == pytest.approx({"efficiency": 1.0, "lane": 1.0, "comfort": 0.15, "safety": 0.0, "progress": 41.65})
    assert later == pytest.approx({"efficiency": 2.0, "lane": 1.0, "comfort": 0.3, "safety": 0.0, "progress": 0.62475})


def test_cruise_is_best_at_the_target_speed():
    reward = build_reward(preset("reward", "cruise")["terms"])
    totals = [sum(reward(DriveState(speed=speed)).values()) for speed in (0.0, 4.0, 8.33, 10.0, 14.0)]
    assert totals.index(max(totals)) == 2
    assert totals[2] == pytest.approx(1.0)


def test_the_bonus_is_what_the_routes_end_pays_beside_the_way_there():
    reward = build_reward({"goal": 10.0, "cruise_speed": 0.5, "progress": 1.0}, progress_scale=50.0)
    there = DriveState(speed=8.33, metres_gained=0.4, route_done=True)
    assert sum(reward(there).values()) == pytest.approx(10.0 + 0.5 + 20.0 + 90.0)  # 110 is the least that progress pays
    assert reward.bonus(there) == pytest.approx(10.0 + 90.0)
    assert reward.bonus(DriveState(speed=8.33, metres_gained=0.4)) == 0.0


def test_unknown_names_list_the_choices():
    with pytest.raises(UserError, match=r"reward\.terms\.speeed: no such term; choose from .*race"):
        build_reward({"speeed": 1.0})
    with pytest.raises(UserError, match=r"reward=best: .*described_20nov"):
        preset("reward", "best")
