"""What lives in an episode: vehicles, the sensors that ride on them, and the spectator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from td3sweep.standin import blueprints
from td3sweep.standin.blueprints import Blueprint
from td3sweep.standin.boxes import Box
from td3sweep.standin.camera import Camera
from td3sweep.standin.geometry import Transform, Vector, compose
from td3sweep.standin.raster import Color
from td3sweep.standin.vehicle import GRAVITY, Vehicle, VehicleModel
from td3sweep.standin.wire import passive_record, stream_token, vehicle_record

CAR_TAG = 14
SPECTATOR_DESCRIPTION: list[Any] = [0, blueprints.SPECTATOR, []]


class WorldActor:
    """Anything with an id and a pose. Attached actors keep their pose relative to the parent."""

    def __init__(
        self, actor_id: int, description: list[Any], pose: Transform, parent: WorldActor | None = None
    ) -> None:
        self.actor_id = actor_id
        self.parent = parent
        self._description = description
        self._pose = pose

    @property
    def pose(self) -> Transform:
        """World pose."""
        return self._pose if self.parent is None else compose(self.parent.pose, self._pose)

    def teleport(self, pose: Transform) -> None:
        """Set the pose, relative to the parent where there is one."""
        self._pose = pose

    def bounding_box(self) -> list[Any]:
        return [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], self.actor_id]

    def wire(self, stream_port: int) -> list[Any]:
        """The Actor structure a client gets."""
        parent_id = 0 if self.parent is None else self.parent.actor_id
        box, tags, token = self.bounding_box(), self._tags(), self._token(stream_port)
        return [self.actor_id, parent_id, self._description, box, tags, token]

    def record(self, speed_limit: float) -> bytes:
        """The actor's 119 bytes of the world snapshot."""
        return passive_record(self.actor_id, self.pose)

    def _tags(self) -> bytes:
        return b""

    def _token(self, stream_port: int) -> bytes:
        return b""


class VehicleActor(WorldActor):
    """A car and its dynamics."""

    def __init__(
        self,
        actor_id: int,
        blueprint: Blueprint,
        values: Mapping[str, str],
        model: VehicleModel,
        pose: Transform,
    ) -> None:
        super().__init__(actor_id, blueprint.description(values), pose)
        self.vehicle = Vehicle(model, pose)
        self.lights = 0
        self._color = _color(values["color"])

    @property
    def pose(self) -> Transform:
        return self.vehicle.pose

    def teleport(self, pose: Transform) -> None:
        self.vehicle.teleport(pose)

    def bounding_box(self) -> list[Any]:
        extent = self.vehicle.model.extent
        return [[0.0, 0.0, extent[2]], list(extent), [0.0, 0.0, 0.0], self.actor_id]

    def box(self) -> Box:
        """What a camera sees of it."""
        pose = self.pose
        return Box(pose.x, pose.y, pose.z, pose.yaw, self.vehicle.model.extent, self._color)

    def record(self, speed_limit: float) -> bytes:
        vehicle = self.vehicle
        return vehicle_record(
            self.actor_id,
            vehicle.pose,
            velocity=vehicle.velocity,
            angular_velocity=vehicle.angular_velocity,
            acceleration=vehicle.acceleration,
            control=vehicle.control._replace(gear=vehicle.gear),
            speed_limit=speed_limit,
        )

    def _tags(self) -> bytes:
        return bytes([CAR_TAG])


class SensorActor(WorldActor):
    """A sensor with a data stream; ``period`` in seconds is 0 where it reports every tick."""

    def __init__(
        self,
        actor_id: int,
        blueprint: Blueprint,
        values: Mapping[str, str],
        pose: Transform,
        *,
        parent: WorldActor | None,
        stream_id: int,
    ) -> None:
        super().__init__(actor_id, blueprint.description(values), pose, parent)
        self.type_id = blueprint.type_id
        self.stream_id = stream_id
        self.camera = _camera(values) if self.type_id == blueprints.CAMERA else None
        self._period = float(values.get("sensor_tick", "0"))
        self._waited = 0.0

    def is_due(self, delta: float) -> bool:
        """Count ``delta`` seconds and say whether the sensor reports now."""
        self._waited += delta
        if self._waited < self._period - 1e-6:
            return False
        self._waited = 0.0
        return True

    def carrier(self) -> Vehicle | None:
        """The vehicle it rides on."""
        return self.parent.vehicle if isinstance(self.parent, VehicleActor) else None

    def inertia(self) -> tuple[Vector, Vector, float]:
        """(acceleration m/s^2 and turn rate rad/s in the sensor's axes, compass rad clockwise from north)."""
        pose, carrier = self.pose, self.carrier()
        ax, ay, az = (0.0, 0.0, 0.0) if carrier is None else carrier.acceleration
        rate = 0.0 if carrier is None else carrier.yaw_rate
        forward, right, up = pose.axes()
        felt = (ax, ay, az + GRAVITY)
        acceleration = (_dot(forward, felt), _dot(right, felt), _dot(up, felt))
        gyroscope = (forward[2] * rate, right[2] * rate, up[2] * rate)
        return acceleration, gyroscope, math.radians(pose.yaw + 90.0) % math.tau

    def _token(self, stream_port: int) -> bytes:
        return stream_token(self.stream_id, stream_port)


def _camera(values: Mapping[str, str]) -> Camera:
    return Camera(int(values["image_size_x"]), int(values["image_size_y"]), float(values["fov"]))


def _color(text: str) -> Color:
    red, green, blue = (int(channel) for channel in text.split(","))
    if not all(0 <= channel <= 255 for channel in (red, green, blue)):
        raise ValueError(f"{text} is no colour")
    return red, green, blue


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
