"""Other cars: spawned in one batch, driven by CARLA's Traffic Manager, counted honestly."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from td3sweep.envs.carla.route import Pose

log = logging.getLogger(__name__)

CLEARANCE = 12.0  # m kept free around the ego's place
CORRIDOR = 1.75  # m to each side: nearer cars ahead are in the way
# km/h, 40 to 80 % of the 30 that the rewards ask for: who ignores the others runs into one. Not a share of the speed
# limit, which is 60 on StandInHighway and up to 90 in CARLA's towns: such cars would get away from an ego at 30.
SPEEDS = (12.0, 24.0)


@dataclass(frozen=True)
class Car:
    """One of the other cars."""

    actor_id: int
    half_length: float


def spawn_traffic(
    carla: ModuleType,
    client: Any,
    world: Any,
    manager: Any,
    *,
    count: int,
    places: Sequence[Any],
    ego: Any,
    seed: int,
) -> list[Car]:
    """Spawn up to `count` cars on autopilot, in one batch, each with a speed of its own that it keeps where it can.

    Args:
        manager: a synchronous Traffic Manager.
        places: spawn transforms to choose from.
        ego: `carla.Location` around which none may stand.
        seed: decides places, models and speeds.

    Returns:
        The cars that did spawn, which may be fewer; the shortfall is logged.
    """
    rng = np.random.default_rng(seed)
    free = [place for place in places if place.location.distance(ego) > CLEARANCE]
    models = [
        model
        for model in sorted(world.get_blueprint_library().filter("vehicle.*"), key=lambda model: model.id)
        if int(model.get_attribute("number_of_wheels")) == 4
    ]
    spawn, autopilot = carla.command.SpawnActor, carla.command.SetAutopilot
    batch = []
    for index in rng.permutation(len(free))[:count]:
        model = models[int(rng.integers(len(models)))]
        model.set_attribute("role_name", "autopilot")
        command = spawn(model, free[index])
        batch.append(command.then(autopilot(carla.command.FutureActor, True, manager.get_port())))
    answers = zip(client.apply_batch_sync(batch, False), rng.uniform(*SPEEDS, len(batch)), strict=True)
    speeds = {answer.actor_id: float(speed) for answer, speed in answers if not answer.error}
    if len(speeds) < count:
        log.warning("asked for %d cars, got %d (%d free spawn points)", count, len(speeds), len(free))
    actors = list(world.get_actors(list(speeds)))
    for actor in actors:
        manager.set_desired_speed(actor, speeds[actor.id])
    return [Car(actor.id, actor.bounding_box.extent.x) for actor in actors]


def nearest_ahead(
    snapshot: Any, cars: Sequence[Car], pose: Pose, speed: float, half_length: float
) -> tuple[float, float]:
    """Gap to the nearest car ahead in the own corridor, m, and time to collision, s; infinite without one.

    The gap runs from bumper to bumper along the car's heading; closing speed is the difference along it too.
    """
    gap = time_to_collision = math.inf
    cos, sin = math.cos(pose.yaw), math.sin(pose.yaw)
    for car in cars:
        found = snapshot.find(car.actor_id)
        if found is None:  # destroyed by somebody else: its handle would read uninitialised memory
            continue
        location = found.get_transform().location
        dx, dy = location.x - pose.x, location.y - pose.y
        forward, right = cos * dx + sin * dy, cos * dy - sin * dx
        free = max(forward - half_length - car.half_length, 0.0)
        if forward <= 0.0 or abs(right) > CORRIDOR or free >= gap:
            continue
        velocity = found.get_velocity()
        closing = speed - (cos * velocity.x + sin * velocity.y)
        gap = free
        time_to_collision = free / closing if closing > 0.0 else math.inf
    return gap, time_to_collision
