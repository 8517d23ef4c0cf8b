"""Route geometry: a 50 m straight, then a quarter circle to the right; the lane is 1.75 m to the right."""

import math
import time

import numpy as np
import pytest
from opendrive_road import road

from td3sweep.envs.carla.client import load_carla
from td3sweep.envs.carla.route import LaneGraph, Pose, Route, wrap

carla = pytest.importorskip("carla")
STRAIGHT, RADIUS = 50.0, 30.0
QUARTER = RADIUS * math.pi / 2
LANE_RADIUS = RADIUS - 1.75  # the right lane is the inner one of a right-hand bend


@pytest.fixture(scope="module")
def bend():
    return load_carla().Map("bend", road([(STRAIGHT, 0), (QUARTER, -1 / RADIUS)]))


@pytest.fixture(scope="module")
def ring():
    half = RADIUS * math.pi
    return load_carla().Map("ring", road([(50, 0), (half, 1 / RADIUS), (50, 0), (half, 1 / RADIUS)], closed=True))


def plan(carla_map, x=0.0, y=1.75, length=90.0):
    start = carla_map.get_waypoint(carla.Location(x=x, y=y))
    return LaneGraph(carla_map).plan(start, length, np.random.default_rng(0))


def test_the_route_starts_at_the_lane_point_and_has_the_length_asked(bend):
    route = plan(bend, x=10.0, length=40.0)
    assert route.start[:2] == pytest.approx([10.0, 1.75], abs=0.01)
    assert route.length == pytest.approx(40.0, abs=1.0)


def test_a_route_into_a_dead_end_stops_with_the_road(bend):
    assert plan(bend, length=500.0).length == pytest.approx(STRAIGHT + LANE_RADIUS * math.pi / 2, abs=0.25)


def test_offset_and_heading_error_are_positive_to_the_right(bend):
    route = plan(bend)
    right = route.locate(Pose(20.3, 1.75 + 0.6, math.radians(5)))
    assert right.distance == pytest.approx(20.3, abs=1e-3)
    assert right.lateral == pytest.approx(0.6, abs=1e-3)
    assert right.heading_error == pytest.approx(math.radians(5), abs=1e-3)
    assert right.half_lane == pytest.approx(1.75)
    left = route.locate(Pose(20.3, 1.75 - 0.6, math.radians(-5)))
    assert left.lateral == pytest.approx(-0.6, abs=1e-3)
    assert left.heading_error == pytest.approx(math.radians(-5), abs=1e-3)


def on_bend(angle, outward):
    """A pose `angle` rad into the bend (clockwise seen from above, since CARLA's y points right)."""
    radius = LANE_RADIUS + outward
    return Pose(STRAIGHT + radius * math.sin(angle), RADIUS - radius * math.cos(angle), angle)


def test_on_the_arc_the_offset_is_radial(bend):
    route = plan(bend)
    for angle in np.linspace(0.0, 1.2, 40):  # walk there, as the search window demands
        place = route.locate(on_bend(angle, outward=0.8))
    assert place.lateral == pytest.approx(-0.8, abs=0.01)  # outward of a right-hand bend is left
    assert place.heading_error == pytest.approx(0.0, abs=0.01)
    assert place.distance == pytest.approx(STRAIGHT + LANE_RADIUS * 1.2, abs=0.1)


def test_the_other_lane_runs_back(bend):
    route = plan(bend, x=40.0, y=-1.75, length=40.0)
    assert route.locate(Pose(30.0, -1.75, math.pi)).distance == pytest.approx(10.0, abs=0.6)
    assert route.locate(Pose(30.0, -1.75 - 0.5, math.pi)).lateral == pytest.approx(0.5, abs=1e-3)


def test_metres_are_lost_when_going_back(bend):
    route = plan(bend)
    ahead = route.locate(Pose(12.0, 1.75, 0.0)).distance
    assert route.locate(Pose(10.5, 1.75, 0.0)).distance - ahead == pytest.approx(-1.5, abs=1e-3)


def test_done_within_two_metres_of_the_end(bend):
    route = plan(bend, length=30.0)
    assert not route.locate(Pose(27.5, 1.75, 0.0)).done
    assert route.locate(Pose(28.5, 1.75, 0.0)).done


def test_a_second_lap_does_not_jump_to_the_first(ring):
    lap = 100 + 2 * math.pi * (RADIUS + 1.75)
    route = plan(ring, length=1.5 * lap)
    assert route.length == pytest.approx(1.5 * lap, rel=0.01)
    distance = 0.0
    for s in np.arange(0.0, route.length, 0.7):
        x, y = (
            np.interp(s, route._distances, route._xy[:, 0]),
            np.interp(s, route._distances, route._xy[:, 1]),
        )
        place = route.locate(Pose(float(x), float(y), 0.0))
        assert abs(place.lateral) < 0.02
        assert 0.0 <= place.distance - distance < 1.0
        distance = place.distance
    assert distance > 1.4 * lap


def test_waypoints_are_forward_and_right_of_the_car_and_void_past_the_end(bend):
    route = plan(bend, length=30.0)
    pose = Pose(20.0, 1.75 - 1.0, 0.0)  # a metre left of the route
    ahead = route.ahead(route.locate(Pose(20.0, 1.75, 0.0)).distance, pose, 25)
    assert ahead.shape == (25, 3)
    assert ahead[0] == pytest.approx([2.0, 1.0, 1.0], abs=0.01)
    assert ahead[3] == pytest.approx([8.0, 1.0, 1.0], abs=0.01)
    assert (ahead[5:] == 0.0).all()
    turned = route.ahead(20.0, Pose(20.0, 1.75, math.pi / 2), 1)  # the car points right: the route is to its left
    assert turned[0] == pytest.approx([0.0, -2.0, 1.0], abs=0.01)


def test_all_steps_of_a_route_are_about_a_metre_even_over_the_seam(ring):
    lengths = plan(ring, length=600.0)._step_lengths
    assert lengths.min() >= 0.25
    assert lengths.max() < 1.5


def test_a_route_of_one_point_is_refused():
    from td3sweep.errors import UserError

    with pytest.raises(UserError, match="route_length"):
        Route(np.zeros((1, 4)), np.ones(1))


def test_wrap():
    assert wrap(1.5 * math.pi) == pytest.approx(-0.5 * math.pi)
    assert wrap(-6.0 * math.pi + 0.1) == pytest.approx(0.1)


def test_a_tick_costs_a_fraction_of_a_millisecond(ring):
    route = plan(ring, length=250.0)
    begin = time.perf_counter()
    for step in range(200):
        pose = Pose(0.1 * step, 1.75, 0.0)
        place = route.locate(pose)
        route.ahead(place.distance, pose, 25)
    assert (time.perf_counter() - begin) / 200 < 0.0005


def between(carla_map, first, last):
    start, end = (carla_map.get_waypoint(carla.Location(x=x, y=1.75)) for x in (first, last))
    return LaneGraph(carla_map).between(start, end)


def test_a_fixed_route_ends_at_its_last_place(bend):
    route = between(bend, 10.0, 42.0)
    assert route.points[0] == pytest.approx([10.0, 1.75], abs=0.01)
    assert route.points[-1] == pytest.approx([42.0, 1.75], abs=0.01)
    assert route.length == pytest.approx(32.0, abs=0.01)


def test_a_fixed_route_goes_round_to_what_lies_behind_where_the_road_closes(ring, bend):
    lap = 100.0 + 2 * math.pi * (RADIUS + 1.75)  # the ring turns left, so the right lane is the outer one
    assert between(ring, 40.0, 10.0).length == pytest.approx(lap - 30.0, abs=1.0)
    assert between(ring, 20.0, 20.0).length == pytest.approx(lap, abs=1.0)
    assert between(bend, 40.0, 10.0) is None


def test_a_fixed_route_takes_the_shorter_of_two_ways():
    # Lanes 1 -> {2, 3} -> 4 as a graph of entries; only lengths matter here.
    class Place:
        def __init__(self, road, s):
            self.road_id, self.section_id, self.lane_id, self.s, self.lane_width = road, 0, -1, s, 3.5
            location = carla.Location(
                x=float({1: 0, 2: 10, 3: 10, 4: 60}[road] + s), y={2: 5.0, 3: -5.0}.get(road, 0.0)
            )
            self.transform = carla.Transform(location, carla.Rotation())

        def next_until_lane_end(self, spacing):
            return [Place(self.road_id, s) for s in range(1, {1: 10, 2: 50, 3: 20, 4: 10}[self.road_id])]

    class Map:
        def get_topology(self):
            return [(Place(a, 0), Place(b, 0)) for a, b in ((1, 2), (1, 3), (2, 4), (3, 4))] + [
                (Place(4, 0), Place(4, 9))
            ]

    route = LaneGraph(Map()).between(Place(1, 0), Place(4, 5))
    assert {float(y) for y in route.points[:, 1]} == {0.0, -5.0}  # by way of 3
