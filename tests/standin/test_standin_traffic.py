"""The client's own Traffic Manager drives the other cars, synchronously and reproducibly."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("HOME", "/tmp")
carla = pytest.importorskip("carla")

CARS = 6


def traffic(client, world, port: int, ticks: int) -> list[tuple[float, ...]]:
    """States of all cars at every tick. A fresh manager each time: one that has driven before repeats nothing."""
    manager = client.get_trafficmanager(port)
    manager.set_synchronous_mode(True)
    manager.set_random_device_seed(7)
    cars = sorted(world.get_blueprint_library().filter("vehicle.*"), key=lambda blueprint: blueprint.id)
    points = world.get_map().get_spawn_points()
    autopilot = carla.command.SetAutopilot(carla.command.FutureActor, True, port)
    commands = [
        carla.command.SpawnActor(cars[index % len(cars)], points[7 * index]).then(autopilot) for index in range(CARS)
    ]
    ids = [result.actor_id for result in client.apply_batch_sync(commands, True)]
    states = []
    for _ in range(ticks):
        world.tick()
        snapshot = world.get_snapshot()
        row: list[float] = []
        for actor_id in ids:
            actor = snapshot.find(actor_id)
            pose = actor.get_transform()
            row += [pose.location.x, pose.location.y, pose.rotation.yaw, actor.get_velocity().length()]
        states.append(tuple(row))
    client.apply_batch_sync([carla.command.DestroyActor(actor_id) for actor_id in ids], True)
    manager.shut_down()
    return states


def test_traffic_keeps_its_lanes_moves_and_repeats_itself_on_another_server(start_standin):
    runs = []
    for _ in range(2):
        standin = start_standin()
        client = standin.client()
        world = standin.synchronous_world(client)
        for _ in range(2):
            world = client.reload_world(False)
            runs.append(traffic(client, world, standin.port + 3, ticks=200))
    first, *others = runs
    road = world.get_map()
    for index in range(CARS):
        x, y, _, speed = first[-1][4 * index : 4 * index + 4]
        assert speed > 2.0
        place = carla.Location(x, y, 0.0)
        assert road.get_waypoint(place).transform.location.distance(place) < 1.0
    for other in others:
        assert other == first
