"""The bytes of carla-protocol.md: server and tests have one author, these sequences come from the real wheel."""

from __future__ import annotations

import math
import struct

import msgpack
import pytest

from td3sweep.standin import wire as protocol
from td3sweep.standin.geometry import Transform
from td3sweep.standin.wire import ProtocolError, RequestReader, SensorType

VERSION_REQUEST = bytes.fromhex("94 00 01 a7") + b"version" + bytes.fromhex("91 91 c2")
VERSION_RESPONSE = bytes.fromhex("94 01 01 c0 91 92 01 a6") + b"0.9.16"


def test_version_request_is_read_as_captured():
    (request,) = RequestReader().feed(VERSION_REQUEST)
    assert (request.msgid, request.method, request.arguments) == (1, "version", [])


def test_version_response_is_written_as_captured():
    assert protocol.response(1, protocol.value_result("0.9.16")) == VERSION_RESPONSE


def test_a_request_may_arrive_byte_by_byte_and_two_at_once():
    reader = RequestReader()
    for byte in VERSION_REQUEST[:-1]:
        assert list(reader.feed(bytes([byte]))) == []
    completed = list(reader.feed(VERSION_REQUEST[-1:] + VERSION_REQUEST))
    assert [request.method for request in completed] == ["version", "version"]


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x0a",  # a port probe's newline decodes as the integer 10
        b"\xc1",  # never used in msgpack
        b"GET / HTTP/1.1\r\n\r\n",
        msgpack.packb([2, "notification", []]),
        msgpack.packb([0, 1, "version", []]),  # no metadata element
        msgpack.packb([0, 1, 5, [[False]]]),
        b"\x91" * 4096,  # nested beyond reason
        b"\x81\x90\x01",  # a map whose key is a list
        b"\xdd\xff\xff\xff\xff",  # a list of four thousand million elements
        b"\xc9\xff\xff\xff\xff\x01",  # an extension of as many bytes
    ],
)
def test_rubbish_is_named_as_such(rubbish):
    with pytest.raises(ProtocolError):
        list(RequestReader().feed(rubbish))


def test_wrappers_of_results():
    assert protocol.value_result(7) == [[1, 7]]
    assert protocol.value_failure("no") == [[0, ["no"]]]
    assert protocol.void_result() == [[False]]
    assert protocol.void_failure("no") == [[True, ["no"]]]
    assert protocol.void_result() is not protocol.void_result()


def test_error_response_has_a_third_element():
    assert msgpack.unpackb(protocol.error_response(9, "unknown")) == [1, 9, "unknown", None]


def test_stream_token():
    token = protocol.stream_token(7, 2001)
    assert token == bytes.fromhex("07000000 d107 01 00") + bytes(16)
    assert len(token) == 24


def test_sensor_types_are_those_of_0_9_16():
    assert (SensorType.COLLISION, SensorType.GNSS, SensorType.IMU) == (0, 4, 5)
    assert (SensorType.RGB, SensorType.WORLD) == (13, 17)


def test_sensor_header_layout():
    header = protocol.sensor_header(SensorType.RGB, 300, 1.5, Transform(1.0, 2.0, 3.0, 4.0, 5.0, 6.0))
    assert len(header) == 48
    assert struct.unpack_from("<QQd", header) == (13, 300, 1.5)
    assert struct.unpack_from("<6f", header, 24) == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)


def test_snapshot_header_layout():
    header = protocol.snapshot_header(5, 2.5, 0.25, protocol.MAP_CHANGED)
    assert len(header) == 36
    assert struct.unpack("<Qdf3iI", header) == (5, 2.5, 0.25, 0, 0, 0, 1)


def test_vehicle_record_offsets():
    record = protocol.vehicle_record(
        11,
        Transform(1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
        velocity=(7.0, 8.0, 9.0),
        angular_velocity=(10.0, 11.0, 12.0),
        acceleration=(13.0, 14.0, 15.0),
        control=(0.5, -0.25, 1.0, True, False, True, -1),
        speed_limit=30.0,
    )
    assert len(record) == 119
    assert struct.unpack_from("<IB", record) == (11, 1)
    assert struct.unpack_from("<15f", record, 5) == tuple(float(i) for i in range(1, 16))
    assert struct.unpack_from("<fff", record, 65) == (0.5, -0.25, 1.0)
    assert struct.unpack_from("<BBBi", record, 77) == (1, 0, 1, -1)
    assert struct.unpack_from("<f", record, 84) == (30.0,)
    assert record[88] == protocol.GREEN_LIGHT
    assert record[89:] == bytes(30)


def test_passive_record_is_as_long_and_still():
    record = protocol.passive_record(3, Transform(x=1.0, yaw=90.0))
    assert len(record) == 119
    assert struct.unpack_from("<IB6f", record) == (3, 1, 1.0, 0.0, 0.0, 0.0, 90.0, 0.0)
    assert record[29:] == bytes(90)


def test_image_header_and_frame_prefix():
    assert protocol.image_header(84, 60, 90.0) == bytes.fromhex("54000000 3c000000 0000b442")
    assert protocol.stream_prefix(258) == bytes.fromhex("02010000")


def test_imu_body_is_msgpack_not_raw_floats():
    assert protocol.message_body([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], math.pi])[:2] == bytes.fromhex("93 93")
