"""The remote calls: each method's name on the wire, what it does to the world, how its answer is wrapped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from td3sweep.standin import maps
from td3sweep.standin.blueprints import LIBRARY
from td3sweep.standin.commands import CommandRunner
from td3sweep.standin.geometry import Transform
from td3sweep.standin.opendrive import RoadMap, read
from td3sweep.standin.settings import WEATHER_FIELDS, EpisodeSettings, physics_control
from td3sweep.standin.wire import (
    WORLD_STREAM,
    stream_token,
    value_failure,
    value_result,
    void_failure,
    void_result,
)
from td3sweep.standin.world import World, WorldError

VERSION = "0.9.16"
MAP_FOLDER = "Carla/Maps/"
GAME_MAP_FOLDER = "/Game/Carla/Maps/"
UPLOADED_MAP = "OpenDriveMap"
UPLOADED_SPEED_LIMIT = 50.0


class UnknownMethodError(Exception):
    """A call the stand-in does not know."""


@dataclass(frozen=True, slots=True)
class _TrafficManager:
    """Where a client runs a traffic manager, and the connection that said so."""

    host: str
    caller: int


class Host(Protocol):
    """What the calls need of the server around them."""

    def advance(self) -> None:
        """Simulate one frame and send it."""

    def expect_subscription(self, stream_id: int) -> None:
        """A token was handed out: its holder is about to connect."""

    def loading(self) -> None:
        """A map load begins."""


class Service:
    """Answers calls. One instance serves all connections, in the order in which their calls arrive."""

    def __init__(self, world: World, host: Host) -> None:
        self._world = world
        self._host = host
        self._commands = CommandRunner(world)
        self._uploaded: RoadMap | None = None
        self._caller = 0
        self._traffic_managers: dict[int, _TrafficManager] = {}
        world_value: dict[str, Callable[..., Any]] = {
            "version": lambda: VERSION,
            "get_episode_info": lambda: [world.episode_id, [stream_token(WORLD_STREAM, world.stream_port)]],
            "get_episode_settings": self._settings,
            "set_episode_settings": self._set_settings,
            "get_map_info": self._map_info,
            "get_map_data": lambda: world.road_map.xodr,
            "get_required_files": lambda folder="", download=False: [],
            "get_available_maps": lambda: [GAME_MAP_FOLDER + name for name in maps.MAP_NAMES],
            "get_sensor_token": self._sensor_token,
            "tick_cue": self._tick_cue,
            "get_weather_parameters": lambda: world.weather,
            "query_lights_state": lambda client: [],
            "get_environment_objects": lambda tag: [],
            "get_all_level_BBs": lambda tag: [],
        }
        actor_value: dict[str, Callable[..., Any]] = {
            "get_actor_definitions": lambda: [blueprint.wire() for blueprint in LIBRARY.values()],
            "get_actors_by_id": lambda ids: [self._actor(i) for i in ids if i in world.actors],
            "get_spectator": lambda: self._actor(world.spectator.actor_id),
            "get_actor_bounding_box": lambda i: world.actor(i, "get bounding box").bounding_box(),
            "get_physics_control": lambda i: physics_control(world.vehicle(i, "get physics").vehicle.model),
            "get_vehicle_light_states": lambda: [[car.actor_id, car.lights] for car in world.vehicles()],
            "get_vehicle_light_state": lambda i: [world.vehicle(i, "get light state").lights],
            "spawn_actor": self._spawn,
            "spawn_actor_with_parent": self._spawn_attached,
            "destroy_actor": self._destroy,
        }
        traffic_value: dict[str, Callable[..., Any]] = {
            "is_traffic_manager_running": lambda port: port in self._traffic_managers,
            "get_traffic_manager_running": self._traffic_manager,
            "add_traffic_manager_running": self._add_traffic_manager,
            "destroy_traffic_manager": self._destroy_traffic_manager,
        }
        self._value = world_value | actor_value | traffic_value
        self._void: dict[str, Callable[..., None]] = {
            "load_new_episode": self._load,
            "copy_opendrive_to_file": self._upload,
            "set_weather_parameters": self._set_weather,
            "update_lights_state": lambda *_lights: None,
            "freeze_all_traffic_lights": lambda _frozen: None,
            "reset_all_traffic_lights": lambda: None,
            "draw_debug_shape": lambda _shape: None,
            **self._commands.calls(),
        }

    def call(self, method: str, arguments: list[Any], caller: int = 0) -> list[Any]:
        """The wrapped result of a call from connection ``caller``.

        Raises UnknownMethodError, or what wrong arguments lead to.
        """
        self._caller = caller
        if method == "apply_batch":
            return self._apply_batch(*arguments)
        if method in self._value:
            try:
                return value_result(self._value[method](*arguments))
            except WorldError as error:
                return value_failure(str(error))
        if method in self._void:
            try:
                self._void[method](*arguments)
            except WorldError as error:
                return void_failure(str(error))
            return void_result()
        raise UnknownMethodError(f"rpc: server could not find function '{method}' (not part of the stand-in)")

    def disconnected(self, caller: int) -> None:
        """Forget the traffic managers of a connection that is gone: the next client would wait for them."""
        gone = [port for port, manager in self._traffic_managers.items() if manager.caller == caller]
        for port in gone:
            del self._traffic_managers[port]

    def _actor(self, actor_id: int) -> list[Any]:
        return self._world.actors[actor_id].wire(self._world.stream_port)

    def _settings(self) -> list[Any]:
        return self._world.settings.wire()

    def _set_settings(self, wire: Any) -> int:
        self._world.settings = EpisodeSettings.from_wire(wire)
        return self._world.frame

    def _map_info(self) -> list[Any]:
        road_map = self._world.road_map
        return [MAP_FOLDER + road_map.name, [pose.wire() for pose in maps.spawn_points(road_map)]]

    def _sensor_token(self, stream_id: int) -> list[bytes]:
        token = stream_token(stream_id, self._world.stream_port)
        self._host.expect_subscription(stream_id)
        return [token]

    def _tick_cue(self) -> int:
        if not self._world.settings.synchronous:
            return self._world.frame + 1
        self._host.advance()
        return self._world.frame

    def _spawn(self, description: Any, transform: Any) -> list[Any]:
        return self._actor(self._world.spawn(description, Transform.from_wire(transform)).actor_id)

    def _spawn_attached(
        self, description: Any, transform: Any, parent_id: int, _attachment: int, _socket: str = ""
    ) -> list[Any]:
        return self._actor(self._world.spawn(description, Transform.from_wire(transform), parent_id).actor_id)

    def _destroy(self, actor_id: int) -> bool:
        self._world.destroy(actor_id)
        return True

    def _set_weather(self, wire: Any) -> None:
        weather = [float(value) for value in wire]
        if len(weather) != WEATHER_FIELDS:
            raise ValueError(f"{len(weather)} weather parameters instead of {WEATHER_FIELDS}")
        self._world.weather = weather

    def _load(self, name: str, reset_settings: bool, _layers: int) -> None:
        road_map = self._find_map(name)
        self._host.loading()
        self._world.begin_episode(road_map)
        if reset_settings:
            self._world.settings = EpisodeSettings()

    def _find_map(self, name: str) -> RoadMap:
        short = name.rsplit("/", maxsplit=1)[-1]
        if not name:
            return self._world.road_map
        if short == UPLOADED_MAP and self._uploaded is not None:
            return self._uploaded
        if short in maps.MAP_NAMES:
            return maps.built_in(short)
        raise WorldError(f"Map '{name}' not found")

    def _upload(self, xodr: str, _parameters: Any) -> None:
        try:
            self._uploaded = read(UPLOADED_MAP, xodr, UPLOADED_SPEED_LIMIT)
        except ValueError as error:
            raise WorldError(f"opendrive could not be read: {error}") from error

    def _apply_batch(self, batch: list[Any], do_tick: bool) -> list[Any]:
        results = [self._commands.run(command) for command in batch]
        if do_tick:
            self._tick_cue()
        return results

    def _add_traffic_manager(self, address: Any) -> bool:
        host, port = address
        if not 0 < int(port) < 1 << 16:
            raise ValueError(f"{port} is no port")
        if port in self._traffic_managers:
            return False
        self._traffic_managers[int(port)] = _TrafficManager(str(host), self._caller)
        return True

    def _traffic_manager(self, port: int) -> list[Any]:
        manager = self._traffic_managers.get(port)
        return ["", 0] if manager is None else [manager.host, port]

    def _destroy_traffic_manager(self, port: int) -> bool:
        return self._traffic_managers.pop(port, None) is not None
