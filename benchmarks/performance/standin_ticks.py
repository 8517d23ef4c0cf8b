"""How fast the stand-in ticks, driven by the real client: one car, one 84 x 84 camera, every frame awaited.

``python -m benchmarks.performance.standin_ticks`` prints the median over several rounds; client and server share the
machine.
"""

from __future__ import annotations

import argparse
import queue
import socket
import statistics
import subprocess
import sys
import time

CAMERA_SIZE = 84
WARM_UP_TICKS = 100
START_UP_SECONDS = 10.0


def measure(port: int, rounds: int, ticks: int) -> list[float]:
    """Synchronous camera ticks per second of each round, on a stand-in listening at ``port``."""
    from td3sweep.envs.carla.client import load_carla

    carla = load_carla()
    client = carla.Client("127.0.0.1", port)
    client.set_timeout(START_UP_SECONDS)
    world = client.get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
    world.apply_settings(settings)
    library = world.get_blueprint_library()
    ego = world.spawn_actor(library.find("vehicle.tesla.model3"), world.get_map().get_spawn_points()[0])
    blueprint = library.find("sensor.camera.rgb")
    for name in ("image_size_x", "image_size_y"):
        blueprint.set_attribute(name, str(CAMERA_SIZE))
    camera = world.spawn_actor(blueprint, carla.Transform(carla.Location(x=1.6, z=1.5)), attach_to=ego)
    images: queue.Queue[object] = queue.Queue()
    camera.listen(images.put)
    control = carla.VehicleControl(throttle=0.4, steer=0.2)

    def drive(count: int) -> None:
        for _ in range(count):
            ego.apply_control(control)
            world.tick()
            images.get(timeout=START_UP_SECONDS)

    drive(WARM_UP_TICKS)
    rates = []
    for _ in range(rounds):
        start = time.perf_counter()
        drive(ticks)
        rates.append(ticks / (time.perf_counter() - start))
    camera.stop()
    camera.destroy()
    ego.destroy()
    return rates


def free_port() -> int:
    """A port with the next one free as well."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as rpc:
            port: int = rpc.getsockname()[1]
            try:
                socket.create_server(("127.0.0.1", port + 1)).close()
            except (OSError, OverflowError):
                continue
            return port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ticks", type=int, default=1000, help="ticks in a round")
    options = parser.parse_args()
    port = free_port()
    command = [sys.executable, "-m", "td3sweep.standin", f"-carla-rpc-port={port}"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()  # the banner: it listens
        rates = measure(port, options.rounds, options.ticks)
    finally:
        server.terminate()
        server.wait()
    spread = f"{min(rates):.0f} to {max(rates):.0f} over {len(rates)} rounds"
    print(f"stand-in: {statistics.median(rates):.0f} camera ticks/s ({spread})")


if __name__ == "__main__":
    main()
