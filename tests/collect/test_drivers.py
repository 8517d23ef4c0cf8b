"""Baselines: pure pursuit by hand, the speed controller's signs, what seeds decide."""

import math

import numpy as np
import pytest

from td3sweep.collect.drivers import Pid, Random, pursue
from td3sweep.envs.carla.state import DriveState
from td3sweep.errors import UserError


def test_straight_ahead_needs_no_steering():
    assert pursue((10.0, 0.0), (0.0, 0.0), 0.0, 0.7) == 0.0


def test_the_arc_through_the_target_gives_the_wheels_angle():
    # The rear axle stands at the origin, the target is 6 ahead and 2 to the right: the arc's curvature is
    # 2 y / (x^2 + y^2) = 4 / 40 = .1, so with 3 m between the axles the wheels turn by atan(.3).
    assert pursue((6.0, 2.0), (1.5, 0.0), 0.0, 0.7) == pytest.approx(math.atan(0.3) / 0.7)


def test_the_same_arc_seen_in_another_heading():
    # Facing +y (yaw 90 degrees), right is -x.
    assert pursue((-2.0, 6.0), (0.0, 1.5), math.pi / 2, 0.7) == pytest.approx(math.atan(0.3) / 0.7)


def test_steering_stops_at_the_lock():
    assert pursue((0.0, -2.0), (1.5, 0.0), 0.0, 0.3) == -1.0


def info(speed, **more):
    route = np.stack([np.arange(100.0), np.zeros(100)], axis=1)
    place = {"position": (0.0, 0.0), "heading": 0.0, "route_fraction": 0.0}
    return {"route": route, "max_steer": 0.7, "speed": speed, "fixed_delta": 0.05} | place | more


def test_it_accelerates_below_30_km_h_and_brakes_above():
    driver = Pid()
    driver.begin(0, info(0.0))
    assert driver.act({}, info(0.0))[1] == 1.0
    assert driver.act({}, info(12.0, ticks=[DriveState()] * 4))[1] < 0.0


def test_it_steers_right_back_to_a_route_on_its_right():
    driver = Pid()
    driver.begin(0, info(0.0))
    assert driver.act({}, info(5.0, position=(0.0, -1.0)))[0] > 0.0  # y grows to the right
    assert driver.act({}, info(5.0, position=(0.0, 1.0)))[0] < 0.0


def test_an_environment_without_a_route_is_refused():
    with pytest.raises(UserError, match="--policy pid follows the route"):
        Pid().begin(0, {})


def test_random_is_decided_by_the_seed_and_keeps_to_its_bounds():
    driver = Random((-1.0, -0.3), (1.0, 1.0))

    def actions(seed):
        driver.begin(seed, {})
        return np.array([driver.act({}, {}) for _ in range(200)])

    assert (actions(1) == actions(1)).all()
    assert (actions(1) != actions(2)).any()
    assert actions(1)[:, 1].min() >= -0.3
    assert actions(1)[:, 1].min() < -0.2
    assert actions(1)[:, 0].min() < -0.8
