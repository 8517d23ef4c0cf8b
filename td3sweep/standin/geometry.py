"""Poses in CARLA's left-handed frame: x forward, y right, z up; metres, degrees; yaw clockwise from above."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Vector = tuple[float, float, float]

MAX_COORDINATE = 1e9
"""Beyond any map, angle, speed or impulse; what is larger would overflow the wire's single precision."""


@dataclass(frozen=True, slots=True)
class Transform:
    """A location in metres and a rotation in degrees."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0

    @classmethod
    def from_wire(cls, wire: Any) -> Transform:
        """Read ``[[x, y, z], [pitch, yaw, roll]]``; raises TypeError or ValueError on anything else."""
        location, rotation = wire
        return cls(*vector_from_wire(location), *vector_from_wire(rotation))

    def wire(self) -> list[list[float]]:
        return [[self.x, self.y, self.z], [self.pitch, self.yaw, self.roll]]

    def axes(self) -> tuple[Vector, Vector, Vector]:
        """Unit vectors forward, right and up in world coordinates: the columns of CARLA's rotation matrix."""
        pitch, yaw, roll = math.radians(self.pitch), math.radians(self.yaw), math.radians(self.roll)
        cp, sp = math.cos(pitch), math.sin(pitch)
        cy, sy = math.cos(yaw), math.sin(yaw)
        cr, sr = math.cos(roll), math.sin(roll)
        forward = (cp * cy, cp * sy, sp)
        right = (cy * sp * sr - sy * cr, sy * sp * sr + cy * cr, -cp * sr)
        up = (-cy * sp * cr - sy * sr, -sy * sp * cr + cy * sr, cp * cr)
        return forward, right, up


def vector_from_wire(wire: Any) -> Vector:
    """Read ``[x, y, z]``; raises TypeError or ValueError on anything else, not-a-numbers and absurd sizes included."""
    x, y, z = (float(value) for value in wire)
    if not all(abs(value) <= MAX_COORDINATE for value in (x, y, z)):
        raise ValueError(f"vector {wire} is out of range")
    return x, y, z


def compose(parent: Transform, child: Transform) -> Transform:
    """World transform of ``child`` given relative to ``parent``."""
    forward, right, up = parent.axes()
    location = rotate((forward, right, up), (child.x, child.y, child.z))
    x, y, z = parent.x + location[0], parent.y + location[1], parent.z + location[2]
    if parent.pitch == 0.0 and parent.roll == 0.0:  # exact, and the case of every car on a flat world
        return Transform(x, y, z, child.pitch, wrap_degrees(parent.yaw + child.yaw), child.roll)
    child_axes = child.axes()
    world = [rotate((forward, right, up), axis) for axis in child_axes]
    pitch = math.degrees(math.asin(max(-1.0, min(1.0, world[0][2]))))
    yaw = math.degrees(math.atan2(world[0][1], world[0][0]))
    roll = math.degrees(math.atan2(-world[1][2], world[2][2]))
    return Transform(x, y, z, pitch, yaw, roll)


def rotate(axes: Sequence[Vector], local: Vector) -> Vector:
    """Express a vector given in a frame's ``axes`` (forward, right, up) in world coordinates."""
    (fx, fy, fz), (rx, ry, rz), (ux, uy, uz) = axes
    a, b, c = local
    return a * fx + b * rx + c * ux, a * fy + b * ry + c * uy, a * fz + b * rz + c * uz


def wrap_degrees(angle: float) -> float:
    """The same direction in (-180, 180]."""
    return angle if -180.0 < angle <= 180.0 else 180.0 - (180.0 - angle) % 360.0
