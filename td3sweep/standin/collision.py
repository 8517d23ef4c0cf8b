"""Car against car: boxes seen from above, the separating-axis test, and one impulse per contact.

Impulses act at the centre of mass, so a hit pushes a car but does not spin it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from td3sweep.standin.geometry import Transform, Vector
from td3sweep.standin.vehicle import Vehicle

RESTITUTION = 0.1
MIN_IMPULSE_SPEED = 0.05
"""m/s: weight of the push a resting contact reports, so that touching cars keep reporting it."""


@dataclass(frozen=True, slots=True)
class Contact:
    """Two touching cars, by index; ``impulse`` in kg m/s acts on the first and reversed on the second."""

    first: int
    second: int
    impulse: Vector


def penetration(first: Footprint, second: Footprint) -> tuple[float, float, float] | None:
    """(depth, nx, ny) of the shallowest overlap, the normal pointing from first to second; None if apart."""
    dx, dy = second.x - first.x, second.y - first.y
    reach = first.radius + second.radius
    if dx * dx + dy * dy > reach * reach:
        return None
    best: tuple[float, float, float] | None = None
    for cos, sin in ((first.cos, first.sin), (second.cos, second.sin)):
        for nx, ny in ((cos, sin), (-sin, cos)):
            distance = dx * nx + dy * ny
            depth = first.half_size_along(nx, ny) + second.half_size_along(nx, ny) - abs(distance)
            if depth <= 0.0:
                return None
            if best is None or depth < best[0]:
                best = (depth, nx, ny) if distance >= 0.0 else (depth, -nx, -ny)
    return best


class Footprint:
    """A car's box from above."""

    __slots__ = ("cos", "length", "radius", "sin", "width", "x", "y")

    def __init__(self, pose: Transform, extent: Vector) -> None:
        yaw = math.radians(pose.yaw)
        self.x, self.y = pose.x, pose.y
        self.cos, self.sin = math.cos(yaw), math.sin(yaw)
        self.length, self.width = extent[0], extent[1]
        self.radius = math.hypot(self.length, self.width)

    def half_size_along(self, nx: float, ny: float) -> float:
        return self.length * abs(nx * self.cos + ny * self.sin) + self.width * abs(ny * self.cos - nx * self.sin)


def resolve(vehicles: Sequence[Vehicle]) -> list[Contact]:
    """Find all touching pairs in a fixed order, push them apart and exchange their closing momentum."""
    if len(vehicles) < 2:
        return []
    footprints = [Footprint(vehicle.pose, vehicle.model.extent) for vehicle in vehicles]
    order = sorted(range(len(vehicles)), key=lambda index: (footprints[index].x - footprints[index].radius, index))
    pairs = []
    for position, index in enumerate(order):
        right_edge = footprints[index].x + footprints[index].radius
        for other in order[position + 1 :]:
            if footprints[other].x - footprints[other].radius > right_edge:
                break
            pairs.append((min(index, other), max(index, other)))
    contacts = []
    for first, second in sorted(pairs):
        a, b = vehicles[first], vehicles[second]
        if not (a.collides and b.collides) or abs(a.z - b.z) > a.model.extent[2] + b.model.extent[2]:
            continue
        overlap = penetration(footprints[first], footprints[second])
        if overlap is not None:
            contacts.append(Contact(first, second, _separate(a, b, *overlap)))
    return contacts


def _separate(a: Vehicle, b: Vehicle, depth: float, nx: float, ny: float) -> Vector:
    """Undo the overlap and apply the impulse; returns the impulse on ``a``."""
    share = b.model.mass / (a.model.mass + b.model.mass)
    closing = (a.velocity[0] - b.velocity[0]) * nx + (a.velocity[1] - b.velocity[1]) * ny
    reduced_mass = a.model.mass * share
    impulse = (1.0 + RESTITUTION) * max(closing, 0.0) * reduced_mass
    a.move(-depth * share * nx, -depth * share * ny)
    b.move(depth * (1.0 - share) * nx, depth * (1.0 - share) * ny)
    a.push(-impulse * nx / a.model.mass, -impulse * ny / a.model.mass)
    b.push(impulse * nx / b.model.mass, impulse * ny / b.model.mass)
    reported = max(impulse, MIN_IMPULSE_SPEED * reduced_mass)
    return -reported * nx, -reported * ny, 0.0
