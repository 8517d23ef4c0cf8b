"""The generated roads, by themselves and as the real client's map module reads them."""

from __future__ import annotations

import math
import os
from itertools import pairwise

import pytest

from td3sweep.standin import maps
from td3sweep.standin.opendrive import Primitive, read

os.environ.setdefault("HOME", "/tmp")
carla = pytest.importorskip("carla")

MAPS = [maps.built_in(name) for name in maps.MAP_NAMES]


def ids(road_map):
    return road_map.name


@pytest.fixture(scope="module")
def client_maps():
    return {road_map.name: carla.Map(road_map.name, road_map.xodr) for road_map in MAPS}


def test_an_arc_ends_where_geometry_says():
    left = Primitive(1.0, 2.0, 0.0, math.pi / 2 * 10.0, 0.1).at(math.pi / 2 * 10.0)
    assert left == pytest.approx((11.0, 12.0, math.pi / 2))
    right = Primitive(1.0, 2.0, 0.0, math.pi / 2 * 10.0, -0.1).at(math.pi / 2 * 10.0)
    assert right == pytest.approx((11.0, -8.0, -math.pi / 2))


@pytest.mark.parametrize("road_map", MAPS, ids=ids)
def test_loops_close_within_a_micrometre(road_map):
    roads = [*road_map.roads, road_map.roads[0]]
    for road, following in pairwise(roads):
        end, start = road.at(road.length), following.at(0.0)
        assert math.hypot(end[0] - start[0], end[1] - start[1]) < 1e-6
        assert math.remainder(end[2] - start[2], math.tau) == pytest.approx(0.0, abs=1e-9)
        assert following.road_id == road.successor
        assert road.road_id == following.predecessor


def test_a_half_that_does_not_turn_by_180_degrees_is_refused():
    mark = maps.EDGE.mark
    with pytest.raises(ValueError, match=r"turns by 90\.000000 degrees"):
        maps.loop("Open", [[maps.bend(90.0, 20.0)]], (maps.EDGE,), mark, 30.0)


@pytest.mark.parametrize("road_map", MAPS, ids=ids)
def test_roads_never_come_near_each_other(road_map):
    points = [road.at(s)[:2] for road in road_map.roads for s in range(0, int(road.length), 4)]
    count = len(points)
    for i in range(count):
        for j in range(i + 10, count):
            if count - (j - i) >= 10:
                assert math.dist(points[i], points[j]) > 20.0


def test_town_bends_tightly_to_both_sides_within_any_300_metres():
    road_map = maps.built_in("StandInTown")
    pieces = [p for road in road_map.roads for p in road.primitives]
    total = sum(piece.length for piece in pieces)
    assert total > 500.0
    starts, s = [], 0.0
    for piece in pieces:
        starts.append((s, piece))
        s += piece.length
    for start in range(0, int(total), 5):
        inside = [
            piece.curvature
            for s, piece in starts
            if (s - start) % total + piece.length <= 300.0 and abs(piece.curvature) >= 1 / 40
        ]
        assert any(curvature > 0 for curvature in inside)
        assert any(curvature < 0 for curvature in inside)


@pytest.mark.parametrize("road_map", MAPS, ids=ids)
def test_spawn_points_lie_on_both_directions_close_together(road_map):
    points = maps.spawn_points(road_map)
    assert len(points) >= 60
    lanes = {lane_id for road in road_map.roads for lane_id in road.lane_ids()}
    length = sum(road.length for road in road_map.roads)
    assert length * len(lanes) / len(points) == pytest.approx(12.0, abs=2.0)
    assert all(0.0 < point.z < 1.0 for point in points)


@pytest.mark.parametrize("road_map", MAPS, ids=ids)
def test_client_puts_every_lane_where_the_raster_does(road_map, client_maps):
    for road in road_map.roads:
        for lane_id in road.lane_ids():
            for s in range(1, int(road.length), 7):
                ours = road.lane_pose(lane_id, float(s))
                theirs = client_maps[road_map.name].get_waypoint_xodr(road.road_id, lane_id, float(s)).transform
                assert math.hypot(ours.x - theirs.location.x, ours.y - theirs.location.y) < 1e-3
                assert math.remainder(ours.yaw - theirs.rotation.yaw, 360.0) == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("road_map", MAPS, ids=ids)
def test_client_drives_round_the_loop_in_every_lane(road_map, client_maps):
    for lane_id in road_map.roads[0].lane_ids():
        start = waypoint = client_maps[road_map.name].get_waypoint_xodr(1, lane_id, 5.0)
        visited = set()
        for _ in range(round(sum(road.length for road in road_map.roads))):
            (following,) = waypoint.next(1.0)
            assert following.transform.location.distance(waypoint.transform.location) == pytest.approx(1.0, abs=0.2)
            assert following.lane_id == lane_id
            visited.add(following.road_id)
            waypoint = following
        assert visited == {road.road_id for road in road_map.roads}
        assert waypoint.transform.location.distance(start.transform.location) < 3.0
        assert not waypoint.is_junction


def test_client_reads_lane_width_and_marks(client_maps):
    waypoint = client_maps["StandInHighway"].get_waypoint_xodr(1, -1, 10.0)
    assert waypoint.lane_width == pytest.approx(3.5)
    assert waypoint.lane_type == carla.LaneType.Driving
    assert waypoint.left_lane_marking.type == carla.LaneMarkingType.Solid
    assert waypoint.right_lane_marking.type == carla.LaneMarkingType.Broken
    assert waypoint.get_right_lane().lane_id == -2
    assert waypoint.get_left_lane().lane_id == 1
    town = client_maps["StandInTown"].get_waypoint_xodr(1, -1, 10.0)
    assert town.left_lane_marking.type == carla.LaneMarkingType.Broken
    assert town.left_lane_marking.color == carla.LaneMarkingColor.Yellow
    assert town.right_lane_marking.type == carla.LaneMarkingType.Solid


def test_reading_back_what_was_written():
    road_map = maps.built_in("StandInHighway")
    copy = read("copy", road_map.xodr, 50.0)
    for ours, theirs in zip(road_map.roads, copy.roads, strict=True):
        assert ours.primitives == theirs.primitives
        assert (ours.left, ours.right, ours.center_mark) == (theirs.left, theirs.right, theirs.center_mark)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("no xml", "not XML"),
        ("<OpenDRIVE/>", "no road"),
        ('<OpenDRIVE><road id="7"><planView><geometry><spiral/></geometry></planView></road></OpenDRIVE>', "road 7"),
        ('<OpenDRIVE><road id="7"><planView/></road></OpenDRIVE>', "no lanes"),
    ],
)
def test_unreadable_uploads_are_named(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        read("upload", text, 50.0)
