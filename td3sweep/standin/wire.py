"""CARLA 0.9.16's bytes: msgpack-RPC framing, response wrappers, stream tokens, sensor headers, snapshots.

Everything is little-endian and packed. Nothing here knows about the simulated world.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgpack

from td3sweep.standin.geometry import Transform, Vector

WORLD_STREAM = 1
"""Stream id of the world snapshot; it survives map loads."""

MAP_CHANGED = 1
"""Snapshot flag that makes the client fetch map info and OpenDRIVE again."""

MAX_REQUEST_BYTES = 16 * 1024 * 1024
"""The longest calls upload a map."""

MAX_LIST = 10_000
"""Elements of a list in a request; a batch of commands or of actor ids is the longest."""

REQUEST, RESPONSE = 0, 1


class SensorType(IntEnum):
    """Index of a sensor's data type in the 0.9.16 client (world is 16 in older clients)."""

    COLLISION = 0
    GNSS = 4
    IMU = 5
    RGB = 13
    WORLD = 17


class ProtocolError(Exception):
    """Bytes that are no msgpack-RPC request: the connection that sent them is to be closed."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call: ``params`` still holds the metadata element in front of the arguments."""

    msgid: int
    method: str
    arguments: list[Any]


class RequestReader:
    """Cuts one connection's bytes into requests."""

    def __init__(self) -> None:
        self._fed = 0
        self._unpacker = msgpack.Unpacker(
            raw=False,
            strict_map_key=False,
            max_buffer_size=MAX_REQUEST_BYTES,
            max_array_len=MAX_LIST,  # five bytes may announce four thousand million elements: memory is taken at once
            max_map_len=MAX_LIST,
            max_ext_len=0,
        )

    @property
    def pending(self) -> int:
        """Bytes of a request that is not complete yet."""
        return self._fed - int(self._unpacker.tell())

    def feed(self, data: bytes) -> Iterator[Request]:
        """Yield the requests completed by ``data``; raises ProtocolError on anything that is none."""
        self._fed += len(data)
        try:
            self._unpacker.feed(data)
            yield from map(_as_request, self._unpacker)
        except (ValueError, TypeError, msgpack.exceptions.UnpackException) as error:  # TypeError: a list as a map's key
            raise ProtocolError(f"not msgpack: {error}") from error


def _as_request(message: Any) -> Request:
    match message:
        case [0, int() as msgid, str() as method, [[*_meta], *arguments]]:
            return Request(msgid, method, arguments)
    raise ProtocolError("not a msgpack-RPC request")


def response(msgid: int, result: Any) -> bytes:
    """A successful msgpack-RPC answer; ``result`` is one of the wrappers below."""
    return msgpack.packb([RESPONSE, msgid, None, result])  # type: ignore[no-any-return]


def error_response(msgid: int, message: str) -> bytes:
    """An rpclib-level error: unknown function, wrong arguments."""
    return msgpack.packb([RESPONSE, msgid, message, None], unicode_errors="replace")  # type: ignore[no-any-return]


def value_result(value: Any) -> list[Any]:
    """``Response<T>`` holding a value."""
    return [[1, value]]


def value_failure(message: str) -> list[Any]:
    """``Response<T>`` holding an error; the client raises RuntimeError(message)."""
    return [[0, [message]]]


def void_result() -> list[Any]:
    """``Response<void>`` without an error."""
    return [[False]]


def void_failure(message: str) -> list[Any]:
    """``Response<void>`` holding an error."""
    return [[True, [message]]]


def stream_token(stream_id: int, port: int) -> bytes:
    """24 bytes that say where to subscribe; the address is left unset, so the client uses the RPC host."""
    return struct.pack("<IHBB16x", stream_id, port, 1, 0)


@dataclass(frozen=True, slots=True)
class StreamMessage:
    """One payload for a stream's subscribers: header and body stay apart to spare a copy of the pixels."""

    stream_id: int
    sensor: SensorType
    header: bytes
    body: bytes


def stream_prefix(payload_size: int) -> bytes:
    """Length prefix of one stream frame."""
    return struct.pack("<I", payload_size)


_SENSOR_HEADER = struct.Struct("<QQd6f")


def sensor_header(sensor: SensorType, frame: int, timestamp: float, pose: Transform) -> bytes:
    """48 bytes in front of each sensor body; ``timestamp`` in simulated seconds of the episode."""
    return _SENSOR_HEADER.pack(sensor, frame, timestamp, pose.x, pose.y, pose.z, pose.pitch, pose.yaw, pose.roll)


def image_header(width: int, height: int, fov: float) -> bytes:
    """12 bytes in front of width x height BGRA pixels; ``fov`` is horizontal, in degrees."""
    return struct.pack("<IIf", width, height, fov)


def message_body(value: Any) -> bytes:
    """Body of the sensors that send msgpack (collision, IMU, GNSS)."""
    return msgpack.packb(value)  # type: ignore[no-any-return]


_SNAPSHOT_HEADER = struct.Struct("<Qdf3iI")


def snapshot_header(episode: int, platform_timestamp: float, delta_seconds: float, flags: int) -> bytes:
    """36 bytes in front of the actor records of a world snapshot."""
    return _SNAPSHOT_HEADER.pack(episode, platform_timestamp, delta_seconds, 0, 0, 0, flags)


ACTIVE = 1
GREEN_LIGHT = 2
_PASSIVE_RECORD = struct.Struct("<IB6f9f54x")
_VEHICLE_RECORD = struct.Struct("<IB6f9f3f3Bif2BIB24x")


def passive_record(actor_id: int, pose: Transform) -> bytes:
    """119 bytes for an actor without motion of its own (sensor, spectator)."""
    location_rotation = (pose.x, pose.y, pose.z, pose.pitch, pose.yaw, pose.roll)
    return _PASSIVE_RECORD.pack(actor_id, ACTIVE, *location_rotation, *([0.0] * 9))


def vehicle_record(
    actor_id: int,
    pose: Transform,
    *,
    velocity: Vector,
    angular_velocity: Vector,
    acceleration: Vector,
    control: tuple[float, float, float, bool, bool, bool, int],
    speed_limit: float,
) -> bytes:
    """119 bytes for a vehicle: m/s, degrees/s, m/s^2 in world axes, km/h; no traffic light is near."""
    return _VEHICLE_RECORD.pack(
        actor_id,
        ACTIVE,
        pose.x,
        pose.y,
        pose.z,
        pose.pitch,
        pose.yaw,
        pose.roll,
        *velocity,
        *angular_velocity,
        *acceleration,
        *control,
        speed_limit,
        GREEN_LIGHT,
        0,
        0,
        0,
    )
