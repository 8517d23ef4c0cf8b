"""Episodes and ticks below the wire: what a snapshot lists, and what begins anew with a map."""

from __future__ import annotations

import struct

import pytest

from td3sweep.standin import maps
from td3sweep.standin.geometry import Transform
from td3sweep.standin.wire import WORLD_STREAM, SensorType
from td3sweep.standin.world import World, WorldError

RECORD = 119
DT = 0.05


@pytest.fixture
def world() -> World:
    return World("StandInRing", 2001)


def everything(_stream_id: int) -> bool:
    return True


def add_car(world: World, index: int = 0):
    return world.spawn([0, "vehicle.tesla.model3", []], maps.spawn_points(world.road_map)[index])


def snapshot(world: World):
    (message,) = (m for m in world.tick(DT, everything) if m.stream_id == WORLD_STREAM)
    episode, _, delta, *_, flags = struct.unpack_from("<Qdf3iI", message.body)
    records = message.body[36:]
    assert len(records) % RECORD == 0
    ids = [struct.unpack_from("<I", records, start)[0] for start in range(0, len(records), RECORD)]
    return episode, delta, flags, ids


def test_map_changed_is_flagged_in_the_first_snapshot_of_an_episode_only(world):
    assert [snapshot(world)[2] for _ in range(3)] == [1, 0, 0]
    world.begin_episode(maps.built_in("StandInTown"))
    assert [snapshot(world)[2] for _ in range(3)] == [1, 0, 0]


def test_every_actor_is_in_the_snapshot_spectator_and_sensors_included(world):
    car = add_car(world)
    imu = world.spawn([0, "sensor.other.imu", []], Transform(), car.actor_id)
    assert snapshot(world)[3] == [world.spectator.actor_id, car.actor_id, imu.actor_id]
    world.destroy(car.actor_id)
    assert snapshot(world)[3] == [world.spectator.actor_id, imu.actor_id]


def test_frames_and_ids_go_on_across_episodes_while_time_starts_anew(world):
    first = add_car(world)
    for _ in range(4):
        world.tick(DT, everything)
    episode, frame = world.episode_id, world.frame
    world.begin_episode(world.road_map)
    world.tick(DT, everything)
    assert (world.episode_id, world.frame) == (episode + 1, frame + 1)
    assert world.elapsed == DT
    assert add_car(world).actor_id > first.actor_id


def test_sensor_tick_spaces_the_readings(world):
    car = add_car(world)
    world.spawn([0, "sensor.other.gnss", [["sensor_tick", 3, "0.15"]]], Transform(), car.actor_id)
    kinds = [[message.sensor for message in world.tick(DT, everything)] for _ in range(9)]
    assert [SensorType.GNSS in tick for tick in kinds] == [False, False, True] * 3


def test_nobody_listening_nothing_is_made(world):
    car = add_car(world)
    world.spawn([0, "sensor.camera.rgb", []], Transform(z=1.5), car.actor_id)
    assert world.tick(DT, lambda _stream_id: False) == []


@pytest.mark.parametrize(
    ("description", "complaint"),
    [
        ([0, "walker.pedestrian.0001", []], "the stand-in has no actor 'walker"),
        ([0, "sensor.camera.rgb", [["image_size_x", 2, "0"]]], "no camera of 0 x 600"),
        ([0, "vehicle.audi.tt", [["color", 5, "300,0,0"]]], "is no colour"),
    ],
)
def test_impossible_actors_are_refused_in_words(world, description, complaint):
    with pytest.raises(WorldError, match=complaint):
        world.spawn(description, Transform(z=50.0))


def test_the_spectator_cannot_be_destroyed_nor_driven(world):
    with pytest.raises(WorldError, match="not found"):
        world.destroy(world.spectator.actor_id)
    with pytest.raises(WorldError, match="is not a vehicle"):
        world.vehicle(world.spectator.actor_id, "apply control")
