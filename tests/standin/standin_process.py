"""Starting, driving and ending stand-in servers from tests."""

from __future__ import annotations

import os
import queue
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("HOME", "/tmp")  # without it the wheel's import ends the process

PORT_STRIDE = 4
START_SECONDS = 10.0


@dataclass
class StandIn:
    """A running server and what a test drives it with."""

    process: subprocess.Popen[str]
    port: int
    log: Path
    cameras: list[Any] = field(default_factory=list)

    def client(self, timeout: float = 10.0) -> Any:
        import carla

        client = carla.Client("127.0.0.1", self.port)
        client.set_timeout(timeout)
        return client

    def synchronous_world(self, client: Any = None, delta: float = 0.05) -> Any:
        world = (client or self.client()).get_world()
        settings = world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, delta
        world.apply_settings(settings)
        return world

    def camera(self, world: Any, vehicle: Any, size: int = 84, x: float = 1.6, z: float = 1.5) -> Any:
        """A listening camera with its queue of images as ``images``."""
        import carla

        blueprint = world.get_blueprint_library().find("sensor.camera.rgb")
        for name in ("image_size_x", "image_size_y"):
            blueprint.set_attribute(name, str(size))
        pose = carla.Transform(carla.Location(x=x, z=z))
        actor = world.spawn_actor(blueprint, pose, attach_to=vehicle)
        camera = Camera(actor, queue.Queue())
        actor.listen(camera.images.put)
        self.cameras.append(camera)
        return camera

    def stop(self) -> None:
        for camera in self.cameras:
            camera.actor.stop()
        self.process.terminate()
        try:
            self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Camera:
    actor: Any
    images: queue.Queue[Any]

    def next(self, timeout: float = 5.0) -> Any:
        return self.images.get(timeout=timeout)


def free_ports() -> int:
    """The first of ``PORT_STRIDE`` free ports, below those that the package chooses from and those of the system."""
    for _ in range(200):
        port = random.randrange(12_000, 20_000, PORT_STRIDE)
        try:
            for offset in range(PORT_STRIDE):
                socket.create_server(("127.0.0.1", port + offset)).close()
        except OSError:
            continue
        return port
    raise RuntimeError("no free block of ports")


def launch(port: int, log: Path, *flags: str) -> subprocess.Popen[str]:
    """Start a server that ends with this process at the latest; later flags win."""
    end_with_us = ["setpriv", "--pdeathsig", "KILL"]  # becomes the server, which keeps its process id
    command = [*end_with_us, sys.executable, "-m", "td3sweep.standin", f"-carla-rpc-port={port}", *flags]
    with log.open("w") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True)


def wait_until(condition: Callable[[], bool], seconds: float = START_SECONDS) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True
