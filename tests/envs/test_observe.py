"""Frames and vectors from pixels and places made by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from td3sweep.envs.carla.observe import FrameStack, bgra_pixels, drive_vector, gray, shrink, vector_size
from td3sweep.envs.carla.route import Place, Pose, Route
from td3sweep.errors import UserError


def test_gray_weighs_red_green_blue_and_knows_the_order():
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    expected = [76, 149, 28, 255]  # 77, 150, 29 of 256, floored
    assert gray(rgb)[0].tolist() == expected
    assert gray(rgb[..., ::-1], blue_first=True)[0].tolist() == expected


def test_bgra_pixels_come_in_rows():
    raw = bytes(range(2 * 3 * 4))
    pixels = bgra_pixels(SimpleNamespace(raw_data=raw, height=2, width=3))
    assert pixels.shape == (2, 3, 4)
    assert pixels[1, 2].tolist() == [20, 21, 22, 23]


def test_shrinking_averages_areas():
    frame = np.zeros((168, 168), np.uint8)
    frame[::2, ::2] = 100  # one of four pixels under every new one
    assert (shrink(frame) == 25).all()
    wide = np.tile(np.arange(256, dtype=np.uint8), (144, 1))
    assert shrink(wide).shape == (84, 84)
    assert shrink(wide).mean() == pytest.approx(127.5, abs=0.7)
    small = np.ones((84, 84), np.uint8)
    assert shrink(small) is small


def test_the_stack_begins_with_copies_and_ends_with_the_newest():
    stack = FrameStack()
    frames = [np.full((84, 84), value, np.uint8) for value in range(6)]
    stack.restart(frames[1])
    assert stack.array()[:, 0, 0].tolist() == [1, 1, 1, 1]
    stack.push(frames[2])
    assert stack.array()[:, 0, 0].tolist() == [1, 1, 1, 2]
    before = stack.array()
    stack.push(frames[3])
    assert before[:, 0, 0].tolist() == [1, 1, 1, 2]  # an observation handed out does not change
    stack.restart(frames[5])
    assert stack.array()[:, 0, 0].tolist() == [5, 5, 5, 5]


def test_a_stack_may_be_of_one_frame():
    stack = FrameStack(1)
    stack.restart(np.full((84, 84), 1, np.uint8))
    stack.push(np.full((84, 84), 2, np.uint8))
    assert stack.array()[:, 0, 0].tolist() == [2]


def straight(length=31):
    points = np.zeros((length, 4))
    points[:, 0] = np.arange(length)
    return Route(points, np.full(length, 1.75))


def test_vector_fields():
    place = Place(distance=20.0, lateral=-0.7, heading_error=math.pi / 4, half_lane=1.75, done=False)
    pose = Pose(20.0, -0.7, math.pi / 4)
    full = drive_vector("full", 6.0, pose, place, straight())
    assert full.shape == (78,) == (vector_size("full"),)
    assert full.dtype == np.float32
    assert full[:3] == pytest.approx([2.0, -0.2, 0.25])  # 6 m/s of 3
    # 2 m ahead and .7 m right on the road, seen from a car that points 45 degrees right.
    half = math.sqrt(0.5)
    assert full[3:6] == pytest.approx([half * 2.7 / 50, half * (0.7 - 2.0) / 50, 1.0])
    assert full[3 + 2 :: 3].tolist() == [1.0] * 5 + [0.0] * 20  # 22 ... 30 m are on the route
    assert drive_vector("no_waypoints", 6.0, pose, place, straight()).tolist() == full[:3].tolist()
    assert drive_vector("speed", 6.0, pose, place, straight()).tolist() == full[:1].tolist()


def test_vectors_stay_in_their_box():
    place = Place(distance=0.0, lateral=50.0, heading_error=-math.pi, half_lane=1.75, done=False)
    vector = drive_vector("full", 99.0, Pose(-500.0, 50.0, 0.0), place, straight())
    assert vector[0] == 6.0
    assert vector[1:].min() >= -1.0
    assert vector[1:].max() <= 1.0


@pytest.mark.parametrize(
    ("speed", "scale", "shown"),
    [(0.0, 3.0, 0.0), (4.5, 3.0, 1.5), (18.0, 3.0, 6.0), (19.0, 3.0, 6.0), (-19.0, 3.0, -6.0), (7.5, 30.0, 0.25)],
)
def test_speed_is_shown_in_units_of_its_scale_up_to_six(speed, scale, shown):
    place = Place(distance=0.0, lateral=0.0, heading_error=0.0, half_lane=1.75, done=False)
    for kind in ("speed", "no_waypoints", "full"):
        vector = drive_vector(kind, speed, Pose(0.0, 0.0, 0.0), place, straight(), speed_scale=scale)
        assert vector[0] == pytest.approx(shown)
    assert drive_vector("speed", 4.5, Pose(0.0, 0.0, 0.0), place, straight())[0] == 1.5  # 3 m/s unless it is named


def test_an_unknown_vector_is_named():
    with pytest.raises(UserError, match=r"env\.vector=some"):
        vector_size("some")
