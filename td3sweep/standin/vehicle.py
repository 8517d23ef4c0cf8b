"""Vehicle dynamics: a bicycle model on a flat world, with steering lag, a power limit and a friction circle.

Lengths in metres, angles in radians, accelerations per unit of mass. The state depends on nothing but the
pose at spawn and the controls since then, so a re-spawned car repeats its trajectory bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from td3sweep.standin.geometry import Transform, Vector, wrap_degrees

GRAVITY = 9.81
FRICTION = 0.7
"""Tyre friction coefficient: 12 m/s in a bend of 20 m asks for 7.2 m/s^2, more than the 6.87 there are."""

DRIVE_ACCELERATION = 3.2
SPECIFIC_POWER = 22.0
"""W/kg: above 6.9 m/s the engine, not the gearing, limits acceleration."""

BRAKE_DECELERATION = 4.5
HAND_BRAKE_DECELERATION = 3.0
ROLLING_RESISTANCE = 0.12
AIR_DRAG = 1.7e-4
"""1/m: half the air density times drag area over mass."""

ENGINE_BRAKING = 0.03
"""1/s, at closed throttle."""

STEERING_LAG = 0.12
"""Seconds: time constant of the wheels' first-order answer to the wheel command."""

SCRUB = 0.3
"""Share of the lateral acceleration demanded beyond the friction limit that slows the car down."""

SCRUB_LIMIT = 2.0
MIN_LATERAL_SHARE = 0.2
MAX_STEER = math.radians(40.0)
SHIFT_SPEED = 8.0


class VehicleControl(NamedTuple):
    """What a driver commands: throttle and brake in [0, 1], steer in [-1, 1] (right is positive)."""

    throttle: float = 0.0
    steer: float = 0.0
    brake: float = 0.0
    hand_brake: bool = False
    reverse: bool = False
    manual_gear_shift: bool = False
    gear: int = 0

    @classmethod
    def from_wire(cls, wire: Any) -> VehicleControl:
        """Read the seven fields and clip them to their ranges; raises TypeError or ValueError otherwise."""
        throttle, steer, brake, hand_brake, reverse, manual, gear = wire
        return cls(
            _clip(float(throttle), 0.0),
            _clip(float(steer), -1.0),
            _clip(float(brake), 0.0),
            bool(hand_brake),
            bool(reverse),
            bool(manual),
            int(gear),
        )


@dataclass(frozen=True, slots=True)
class VehicleModel:
    """The figures that tell one car from another; ``extent`` is half the box (x, y, z)."""

    type_id: str
    extent: Vector
    wheelbase: float
    mass: float
    generation: int
    colors: tuple[str, ...]


class Vehicle:
    """Motion of one car. ``speed`` is along its axis; ``slide`` is what collisions add, in world axes."""

    def __init__(self, model: VehicleModel, pose: Transform) -> None:
        self.model = model
        self.control = VehicleControl()
        self.speed = 0.0
        self.slide = (0.0, 0.0)
        self.yaw_rate = 0.0
        self.steer_angle = 0.0
        self.acceleration: Vector = (0.0, 0.0, 0.0)
        self.simulate_physics = True
        self.gravity = True
        self.collides = True
        self._velocity = (0.0, 0.0)
        self.teleport(pose)

    def teleport(self, pose: Transform) -> None:
        """Put the car elsewhere; its velocity in the world stays what it was."""
        velocity = self._velocity
        self.x, self.y, self.z = pose.x, pose.y, pose.z
        self.pitch, self.roll = pose.pitch, pose.roll
        self.yaw = math.radians(pose.yaw)
        self.set_velocity(*velocity)

    @property
    def pose(self) -> Transform:
        return Transform(self.x, self.y, self.z, self.pitch, wrap_degrees(math.degrees(self.yaw)), self.roll)

    @property
    def velocity(self) -> Vector:
        return (*self._velocity, 0.0)

    @property
    def angular_velocity(self) -> Vector:
        """Degrees per second."""
        return 0.0, 0.0, math.degrees(self.yaw_rate)

    @property
    def gear(self) -> int:
        if self.control.reverse:
            return -1
        return 1 + min(5, int(abs(self.speed) / SHIFT_SPEED))

    def set_velocity(self, vx: float, vy: float) -> None:
        """Give the car a world velocity: the part along its axis rolls, the rest slides."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        self.speed = vx * cos + vy * sin
        self.slide = (vx - self.speed * cos, vy - self.speed * sin)
        self.yaw_rate = 0.0
        self._velocity = (vx, vy)

    def push(self, dvx: float, dvy: float) -> None:
        """Change the world velocity at once, as an impulse divided by the mass does."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        along = dvx * cos + dvy * sin
        self.speed += along
        self.slide = (self.slide[0] + dvx - along * cos, self.slide[1] + dvy - along * sin)
        self._velocity = (self._velocity[0] + dvx, self._velocity[1] + dvy)

    def move(self, dx: float, dy: float) -> None:
        """Shift the car without changing its motion."""
        self.x += dx
        self.y += dy

    def step(self, delta: float, substeps: int) -> None:
        """Advance by ``delta`` seconds in equal substeps."""
        if not self.simulate_physics:
            self.acceleration = (0.0, 0.0, 0.0)
            return
        if self.gravity:  # the suspension's settling is not simulated: wheels touch the flat ground at once
            self.z = self.pitch = self.roll = 0.0
        before = self._velocity
        dt = delta / substeps
        for _ in range(substeps):
            self._substep(dt)
        ax, ay = (self._velocity[0] - before[0]) / delta, (self._velocity[1] - before[1]) / delta
        self.acceleration = (ax, ay, 0.0)

    def _substep(self, dt: float) -> None:
        self.steer_angle += (self.control.steer * MAX_STEER - self.steer_angle) * (1.0 - math.exp(-dt / STEERING_LAG))
        before = self.speed
        self._roll(dt)
        self._turn(dt, abs(self.speed - before) / dt)
        middle = self.yaw + 0.5 * self.yaw_rate * dt
        self.yaw += self.yaw_rate * dt
        if not -math.pi < self.yaw <= math.pi:
            self.yaw = math.remainder(self.yaw, math.tau)
        cos, sin = math.cos(middle), math.sin(middle)
        sideways = self.yaw_rate * 0.5 * self.model.wheelbase  # the rear axle rolls without slip
        slide = math.hypot(*self.slide)
        if slide > 0.0:
            keep = max(0.0, 1.0 - FRICTION * GRAVITY * dt / slide)
            self.slide = (self.slide[0] * keep, self.slide[1] * keep)
        vx = self.speed * cos - sideways * sin + self.slide[0]
        vy = self.speed * sin + sideways * cos + self.slide[1]
        self.x += vx * dt
        self.y += vy * dt
        self._velocity = (vx, vy)

    def _roll(self, dt: float) -> None:
        """Longitudinal: the engine pushes, then everything that resists shrinks the speed towards zero."""
        control, speed = self.control, abs(self.speed)
        drive = control.throttle * min(DRIVE_ACCELERATION, SPECIFIC_POWER / max(speed, 1.0))
        brake = control.brake * BRAKE_DECELERATION + (HAND_BRAKE_DECELERATION if control.hand_brake else 0.0)
        resistance = min(brake, FRICTION * GRAVITY) + ROLLING_RESISTANCE + AIR_DRAG * speed * speed
        resistance += ENGINE_BRAKING * (1.0 - control.throttle) * speed
        pushed = self.speed + (-drive if control.reverse else drive) * dt
        self.speed = math.copysign(max(0.0, abs(pushed) - resistance * dt), pushed)

    def _turn(self, dt: float, longitudinal: float) -> None:
        """Lateral: the bicycle's yaw rate, cut to what the friction circle leaves; excess scrubs speed."""
        self.yaw_rate = self.speed * math.tan(self.steer_angle) / self.model.wheelbase
        demand = abs(self.speed * self.yaw_rate)
        grip = FRICTION * GRAVITY
        limit = math.sqrt(max(grip * grip - longitudinal * longitudinal, (MIN_LATERAL_SHARE * grip) ** 2))
        if demand > limit:
            self.yaw_rate *= limit / demand
            scrubbed = min(SCRUB * (demand - limit), SCRUB_LIMIT) * dt
            self.speed = math.copysign(max(0.0, abs(self.speed) - scrubbed), self.speed)


def _clip(value: float, low: float) -> float:
    if math.isnan(value):
        raise ValueError("a control is not a number")
    return min(1.0, max(low, value))
