"""The same commands give the same bytes: across server processes, and across episodes of one process."""

from __future__ import annotations

import hashlib
import math
import os

import pytest

os.environ.setdefault("HOME", "/tmp")
carla = pytest.importorskip("carla")


def episode(standin, world, spawn_index: int = 5) -> list[str]:
    """A digest per tick of the car's state and the camera's pixels, over a fixed list of controls."""
    points = world.get_map().get_spawn_points()
    library = world.get_blueprint_library()
    ego = world.spawn_actor(library.find("vehicle.tesla.model3"), points[spawn_index])
    parked = world.spawn_actor(library.find("vehicle.audi.tt"), points[spawn_index + 2])
    camera = standin.camera(world, ego)
    digests = []
    for tick in range(60):
        control = carla.VehicleControl(throttle=0.6, steer=0.3 * math.sin(0.15 * tick), brake=float(tick == 30))
        ego.apply_control(control)
        frame = world.tick()
        image = camera.next()
        assert image.frame == frame
        state = world.get_snapshot().find(ego.id)
        pose, velocity = state.get_transform(), state.get_velocity()
        numbers = (pose.location.x, pose.location.y, pose.rotation.yaw, velocity.x, velocity.y)
        digests.append(hashlib.sha256(repr(numbers).encode() + bytes(image.raw_data)).hexdigest())
    camera.actor.stop()
    for actor in (camera.actor, parked, ego):
        actor.destroy()
    world.tick()
    return digests


def test_two_server_processes_agree_bit_for_bit(start_standin):
    first, second = start_standin(), start_standin()
    one = episode(first, first.synchronous_world())
    two = episode(second, second.synchronous_world())
    assert one == two
    assert len(set(one)) == len(one)  # and something did happen


def test_an_episode_repeats_itself_whatever_came_before(standin):
    client = standin.client()
    world = standin.synchronous_world(client)
    fresh = episode(standin, world)
    episode(standin, world, spawn_index=12)
    after_other = episode(standin, world)
    after_reload = episode(standin, client.reload_world(False))
    assert fresh == after_other == after_reload


def test_other_controls_give_other_pictures(standin):
    world = standin.synchronous_world()
    assert episode(standin, world) != episode(standin, world, spawn_index=12)
