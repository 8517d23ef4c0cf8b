"""What a client does to an actor, whether by a call of its own or as a command of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from td3sweep.standin.geometry import Transform, vector_from_wire
from td3sweep.standin.vehicle import VehicleControl
from td3sweep.standin.world import World, WorldError

SPAWN_ACTOR = 0
Action = Callable[..., None]


class CommandRunner:
    """Applies actor commands to a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._by_index: dict[int, Action] = {
            1: world.destroy,
            2: self._control,
            6: self._transform,
            8: self._target_velocity,
            9: self._target_angular_velocity,
            10: self._impulse,
            14: self._simulate_physics,
            15: self._gravity,
            16: self._autopilot,
            18: self._lights,
            19: self._location,
        }

    def calls(self) -> dict[str, Action]:
        """The same actions by the names of their RPC methods."""
        return {
            "apply_control_to_vehicle": self._control,
            "set_actor_transform": self._transform,
            "set_actor_location": self._location,
            "set_actor_target_velocity": self._target_velocity,
            "set_actor_target_angular_velocity": self._target_angular_velocity,
            "add_actor_impulse": self._impulse,
            "set_actor_simulate_physics": self._simulate_physics,
            "set_actor_enable_gravity": self._gravity,
            "set_actor_collisions": self._collisions,
            "set_actor_autopilot": self._autopilot,
            "set_vehicle_light_state": self._lights,
        }

    def run(self, wire: Any) -> list[Any]:
        """Run one command of a batch; returns its answer: ``[[1, actor id]]`` or ``[[0, [message]]]``."""
        ((index, fields),) = wire
        try:
            if index == SPAWN_ACTOR:
                return [[1, self._spawn(*fields)]]
            action = self._by_index.get(index)
            if action is None:
                raise WorldError(f"the stand-in does not know batch command {index}")
            action(*fields)
        except WorldError as error:
            return [[0, [str(error)]]]
        return [[1, fields[0]]]

    def _spawn(
        self,
        description: Any,
        transform: Any,
        parent: Any,
        _attachment: int,
        _socket: str,
        do_after: list[Any],
    ) -> int:
        parent_id = parent[1] if parent[0] else None
        actor_id = self._world.spawn(description, Transform.from_wire(transform), parent_id).actor_id
        for ((index, fields),) in do_after:  # their actor id is a placeholder for the one just spawned
            self.run([[index, [actor_id, *fields[1:]]]])
        return actor_id

    def _control(self, actor_id: int, wire: Any) -> None:
        self._world.vehicle(actor_id, "apply control").vehicle.control = VehicleControl.from_wire(wire)

    def _transform(self, actor_id: int, wire: Any) -> None:
        self._world.actor(actor_id, "set transform").teleport(Transform.from_wire(wire))

    def _location(self, actor_id: int, wire: Any) -> None:
        x, y, z = vector_from_wire(wire)
        actor = self._world.actor(actor_id, "set location")
        actor.teleport(replace(actor.pose, x=x, y=y, z=z))

    def _target_velocity(self, actor_id: int, wire: Any) -> None:
        x, y, _ = vector_from_wire(wire)
        self._world.vehicle(actor_id, "set target velocity").vehicle.set_velocity(x, y)

    def _target_angular_velocity(self, actor_id: int, wire: Any) -> None:
        # A bicycle's yaw rate follows from speed and steering within the same step: only the reading changes.
        *_, rate = vector_from_wire(wire)
        self._world.vehicle(actor_id, "set target angular velocity").vehicle.yaw_rate = math.radians(rate)

    def _impulse(self, actor_id: int, wire: Any) -> None:
        x, y, _ = vector_from_wire(wire)
        vehicle = self._world.vehicle(actor_id, "add impulse").vehicle
        vehicle.push(x / vehicle.model.mass, y / vehicle.model.mass)

    def _simulate_physics(self, actor_id: int, enabled: bool) -> None:
        vehicle = self._world.vehicle(actor_id, "set simulate physics").vehicle
        vehicle.simulate_physics = bool(enabled)
        if not enabled:
            vehicle.set_velocity(0.0, 0.0)

    def _gravity(self, actor_id: int, enabled: bool) -> None:
        self._world.vehicle(actor_id, "set enable gravity").vehicle.gravity = bool(enabled)

    def _collisions(self, actor_id: int, enabled: bool) -> None:
        self._world.vehicle(actor_id, "set collisions").vehicle.collides = bool(enabled)

    def _autopilot(self, actor_id: int, _enabled: bool) -> None:
        self._world.vehicle(actor_id, "set autopilot")  # the client's traffic manager does the driving

    def _lights(self, actor_id: int, wire: Any) -> None:
        (flags,) = wire
        self._world.vehicle(actor_id, "set light state").lights = int(flags)
