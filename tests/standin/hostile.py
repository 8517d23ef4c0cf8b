"""Malformed and hostile bytes for the stand-in's ports, decided by a seed."""

from __future__ import annotations

import random
import re
import socket
import struct
from typing import Any

import msgpack

from td3sweep.standin.faults import FaultInjector, Faults
from td3sweep.standin.rpc import Service
from td3sweep.standin.server import StandinServer
from td3sweep.standin.world import World

HUGE = [  # a type byte that announces up to four thousand million elements or bytes
    *(b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"),
    *(b"\xc9\xff\xff\xff\xff\x01", b"\xdc\xff\xff", b"\xde\xff\xff", b"\xda\xff\xff", b"\xc5\xff\xff"),
]
VALID = msgpack.packb([0, 1, "spawn_actor", [[False], [1, "vehicle.tesla.model3", []], [[0, 0, 0], [0, 0, 0]]]])
NUMBERS = [0, 1, -1, 2, 7, 255, 2**31, 2**63 - 1, -(2**63), 1e308, -1e-308, float("nan"), float("inf"), 0.5]
WORDS = [
    "",
    "a",
    "StandInTown",
    "vehicle.tesla.model3",
    "sensor.camera.rgb",
    "\x00",
    "ä" * 300,
    "../../etc/passwd",
    "1e9",
]
CAMERA = [[name, 2, "64"] for name in ("image_size_x", "image_size_y", "fov", "sensor_tick")]
POSE = [[1.0, 2.0, 0.3], [0.0, 90.0, 0.0]]
CONTROL = [0.5, 0.1, 0.0, False, False, False, 0]
XODR = (
    '<OpenDRIVE><road id="1"><planView><geometry s="0" x="0" y="0" hdg="0" length="40"><line/></geometry></planView>'
    '<lanes><laneSection s="0"><right><lane id="-1" type="driving"><width a="3.5"/></lane></right></laneSection>'
    "</lanes></road></OpenDRIVE>"
)
RIGHT_CALLS: list[tuple[str, list[Any]]] = [
    ("spawn_actor", [[1, "vehicle.tesla.model3", [["color", 5, "1,2,3"]]], POSE]),
    ("spawn_actor", [[2, "sensor.camera.rgb", CAMERA], POSE]),
    ("spawn_actor_with_parent", [[3, "sensor.other.imu", []], POSE, 2, 0, ""]),
    ("set_episode_settings", [[True, False, [True, 0.05], True, 0.01, 10, 0.0, True, 3000.0, 2000.0, True]]),
    ("tick_cue", []),
    ("apply_control_to_vehicle", [2, CONTROL]),
    ("set_actor_transform", [2, POSE]),
    ("set_actor_target_velocity", [2, [1.0, 2.0, 3.0]]),
    ("add_actor_impulse", [2, [1.0, 2.0, 3.0]]),
    ("set_weather_parameters", [[1.0] * 14]),
    ("get_sensor_token", [2]),
    ("get_actors_by_id", [[1, 2, 3]]),
    ("load_new_episode", ["StandInRing", False, 65535]),
    ("copy_opendrive_to_file", [XODR, [2.0, 50.0, 1.0, 0.6, True, True, True]]),
    ("load_new_episode", ["OpenDriveMap", False, 65535]),
    ("add_traffic_manager_running", [["127.0.0.1", 8000]]),
    (
        "apply_batch",
        [[[[2, [2, CONTROL]]], [[0, [[1, "vehicle.audi.tt", []], POSE, [False], 0, "", [[[1, [0]]]]]]]], True],
    ),
    ("destroy_actor", [2]),
]


def methods() -> list[str]:
    """Every call that the stand-in answers, and one that it does not."""
    service = Service(World("StandInRing", 1), _nobody())
    return sorted([*service._value, *service._void, "apply_batch", "no_such_call"])


def _nobody() -> Any:
    left, right = socket.socket(), socket.socket()
    return StandinServer(World("StandInRing", 1), left, right, FaultInjector(Faults()))


def malformed(rng: random.Random) -> bytes:
    """Bytes that are no request."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 300))
    if kind == 1:
        return VALID[: rng.randrange(1, len(VALID))]
    if kind == 2:
        flipped = bytearray(VALID)
        for _ in range(rng.randrange(1, 4)):
            flipped[rng.randrange(len(flipped))] = rng.randrange(256)
        return bytes(flipped)
    if kind == 3:
        return rng.choice(HUGE)
    if kind == 4:
        return b"\x94\x00\x01\xa1a" + rng.choice([b"\x91", b"\x92\x01", b"\x81\x01"]) * rng.randrange(1, 3000)
    return b"\x94\x00\x01\xa1a" + rng.choice(HUGE) * rng.randrange(1, 600)


def wrong_call(rng: random.Random, names: list[str]) -> bytes:
    """A well-formed request for one of the calls with arguments at random."""
    arguments = [value(rng, 3) for _ in range(rng.randrange(6))]
    return bytes(msgpack.packb([0, rng.randrange(2**32), rng.choice(names), [[False], *arguments]]))


def nearly_right(rng: random.Random) -> bytes:
    """A call as a client makes it, but for one argument, or one word of an uploaded map."""
    method, arguments = rng.choice(RIGHT_CALLS)
    if method == "copy_opendrive_to_file" and rng.random() < 0.8:
        number = rng.choice(["1e308", "-1", "nan", "inf", "1e6", "99999999999999999999", "x", ""])
        arguments = [re.sub(r'"[^"]*"', lambda found: f'"{number}"' if rng.random() < 0.1 else found[0], XODR), []]
    elif arguments and rng.random() < 0.8:
        place = rng.randrange(len(arguments))
        arguments = [*arguments[:place], _with_one_changed(rng, arguments[place]), *arguments[place + 1 :]]
    return bytes(msgpack.packb([0, rng.randrange(2**32), method, [[False], *arguments]]))


def _with_one_changed(rng: random.Random, node: Any) -> Any:
    if not isinstance(node, list) or not node or rng.random() < 0.1:
        return value(rng, 2)
    place = rng.randrange(len(node))
    return [*node[:place], _with_one_changed(rng, node[place]), *node[place + 1 :]]


def value(rng: random.Random, depth: int) -> Any:
    """Any msgpack value; lists of three numbers, which many calls want, more often than by chance."""
    simple: list[Any] = [
        *(rng.choice(NUMBERS), rng.choice(WORDS), rng.choice([None, True, False]), rng.randbytes(rng.randrange(40))),
        [rng.choice(NUMBERS[:6]) for _ in range(3)],
    ]
    kind = rng.randrange(8 if depth else 5)
    if kind < len(simple):
        return simple[kind]
    if kind == len(simple):
        return {rng.choice(WORDS): value(rng, depth - 1) for _ in range(rng.randrange(4))}
    return [value(rng, depth - 1) for _ in range(rng.randrange(6))]


def greeting(rng: random.Random) -> bytes:
    """What a subscriber never says: half an id, the id of no stream, more than an id."""
    kind = rng.randrange(3)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 4))
    if kind == 1:
        return struct.pack("<I", rng.choice([0, 2, 999, 2**32 - 1, rng.randrange(2**32)]))
    return rng.randbytes(rng.randrange(5, 4000))


def throw(port: int, data: bytes, abrupt: bool) -> None:
    """Connect, send, leave: by a reset if ``abrupt``, else with an end."""
    with socket.create_connection(("127.0.0.1", port), 10.0) as sock:
        if abrupt:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            sock.sendall(data)
        except OSError:
            return  # it has had enough already


def peak_memory(pid: int) -> float:
    """The most a process has held so far, in MB."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        (line,) = (line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1e3
