"""The simulated world: one episode at a time, its actors, and the tick that moves them and reads sensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from td3sweep.standin import blueprints, maps, sensors
from td3sweep.standin.actors import SPECTATOR_DESCRIPTION, SensorActor, VehicleActor, WorldActor
from td3sweep.standin.blueprints import LIBRARY, MODELS, attribute_values
from td3sweep.standin.collision import Contact, Footprint, penetration, resolve
from td3sweep.standin.geometry import Transform
from td3sweep.standin.opendrive import RoadMap
from td3sweep.standin.raster import Raster, rasterize
from td3sweep.standin.sensors import Moment
from td3sweep.standin.settings import DEFAULT_WEATHER, EpisodeSettings
from td3sweep.standin.wire import (
    MAP_CHANGED,
    WORLD_STREAM,
    SensorType,
    StreamMessage,
    sensor_header,
    snapshot_header,
)

MAX_ACTORS = 2000


class WorldError(Exception):
    """A request the world refuses; the message is what the client's RuntimeError says."""


class World:
    """State behind the RPC calls. Holds no sockets and reads no clock."""

    def __init__(self, map_name: str, stream_port: int) -> None:
        self.stream_port = stream_port
        self.settings = EpisodeSettings()
        self.weather: list[float] = list(DEFAULT_WEATHER)
        self.frame = 0
        self.episode_id = 0
        self.elapsed = 0.0
        self.road_map: RoadMap = maps.built_in(map_name)
        self.actors: dict[int, WorldActor] = {}
        self.spectator: WorldActor
        self._rasters: dict[str, Raster] = {}
        self._last_actor_id = 0
        self._last_stream_id = WORLD_STREAM
        self._map_changed = False
        self._total_elapsed = 0.0
        self.begin_episode(self.road_map)

    def begin_episode(self, road_map: RoadMap) -> None:
        """Drop all actors and start afresh on a map; settings stay, frames and ids go on counting."""
        self.road_map = road_map
        self.episode_id += 1
        self.elapsed = 0.0
        self.actors = {}
        self._map_changed = True
        self.spectator = self._add(WorldActor(self._next_id(), SPECTATOR_DESCRIPTION, Transform(z=20.0, pitch=-30.0)))

    def actor(self, actor_id: int, doing: str) -> WorldActor:
        """The actor of that id; raises WorldError naming what could not be done."""
        actor = self.actors.get(actor_id)
        if actor is None:
            raise WorldError(f"unable to {doing}: actor {actor_id} not found")
        return actor

    def vehicle(self, actor_id: int, doing: str) -> VehicleActor:
        """The vehicle of that id; raises WorldError naming what could not be done."""
        actor = self.actor(actor_id, doing)
        if not isinstance(actor, VehicleActor):
            raise WorldError(f"unable to {doing}: actor {actor_id} is not a vehicle")
        return actor

    def spawn(self, description: Sequence[Any], pose: Transform, parent_id: int | None = None) -> WorldActor:
        """Create an actor, ``pose`` relative to its parent if any. Raises WorldError if it cannot be."""
        _uid, type_id, attributes = description
        blueprint = LIBRARY.get(type_id)
        if blueprint is None:
            raise WorldError(f"the stand-in has no actor '{type_id}'")
        parent = None
        if parent_id is not None:
            parent = self.actors.get(parent_id)
            if parent is None:
                raise WorldError("unable to attach actor: parent actor not found")
        if len(self.actors) >= MAX_ACTORS:
            raise WorldError(f"the stand-in holds {MAX_ACTORS} actors at most")
        values = attribute_values(blueprint, attributes)
        try:
            model = MODELS.get(type_id)
            if model is None:
                self._last_stream_id += 1
                stream_id = self._last_stream_id
                return self._add(
                    SensorActor(self._next_id(), blueprint, values, pose, parent=parent, stream_id=stream_id)
                )
            if parent is not None:
                raise WorldError("the stand-in attaches sensors only")
            vehicle = VehicleActor(self._next_id(), blueprint, values, model, pose)
        except ValueError as error:
            raise WorldError(f"unable to spawn {type_id}: {error}") from error
        if any(_overlap(vehicle, other) for other in self.vehicles()):
            raise WorldError("Spawn failed because of collision at spawn position")
        return self._add(vehicle)

    def destroy(self, actor_id: int) -> None:
        """Remove an actor; what is attached to it stays where it was, as in CARLA. Raises WorldError."""
        if actor_id not in self.actors or actor_id == self.spectator.actor_id:
            raise WorldError("unable to destroy actor: not found")
        gone = self.actors.pop(actor_id)
        for actor in self.actors.values():
            if actor.parent is gone:
                pose = actor.pose
                actor.parent = None
                actor.teleport(pose)

    def vehicles(self) -> list[VehicleActor]:
        return [actor for actor in self.actors.values() if isinstance(actor, VehicleActor)]

    def tick(self, delta: float, subscribed: Callable[[int], bool]) -> list[StreamMessage]:
        """Advance by ``delta`` seconds; returns what the subscribed sensors and the world stream report."""
        self.frame += 1
        self.elapsed += delta
        self._total_elapsed += delta
        cars = self.vehicles()
        substeps = self.settings.substeps(delta)
        for car in cars:
            car.vehicle.step(delta, substeps)
        contacts = resolve([car.vehicle for car in cars])
        attached = [actor for actor in self.actors.values() if isinstance(actor, SensorActor)]
        due = [sensor for sensor in attached if sensor.is_due(delta) and subscribed(sensor.stream_id)]
        messages = self._read(due, cars, contacts)
        if subscribed(WORLD_STREAM):
            messages.append(self._snapshot(delta))
        return messages

    def raster(self) -> Raster:
        """The map's picture, drawn when first needed."""
        text = self.road_map.xodr
        if text not in self._rasters:
            self._rasters = {text: rasterize(self.road_map)}
        return self._rasters[text]

    def _add(self, actor: WorldActor) -> WorldActor:
        self.actors[actor.actor_id] = actor
        return actor

    def _next_id(self) -> int:
        self._last_actor_id += 1
        return self._last_actor_id

    def _read(self, due: list[SensorActor], cars: list[VehicleActor], contacts: list[Contact]) -> list[StreamMessage]:
        moment = Moment(self.frame, self.elapsed)
        messages = sensors.collisions(due, moment, contacts, cars, self.stream_port) if contacts else []
        for sensor in due:
            if sensor.type_id == blueprints.CAMERA and not self.settings.no_rendering:
                messages.append(sensors.photograph(sensor, moment, self.raster(), cars))
            elif sensor.type_id == blueprints.IMU:
                messages.append(sensors.inertia(sensor, moment))
            elif sensor.type_id == blueprints.GNSS:
                messages.append(sensors.position(sensor, moment))
        return messages

    def _snapshot(self, delta: float) -> StreamMessage:
        # The real server stamps its wall clock here; simulated seconds keep the bytes reproducible.
        flags = MAP_CHANGED if self._map_changed else 0
        self._map_changed = False
        header = sensor_header(SensorType.WORLD, self.frame, self.elapsed, Transform())
        body = [snapshot_header(self.episode_id, self._total_elapsed, delta, flags)]
        limit = self.road_map.speed_limit
        body += [actor.record(limit) for actor in self.actors.values()]
        return StreamMessage(WORLD_STREAM, SensorType.WORLD, header, b"".join(body))


def _overlap(first: VehicleActor, second: VehicleActor) -> bool:
    one, two = first.vehicle, second.vehicle
    if abs(one.z - two.z) > one.model.extent[2] + two.model.extent[2]:
        return False
    return penetration(Footprint(one.pose, one.model.extent), Footprint(two.pose, two.model.extent)) is not None
