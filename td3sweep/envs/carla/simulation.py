"""One synchronous CARLA world with an ego car, a camera and a collision sensor: the stepping rules live here.

Every fault of the simulator leaves as a SimulatorError. A CARLA client never reconnects and a timed-out
tick stays queued, so after one the whole object is discarded (`discard()`) and nothing is retried.
"""

import atexit
import contextlib
import math
import queue
import time
import weakref
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, ClassVar

from td3sweep.envs.carla.autopilot import Autopilot
from td3sweep.envs.carla.client import load_carla
from td3sweep.envs.carla.conditions import check_world, weather_preset
from td3sweep.envs.carla.config import DriveConfig
from td3sweep.envs.carla.control import Control
from td3sweep.envs.carla.reward import TARGET_SPEED
from td3sweep.envs.carla.route import LaneGraph, Pose, Route
from td3sweep.envs.carla.server import Server
from td3sweep.envs.carla.state import Tick
from td3sweep.envs.carla.traffic import Car, spawn_traffic
from td3sweep.errors import SimulatorError, UserError

EGO_MODEL = "vehicle.tesla.model3"
FIXED_DELTA = 0.05  # simulated seconds per tick; at most the longest substep times their number
SUBSTEP, SUBSTEPS = 0.01, 10
WARM_UP_TICKS = 10  # a spawned car drops onto the road, and the first camera frames may be lost
SPAWN_HEIGHT = 0.3  # m above the spawn point's height, so that wheels do not start in the ground


class Simulation:
    """A connection to one server, from loading the map to ending it cleanly."""

    _open: ClassVar[weakref.WeakSet["Simulation"]] = weakref.WeakSet()

    def __init__(
        self,
        server: Server,
        config: DriveConfig,
    ) -> None:
        """Connect, load the map, and go into synchronous mode.

        With `config.detail` there is a lane-invasion sensor as well; with `config.autopilot` the ego can be handed over
        to the Traffic Manager, which drives at ``TARGET_SPEED``.

        Raises:
            SimulatorError: the server does not start, answer or load.
            UserError: the server has no such map, or is of another version; there is no such weather.
        """
        self._carla: ModuleType = load_carla()
        env = config.env
        sky = None if env.weather is None else weather_preset(self._carla, env.weather)
        self._server = server
        self._camera_settings = env.camera
        self._timeouts = env.timeouts
        self._manager: Any = None
        self._sensors: list[Any] = []
        self._images: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._impacts: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        self._crossings: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._watch_markings = config.detail
        self._autopilot_speed = TARGET_SPEED if config.autopilot else None
        self._autopilot: Autopilot | None = None
        self._ego: Any = None
        self._ego_id = 0
        self.cars: list[Car] = []
        self.half_length = self.half_width = 0.0
        self._open.add(self)
        with self._faults("loading the map", "load"):
            server.start()
            self._client = server.wait_ready(env.timeouts.start)
            self.version: str = self._client.get_server_version()
            self._client.set_timeout(env.timeouts.load)
            self._world = self._load(env.map)
            self._set_synchronous()
            # Actors of an earlier client go, settings stay; determinism needs a load in synchronous mode.
            self._world = self._client.reload_world(False)
            carla_map = self._world.get_map()
            self.places: Sequence[Any] = carla_map.get_spawn_points()
            self.waypoints = [carla_map.get_waypoint(place.location) for place in self.places]
            self.lanes = LaneGraph(carla_map)
            if sky is not None:
                self._world.set_weather(sky)
            check_world(self._world, map_name=env.map, fixed_delta=FIXED_DELTA, weather=sky)
            self._client.set_timeout(env.timeouts.tick)

    def begin(self, pose: Pose, height: float, *, traffic: int, seed: int) -> Tick | None:
        """Clear the world, spawn traffic, the ego at rest and its sensors, and let everything settle.

        Args:
            pose: where the ego starts.
            height: z of the ground there, m.
            traffic: how many other cars to ask for; `cars` then lists those that came.
            seed: decides the traffic, and the Traffic Manager's random numbers.

        Returns:
            The first tick with a camera frame, or None when the ego's place is blocked.
        """
        with self._faults("starting an episode", "hang"):
            self._clear()
            location = self._carla.Location(pose.x, pose.y, height + SPAWN_HEIGHT)
            rotation = self._carla.Rotation(yaw=math.degrees(pose.yaw))
            if traffic or self._autopilot_speed:
                manager = self._traffic_manager()
                manager.set_random_device_seed(seed % 2**31)
            if traffic:
                self.cars = spawn_traffic(
                    self._carla,
                    self._client,
                    self._world,
                    manager,
                    count=traffic,
                    places=self.places,
                    ego=location,
                    seed=seed,
                )
            model = self._world.get_blueprint_library().find(EGO_MODEL)
            model.set_attribute("role_name", "hero")
            self._ego = self._world.try_spawn_actor(model, self._carla.Transform(location, rotation))
            if self._ego is None:
                return None
            self._ego_id = self._ego.id
            if self._autopilot_speed:
                self._autopilot = Autopilot(self._carla, manager, self._ego, self._autopilot_speed)
            extent = self._ego.bounding_box.extent
            self.half_length, self.half_width = extent.x, extent.y
            self._attach_sensors()
            return self._settle()

    @property
    def max_steer(self) -> float:
        """The wheels' angle at full lock, rad."""
        with self._faults("asking for the car's physics", "hang"):
            wheels = self._ego.get_physics_control().wheels
            return math.radians(max(wheel.max_steer_angle for wheel in wheels))

    def hand_over(self, route: Route, distance: float) -> None:
        """Let the autopilot drive the ego until `tick` is given a control; see `Autopilot.take`."""
        assert self._autopilot is not None
        with self._faults("handing over to the autopilot", "hang"):
            self._autopilot.take(route, distance)

    def tick(self, control: Control | None) -> Tick:
        """Apply a control (None: the autopilot does) for one tick and wait for everything that belongs to its frame."""
        with self._faults("ticking", "hang"):
            if control is not None:
                if self._autopilot is not None:
                    self._autopilot.release()
                self._ego.apply_control(self._carla.VehicleControl(*control))
            frame = self._tick_world()
            return self._gather(frame, self._image(frame))

    def close(self) -> None:
        """Leave the world without listeners or actors, and asynchronous; end an own server."""
        try:
            with self._faults("leaving the world", "hang"):
                self._clear()
                if self._manager is not None:
                    self._manager.set_synchronous_mode(False)
                    # Every tick in this process ticks every manager in it: one left behind would meet a dead server.
                    self._manager.shut_down()
                settings = self._world.get_settings()
                settings.synchronous_mode = False
                settings.fixed_delta_seconds = None
                self._world.apply_settings(settings)
        except SimulatorError:
            pass  # it is being left: what a broken server still holds goes with it
        self.discard()

    def discard(self) -> None:
        """Drop everything without asking the server, and end an own server's process.

        A Traffic Manager whose server is gone cannot be discarded: sooner or later its thread ends this process.
        With traffic or autopilot, therefore, survival needs `isolated.IsolatedCarlaEnv`.
        """
        self._stop_listening()
        self._server.stop()
        self._open.discard(self)

    @classmethod
    def discard_all(cls) -> None:
        """At the end of the process: a sensor that still listens would abort it now and then."""
        for simulation in list(cls._open):
            simulation.discard()

    def _load(self, name: str) -> Any:
        available = sorted({path.rsplit("/", 1)[-1] for path in self._client.get_available_maps()})
        if name not in available:
            raise UserError(f"env.map={name}: the server has no such map; choose from {', '.join(available)}")
        world = self._client.get_world()
        if world.get_map().name.rsplit("/", 1)[-1] != name:
            world = self._client.load_world(name)
        return world

    def _set_synchronous(self) -> None:
        settings = self._world.get_settings()
        settings.synchronous_mode = True
        settings.fixed_delta_seconds = FIXED_DELTA
        settings.substepping = True
        settings.max_substep_delta_time = SUBSTEP
        settings.max_substeps = SUBSTEPS
        self._world.apply_settings(settings)

    def _traffic_manager(self) -> Any:
        if self._manager is None:
            self._manager = self._client.get_trafficmanager(self._server.traffic_manager_port)
            self._manager.set_synchronous_mode(True)
            # A manager begins asynchronous: it may be in a step of that kind still, which must not find cars. The next
            # tick waits for its first synchronous one.
            self._tick_world()
        return self._manager

    def _attach_sensors(self) -> None:
        library, wanted = self._world.get_blueprint_library(), self._camera_settings
        model = library.find("sensor.camera.rgb")
        for name, value in (
            ("image_size_x", wanted.width),
            ("image_size_y", wanted.height),
            ("fov", wanted.fov),
            ("sensor_tick", 0.0),
        ):
            model.set_attribute(name, str(value))
        mount = self._carla.Transform(
            self._carla.Location(x=wanted.x, z=wanted.z), self._carla.Rotation(pitch=wanted.pitch)
        )
        # Fresh queues: a late item of the last episode must not reach this one.
        images: queue.SimpleQueue[Any] = queue.SimpleQueue()
        impacts: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        crossings: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._images, self._impacts, self._crossings = images, impacts, crossings
        collision = self._world.spawn_actor(
            library.find("sensor.other.collision"), self._carla.Transform(), attach_to=self._ego
        )
        self._sensors.append(collision)
        collision.listen(lambda event: impacts.put((event.frame, event.other_actor.type_id)))
        if self._watch_markings:
            markings = self._world.spawn_actor(
                library.find("sensor.other.lane_invasion"), self._carla.Transform(), attach_to=self._ego
            )
            self._sensors.append(markings)
            markings.listen(lambda event: crossings.put(event.frame))
        camera = self._world.spawn_actor(model, mount, attach_to=self._ego)
        self._sensors.append(camera)
        camera.listen(images.put)

    def _settle(self) -> Tick:
        """Tick with the brakes on until the car rests and camera frames arrive."""
        self._ego.apply_control(self._carla.VehicleControl(brake=1.0, hand_brake=True))
        deadline = time.monotonic() + self._timeouts.load
        for _ in range(WARM_UP_TICKS):
            frame = self._tick_world()
        while (image := self._newest_image(frame)) is None:
            if time.monotonic() > deadline:
                raise self._fault(f"no camera frame arrived within {self._timeouts.load:g} s of its start", "frame")
            frame = self._tick_world()
        self._hit(frame)  # touching down is no accident
        self._crossed()
        return self._gather(frame, image)

    def _tick_world(self) -> int:
        return int(self._world.tick(self._timeouts.tick))

    def _gather(self, frame: int, image: Any) -> Tick:
        snapshot = self._world.get_snapshot()
        if snapshot.frame != frame:
            raise SimulatorError(
                f"the world is at frame {snapshot.frame} after tick {frame}: another client ticks this server"
            )
        # A handle of an actor that the snapshot lacks would read uninitialised memory.
        ego = snapshot.find(self._ego_id)
        if ego is None:
            raise SimulatorError(f"the ego car is gone from frame {frame}")
        transform, velocity, acceleration = ego.get_transform(), ego.get_velocity(), ego.get_acceleration()
        location, control = transform.location, self._ego.get_control()
        return Tick(
            frame=frame,
            pose=Pose(location.x, location.y, math.radians(transform.rotation.yaw)),
            speed=math.hypot(velocity.x, velocity.y),
            acceleration=(acceleration.x, acceleration.y),
            control=Control(control.throttle, control.steer, control.brake),
            image=image,
            hit=self._hit(frame),
            crossings=self._crossed(),
            snapshot=snapshot,
        )

    def _image(self, frame: int) -> Any:
        image = self._newest_image(frame)
        if image is None:
            raise self._fault(f"camera frame {frame} did not arrive within {self._timeouts.frame:g} s", "frame")
        return image

    def _newest_image(self, frame: int) -> Any:
        """The camera's image of exactly this frame, or None if it does not come; older ones are dropped."""
        deadline = time.monotonic() + self._timeouts.frame
        while True:
            try:
                image = self._images.get(timeout=max(deadline - time.monotonic(), 0.0))
            except queue.Empty:
                return None
            if image.frame >= frame:
                return image if image.frame == frame else None

    def _hit(self, frame: int) -> str:
        """What was touched, going by the impacts that have come in; one that arrives late counts in the next tick."""
        hit = ""
        while not self._impacts.empty():
            at, what = self._impacts.get()
            if at <= frame:
                hit = what
        return hit

    def _crossed(self) -> int:
        """Markings crossed, going by the events that have come in; a late one counts in the next tick."""
        crossings = 0
        while not self._crossings.empty():
            self._crossings.get()
            crossings += 1
        return crossings

    def _clear(self) -> None:
        """Destroy sensors, then cars, and tick once so that their places are free."""
        self._stop_listening()
        ids = [sensor.id for sensor in self._sensors]
        self._sensors = []
        if self._ego is not None:
            ids.append(self._ego_id)
            self._ego = self._autopilot = None
        ids += [car.actor_id for car in self.cars]
        self.cars = []
        if ids:
            self._client.apply_batch_sync([self._carla.command.DestroyActor(actor) for actor in ids], False)
            self._tick_world()

    def _stop_listening(self) -> None:
        for sensor in self._sensors:
            with contextlib.suppress(RuntimeError):
                if sensor.is_listening:
                    sensor.stop()

    @contextlib.contextmanager
    def _faults(self, doing: str, kind: str) -> Iterator[None]:
        """The client reports every failure as a plain RuntimeError."""
        try:
            yield
        except RuntimeError as error:
            raise self._fault(f"{doing}: {error}", kind) from error

    def _fault(self, message: str, kind: str) -> SimulatorError:
        """Whatever failed: if the server's process has ended, that is why."""
        end = self._server.ended
        return SimulatorError(f"{message}; {end}", "crash") if end else SimulatorError(message, kind)


atexit.register(Simulation.discard_all)
