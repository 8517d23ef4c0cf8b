"""Hostile peers: whatever they send, the stand-in stays up, keeps little, and serves the next real client."""

from __future__ import annotations

import os
import random
import socket

import msgpack
import pytest
from hostile import greeting, malformed, methods, nearly_right, peak_memory, throw, wrong_call

os.environ.setdefault("HOME", "/tmp")
carla = pytest.importorskip("carla")

ROUNDS, MALFORMED, GREETINGS, CALLS = 4, 1000, 500, 1250
"""11,000 messages: each round its malformed requests, its greetings to the stream port and its calls of wrong types."""

SEED = 7
GAIN_MB = 150.0  # of memory, above a server that has served one client
HOARD_MB = 350.0  # the same while peers make it keep all that it is willing to


def real_client_drives(standin) -> None:
    """A fresh client, a map of the stand-in's own, five ticks with their pictures."""
    client = standin.client()
    standin.synchronous_world(client)
    world = client.load_world("StandInTown", False)  # whatever map was uploaded meanwhile
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds, settings.no_rendering_mode = True, 0.05, False
    world.apply_settings(settings)
    blueprint = world.get_blueprint_library().find("vehicle.tesla.model3")
    camera = standin.camera(world, world.spawn_actor(blueprint, world.get_map().get_spawn_points()[0]))
    for _ in range(5):
        assert world.tick() == camera.next().frame
    camera.actor.stop()
    standin.cameras.remove(camera)


@pytest.mark.slow
def test_eleven_thousand_hostile_messages(standin):
    rng, names = random.Random(SEED), methods()
    assert ROUNDS * (MALFORMED + GREETINGS + CALLS) >= 10_000
    real_client_drives(standin)
    before = peak_memory(standin.process.pid)
    for _ in range(ROUNDS):
        for _ in range(MALFORMED):
            throw(standin.port, malformed(rng), abrupt=rng.random() < 0.9)
        for _ in range(GREETINGS):
            throw(standin.port + 1, greeting(rng), abrupt=rng.random() < 0.9)
        calls = [wrong_call(rng, names) if rng.random() < 0.5 else nearly_right(rng) for _ in range(CALLS)]
        calls_are_answered(standin.port, calls)
        assert standin.process.poll() is None
        real_client_drives(standin)
    log = standin.log.read_text()
    assert "Traceback" not in log
    assert peak_memory(standin.process.pid) < before + GAIN_MB


def calls_are_answered(port: int, calls: list[bytes]) -> None:
    """Every call gets an answer with its number: a result or an error."""
    unpacker = msgpack.Unpacker(strict_map_key=False, unicode_errors="replace")
    with socket.create_connection(("127.0.0.1", port), 20.0) as sock:
        for call in calls:
            sock.sendall(call)
            while (answer := next(unpacker, None)) is None:
                data = sock.recv(1 << 18)
                assert data, f"closed after {call!r}"
                unpacker.feed(data)
            assert answer[:2] == [1, msgpack.unpackb(call, strict_map_key=False)[1]]


def test_silent_peers_do_not_shut_others_out(standin):
    silent = [socket.create_connection(("127.0.0.1", standin.port + index % 2), 5.0) for index in range(450)]
    real_client_drives(standin)
    for sock in silent:
        sock.close()
    real_client_drives(standin)


@pytest.mark.slow
def test_unfinished_requests_of_many_peers_are_bounded(standin):
    real_client_drives(standin)
    before = peak_memory(standin.process.pid)
    unfinished = b"\x94\x00\x01\xdb" + (15 << 20).to_bytes(4, "big") + bytes(10 << 20)
    peers = []
    for _ in range(60):
        peers.append(socket.create_connection(("127.0.0.1", standin.port), 5.0))
        try:
            peers[-1].sendall(unfinished)
        except OSError:
            continue  # dropped, as it should be
    assert peak_memory(standin.process.pid) < before + HOARD_MB
    real_client_drives(standin)
    for peer in peers:
        peer.close()


@pytest.mark.slow
def test_a_peer_that_reads_no_answers_is_dropped(standin):
    real_client_drives(standin)
    before = peak_memory(standin.process.pid)
    ask = b"".join(msgpack.packb([0, number, "get_map_data", [[False]]]) for number in range(60_000))
    with socket.create_connection(("127.0.0.1", standin.port), 5.0) as peer:
        dropped = False
        for _ in range(10):
            try:
                peer.sendall(ask)
            except OSError:
                dropped = True
        assert dropped
    assert peak_memory(standin.process.pid) < before + HOARD_MB
    real_client_drives(standin)


@pytest.mark.slow
def test_a_subscriber_that_takes_nothing_holds_the_others_up_for_seconds_only(standin):
    client = standin.client()
    world = standin.synchronous_world(client)
    blueprint = world.get_blueprint_library().find("vehicle.tesla.model3")
    camera = standin.camera(world, world.spawn_actor(blueprint, world.get_map().get_spawn_points()[0]), size=256)
    world.tick()
    camera.next()
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", standin.port + 1))
        deaf.sendall((2).to_bytes(4, "little"))  # the first sensor's stream; 1 is the world's
        for _ in range(60):  # of 256 kB
            assert world.tick() == camera.next(timeout=9.0).frame
