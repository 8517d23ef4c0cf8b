"""What sensors report: the messages of one tick, made from the poses and motions after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from td3sweep.standin import blueprints
from td3sweep.standin.actors import SensorActor, VehicleActor
from td3sweep.standin.collision import Contact
from td3sweep.standin.raster import Raster
from td3sweep.standin.wire import SensorType, StreamMessage, image_header, message_body, sensor_header

METRES_PER_DEGREE = 111_319.49
"""At the equator, where the maps' origin lies; latitude grows with y, as the 0.9.16 client has it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a message was made; ``elapsed`` in simulated seconds of the episode."""

    frame: int
    elapsed: float


def photograph(sensor: SensorActor, moment: Moment, raster: Raster, cars: Iterable[VehicleActor]) -> StreamMessage:
    """A camera's picture."""
    camera = sensor.camera
    assert camera is not None, "only cameras take pictures"
    image = camera.render(sensor.pose, raster, [car.box() for car in cars])
    header = image_header(camera.width, camera.height, camera.fov)
    return _message(sensor, moment, SensorType.RGB, image.tobytes(), header)


def inertia(sensor: SensorActor, moment: Moment) -> StreamMessage:
    """An IMU's reading."""
    acceleration, gyroscope, compass = sensor.inertia()
    body = message_body([list(acceleration), list(gyroscope), compass])
    return _message(sensor, moment, SensorType.IMU, body)


def position(sensor: SensorActor, moment: Moment) -> StreamMessage:
    """A GNSS receiver's latitude, longitude and altitude."""
    pose = sensor.pose
    body = message_body([pose.y / METRES_PER_DEGREE, pose.x / METRES_PER_DEGREE, pose.z])
    return _message(sensor, moment, SensorType.GNSS, body)


def collisions(
    sensors: Iterable[SensorActor],
    moment: Moment,
    contacts: Iterable[Contact],
    cars: Sequence[VehicleActor],
    stream_port: int,
) -> list[StreamMessage]:
    """One event per contact for every collision sensor on either car."""
    hits = []
    for contact in contacts:
        first, second, (x, y, z) = cars[contact.first], cars[contact.second], contact.impulse
        hits += [(first, second, [x, y, z]), (second, first, [-x, -y, -z])]
    messages = []
    for sensor in sensors:
        if sensor.type_id == blueprints.COLLISION:
            for car, other, impulse in hits:
                if car is sensor.parent:
                    body = message_body([car.wire(stream_port), other.wire(stream_port), impulse])
                    messages.append(_message(sensor, moment, SensorType.COLLISION, body))
    return messages


def _message(sensor: SensorActor, moment: Moment, kind: SensorType, body: bytes, extra: bytes = b"") -> StreamMessage:
    header = sensor_header(kind, moment.frame, moment.elapsed, sensor.pose)
    return StreamMessage(sensor.stream_id, kind, header + extra, body)
