"""Poses in the left-handed frame, and as the real client computes them."""

from __future__ import annotations

import os

import pytest

from td3sweep.standin.geometry import Transform, compose, wrap_degrees

os.environ.setdefault("HOME", "/tmp")
carla = pytest.importorskip("carla")

POSES = [(10.0, 40.0, -25.0), (0.0, 170.0, 0.0), (-60.0, -120.0, 80.0)]


@pytest.mark.parametrize(("pitch", "yaw", "roll"), POSES)
def test_axes_are_those_of_the_client(pitch, yaw, roll):
    theirs = carla.Transform(carla.Location(), carla.Rotation(pitch, yaw, roll))
    vectors = (theirs.get_forward_vector(), theirs.get_right_vector(), theirs.get_up_vector())
    for ours, vector in zip(Transform(0, 0, 0, pitch, yaw, roll).axes(), vectors, strict=True):
        assert ours == pytest.approx((vector.x, vector.y, vector.z), abs=1e-6)


def test_mount_on_a_turned_car():
    pose = compose(Transform(10.0, 20.0, 0.0, 0.0, 90.0, 0.0), Transform(1.6, 0.5, 1.5, -10.0, 100.0, 5.0))
    # Ahead is +y, right is -x; 190 degrees are -170.
    assert (pose.x, pose.y, pose.z) == pytest.approx((9.5, 21.6, 1.5))
    assert (pose.pitch, pose.yaw, pose.roll) == (-10.0, -170.0, 5.0)


@pytest.mark.parametrize(("pitch", "yaw", "roll"), POSES)
def test_mount_on_a_tilted_parent_agrees_with_its_axes(pitch, yaw, roll):
    parent, child = Transform(1.0, 2.0, 3.0, pitch, yaw, roll), Transform(0.3, -0.2, 0.1, 12.0, 34.0, 56.0)
    whole = compose(parent, child)
    theirs = carla.Transform(carla.Location(1.0, 2.0, 3.0), carla.Rotation(pitch, yaw, roll))
    place = theirs.transform(carla.Location(0.3, -0.2, 0.1))
    assert (whole.x, whole.y, whole.z) == pytest.approx((place.x, place.y, place.z), abs=1e-5)
    ahead = child.axes()[0]
    turned = theirs.transform_vector(carla.Vector3D(*ahead))
    assert whole.axes()[0] == pytest.approx((turned.x, turned.y, turned.z), abs=1e-5)


@pytest.mark.parametrize(("angle", "wrapped"), [(180.0, 180.0), (-180.0, 180.0), (190.0, -170.0), (-540.0, 180.0)])
def test_wrapping(angle, wrapped):
    assert wrap_degrees(angle) == wrapped


@pytest.mark.parametrize(
    "wire", [[[0, 0, 0]], [[0, 0], [0, 0, 0]], [[0, 0, float("nan")], [0, 0, 0]], 5, [["a", 0, 0], [0, 0, 0]]]
)
def test_bad_wire_forms_are_refused(wire):
    with pytest.raises((TypeError, ValueError)):
        Transform.from_wire(wire)
