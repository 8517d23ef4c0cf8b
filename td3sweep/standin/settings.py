"""The episode settings and physics figures that travel over RPC."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from td3sweep.standin.vehicle import (
    AIR_DRAG,
    BRAKE_DECELERATION,
    DRIVE_ACCELERATION,
    FRICTION,
    HAND_BRAKE_DECELERATION,
    MAX_STEER,
    VehicleModel,
)

DEFAULT_WEATHER = [0.0, 0.0, 0.0, 5.0, 0.0, 45.0, 0.0, 0.0, 0.2, 0.0, 1.0, 0.03, 0.0331, 0.0]
WEATHER_FIELDS = len(DEFAULT_WEATHER)
WHEEL_RADIUS = 0.35
MAX_DELTA = 10.0
MAX_SUBSTEPS = 1000
AIR_DENSITY = 1.2


@dataclass(frozen=True, slots=True)
class EpisodeSettings:
    """World settings; ``rest`` holds the fields that mean nothing here but are handed back as set."""

    synchronous: bool = False
    no_rendering: bool = False
    fixed_delta: float | None = None
    substepping: bool = True
    max_substep: float = 0.01
    max_substeps: int = 10
    rest: tuple[Any, ...] = (0.0, True, 3000.0, 2000.0, True)

    @classmethod
    def from_wire(cls, wire: Any) -> EpisodeSettings:
        """Read the eleven fields; raises TypeError or ValueError on anything else."""
        synchronous, no_rendering, delta, substepping, max_substep, max_substeps, *rest = wire
        if len(rest) != 5:
            raise ValueError(f"{len(rest) + 6} settings instead of 11")
        culling, ragdolls, tiles, active, spectator = rest  # typed: the next client could not read anything else
        fixed = float(delta[1]) if delta[0] else 0.0
        if not 0.0 <= fixed <= MAX_DELTA or not 0.0 <= float(max_substep) <= MAX_DELTA:
            raise ValueError(f"a step of {fixed} s in substeps of {max_substep} s is out of range")
        return cls(
            bool(synchronous),
            bool(no_rendering),
            fixed or None,  # the client writes "variable" as 0 too
            bool(substepping),
            float(max_substep),
            min(int(max_substeps), MAX_SUBSTEPS),
            (float(culling), bool(ragdolls), float(tiles), float(active), bool(spectator)),
        )

    def wire(self) -> list[Any]:
        delta = [False] if self.fixed_delta is None else [True, self.fixed_delta]
        steps = [self.substepping, self.max_substep, self.max_substeps]
        return [self.synchronous, self.no_rendering, delta, *steps, *self.rest]

    def substeps(self, delta: float) -> int:
        """How many equal physics steps a frame of ``delta`` seconds takes."""
        if not self.substepping or self.max_substep <= 0.0:
            return 1
        return max(1, min(self.max_substeps, math.ceil(delta / self.max_substep - 1e-6)))


def physics_control(model: VehicleModel) -> list[Any]:
    """The VehiclePhysicsControl of a model, in CARLA's units (cm for wheel sizes, degrees, Nm)."""
    brake_torque = model.mass * BRAKE_DECELERATION * WHEEL_RADIUS / 4.0
    hand_brake_torque = model.mass * HAND_BRAKE_DECELERATION * WHEEL_RADIUS / 2.0
    half_base, half_track = 50.0 * model.wheelbase, 100.0 * model.extent[1] * 0.8
    wheels = []
    for x, y in (
        (half_base, -half_track),
        (half_base, half_track),
        (-half_base, -half_track),
        (-half_base, half_track),
    ):
        front = x > 0.0
        wheels.append(
            [
                FRICTION,
                0.25,
                math.degrees(MAX_STEER) if front else 0.0,
                100.0 * WHEEL_RADIUS,
                brake_torque,
                0.0 if front else hand_brake_torque,
                2.0,
                17.0,
                1000.0,
                [x, y, 100.0 * WHEEL_RADIUS],
            ]
        )
    torque = model.mass * DRIVE_ACCELERATION * WHEEL_RADIUS
    return [
        [[0.0, torque], [10000.0, torque]],
        10000.0,
        1.0,
        0.15,
        2.0,
        0.35,
        True,
        0.0,
        10.0,
        1.0,
        [[1.0, 0.5, 0.65]],
        model.mass,
        2.0 * AIR_DRAG * model.mass / AIR_DENSITY,
        [0.0, 0.0, 0.0],
        [[0.0, 1.0], [120.0, 1.0]],
        wheels,
        True,
    ]
