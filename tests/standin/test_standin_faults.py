"""Bad days: rubbish on the wire, a taken port, and the faults the command line can ask for."""

from __future__ import annotations

import math
import os
import queue
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgpack
import numpy as np
import pytest
from standin_process import free_ports, launch

from td3sweep.standin.stamp import read_stamp

os.environ.setdefault("HOME", "/tmp")
carla = pytest.importorskip("carla")


def drive(standin):
    """A synchronous world with an ego car and a listening camera."""
    world = standin.synchronous_world()
    blueprint = world.get_blueprint_library().find("vehicle.tesla.model3")
    ego = world.spawn_actor(blueprint, world.get_map().get_spawn_points()[0])
    return world, standin.camera(world, ego)


def tick_many(world):
    for _ in range(40):
        world.tick()


def call(port: int, method: str, *arguments: object) -> object:
    with socket.create_connection(("127.0.0.1", port), 5.0) as sock:
        sock.sendall(msgpack.packb([0, 1, method, [[False], *arguments]]))
        unpacker = msgpack.Unpacker()
        while True:
            data = sock.recv(65536)
            assert data, "the server closed the connection"
            unpacker.feed(data)
            for message in unpacker:
                return message


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"\x0a", b"\xc1\xc1\xc1", b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\x91" * 65536, b"\xff" * 100],
)
def test_probes_and_rubbish_do_not_disturb_a_client(standin, rubbish):
    world, camera = drive(standin)
    for port in (standin.port, standin.port + 1):
        with socket.create_connection(("127.0.0.1", port), 2.0) as sock:
            sock.sendall(rubbish)
            frame = world.tick()
            assert camera.next().frame == frame
    frame = world.tick()
    assert camera.next().frame == frame


@pytest.mark.parametrize(
    ("method", "arguments", "complaint"),
    [
        ("no_such_method", [], "could not find function 'no_such_method'"),
        ("get_actors_by_id", [5], "bad arguments"),
        ("spawn_actor", [[1, "vehicle.tesla.model3", []]], "bad arguments"),
        ("set_episode_settings", [[True]], "bad arguments"),
        ("apply_control_to_vehicle", [1, [0.0]], "bad arguments"),
        ("apply_batch", [[[5]], False], "bad arguments"),
        ("get_sensor_token", ["world"], "bad arguments"),
        ("load_new_episode", [["a"], True, 1], "bad arguments"),
        ("set_actor_transform", [1, [[1e300, 0.0, 0.0], [0.0, 0.0, 0.0]]], "out of range"),
        (
            "set_episode_settings",
            [[True, False, [True, math.inf], True, 0.01, 10, 0, True, 0, 0, True]],
            "out of range",
        ),
        ("set_weather_parameters", [[1.0]], "bad arguments"),
        ("copy_opendrive_to_file", [7, []], "bad arguments"),
    ],
)
def test_wrong_calls_are_answered_with_an_error(standin, method, arguments, complaint):
    kind, msgid, error, result = call(standin.port, method, *arguments)
    assert (kind, msgid, result) == (1, 1, None)
    assert complaint in error
    assert call(standin.port, "version")[3] == [[1, "0.9.16"]]


def test_a_taken_port_is_one_line_and_exit_code_1(tmp_path):
    port = free_ports()
    for taken in (port, port + 1):
        with socket.create_server(("127.0.0.1", taken)):
            process = launch(port, tmp_path / "log")
            assert process.wait(10.0) == 1
            lines = (tmp_path / "log").read_text().splitlines()
            assert len(lines) == 1
            assert f"cannot listen on 127.0.0.1:{port}" in lines[0]


def test_sigterm_ends_it_cleanly(standin):
    assert "listening on 127.0.0.1" in standin.log.read_text()
    standin.process.send_signal(signal.SIGTERM)
    assert standin.process.wait(5.0) == 0
    assert "Traceback" not in standin.log.read_text()


def test_dying_at_start(tmp_path):
    process = launch(free_ports(), tmp_path / "log", "-fault-die-at-start")
    assert process.wait(10.0) == 1
    assert "died at start" in (tmp_path / "log").read_text()


def test_crash_after_some_ticks(start_standin):
    standin = start_standin("-fault-crash-after=20")
    client = standin.client(timeout=1.0)
    world = standin.synchronous_world(client)
    with pytest.raises(RuntimeError, match=r"time-out of 1000ms"):
        tick_many(world)
    assert standin.process.wait(5.0) == 139
    assert "crashed after 20 ticks" in standin.log.read_text()


def test_hang_after_some_ticks_and_sigterm_still_works(start_standin):
    standin = start_standin("-fault-hang-after=20")
    client = standin.client(timeout=1.0)
    world = standin.synchronous_world(client)
    with pytest.raises(RuntimeError, match=r"time-out of 1000ms"):
        tick_many(world)
    assert standin.process.poll() is None
    standin.process.terminate()
    assert standin.process.wait(5.0) == 0


def test_slow_load_takes_its_time(start_standin):
    standin = start_standin("-fault-slow-load=0.8")
    client = standin.client()
    start = time.monotonic()
    client.reload_world()
    assert time.monotonic() - start > 0.8
    impatient = standin.client(timeout=0.3)
    with pytest.raises(RuntimeError, match="time-out"):
        impatient.reload_world()


def test_slow_ticks_take_their_time(start_standin):
    world, _ = drive(start_standin("-fault-slow-tick=0.05"))
    begun = time.monotonic()
    for _ in range(5):
        world.tick()
    assert 0.25 <= time.monotonic() - begun < 5


def test_dropped_frames_never_arrive(start_standin):
    standin = start_standin("-fault-drop-frame-every=3")
    world, camera = drive(standin)
    ticked = [world.tick() for _ in range(9)]
    arrived = [camera.next().frame for _ in range(6)]
    assert arrived == [frame for index, frame in enumerate(ticked, start=1) if index % 3]
    with pytest.raises(queue.Empty):
        camera.next(0.2)


def test_late_frames_come_with_the_next_tick(start_standin):
    standin = start_standin("-fault-late-frame-every=3")
    world, camera = drive(standin)
    first, second, third = (world.tick() for _ in range(3))
    assert [camera.next().frame for _ in range(2)] == [first, second]
    with pytest.raises(queue.Empty):
        camera.next(0.2)
    fourth = world.tick()
    assert [camera.next().frame for _ in range(2)] == [third, fourth]


def test_garbled_frames_are_twenty_bytes(start_standin):
    standin = start_standin("-fault-garble-frame-every=3")
    world = standin.synchronous_world()
    blueprints = world.get_blueprint_library()
    ego = world.spawn_actor(blueprints.find("vehicle.tesla.model3"), world.get_map().get_spawn_points()[0])
    camera = blueprints.find("sensor.camera.rgb")
    camera.set_attribute("image_size_x", "84")
    camera.set_attribute("image_size_y", "84")
    world.spawn_actor(camera, carla.Transform(), attach_to=ego)  # the client does not listen: it would not survive
    stream = 2  # of the first sensor; 1 is the world's
    call(standin.port, "get_sensor_token", stream)  # from here a tick waits for who subscribes
    with socket.create_connection(("127.0.0.1", standin.port + 1), 5.0) as raw:
        raw.sendall(stream.to_bytes(4, "little"))
        sizes = []
        for _ in range(4):
            world.tick()
            sizes.append(int.from_bytes(read_exactly(raw, 4), "little"))
            read_exactly(raw, sizes[-1])
    whole = 48 + 12 + 4 * 84 * 84
    assert sizes == [whole, whole, 20, whole]


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    return data


def test_only_driven_ticks_are_counted_where_asked_for(start_standin):
    standin = start_standin("-fault-crash-after=5", "-fault-count-driven")
    client = standin.client(timeout=1.0)
    for _ in range(10):
        client.get_world().wait_for_tick()
    world = standin.synchronous_world(client)
    with pytest.raises(RuntimeError, match="time-out"):
        tick_many(world)
    assert "crashed after 5 ticks" in standin.log.read_text()


def test_a_stamped_frame_says_its_number_and_place(start_standin):
    standin = start_standin("-fault-stamp-frames")
    world, camera = drive(standin)
    for _ in range(3):
        frame, image = world.tick(), camera.next()
        pixels = np.frombuffer(image.raw_data, np.uint8).reshape(84, 84, 4)
        stamp = read_stamp(pixels[..., 0])
        place = image.transform
        assert stamp.frame == frame
        assert (stamp.x, stamp.y, stamp.yaw) == (place.location.x, place.location.y, place.rotation.yaw)
    with pytest.raises(ValueError, match="no stamp"):
        read_stamp(np.full((84, 84), 7, np.uint8))


def test_a_killed_subscriber_does_not_stop_the_others(standin, tmp_path):
    world, camera = drive(standin)
    script = (
        "import carla, sys, time\n"
        f"world = carla.Client('127.0.0.1', {standin.port}).get_world()\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "ready\n"
    other.kill()
    other.wait()
    other.stdout.close()
    for _ in range(5):
        assert world.tick() == camera.next().frame


@pytest.mark.parametrize(("flags", "address"), [([], "0100007F"), (["-carla-host=0.0.0.0"], "00000000")])
def test_it_listens_on_loopback_only_unless_told_otherwise(start_standin, flags, address):
    standin = start_standin(*flags)
    listening = Path(f"/proc/{standin.process.pid}/net/tcp").read_text().splitlines()[1:]
    ours = [f":{port:04X}" for port in (standin.port, standin.port + 1)]
    addresses = {line.split()[1] for line in listening if line.split()[3] == "0A" and line.split()[1][8:] in ours}
    assert addresses == {address + port for port in ours}
