"""The blueprint library: the ids and attributes of the real one, for the actors the stand-in can play."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from td3sweep.standin.vehicle import VehicleModel


class AttributeType(IntEnum):
    BOOL = 1
    INT = 2
    FLOAT = 3
    STRING = 4
    COLOR = 5


@dataclass(frozen=True, slots=True)
class Attribute:
    """One blueprint attribute; values are text on the wire whatever their type."""

    name: str
    kind: AttributeType
    value: str
    recommended: tuple[str, ...] = ()
    modifiable: bool = True
    restricted: bool = False

    def wire(self) -> list[Any]:
        kind = int(self.kind)
        return [self.name, kind, self.value, list(self.recommended), self.modifiable, self.restricted]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One spawnable kind of actor."""

    uid: int
    type_id: str
    attributes: tuple[Attribute, ...]

    def wire(self) -> list[Any]:
        """The ActorDefinition a client lists."""
        tags = ",".join(self.type_id.split("."))
        return [self.uid, self.type_id, tags, [attribute.wire() for attribute in self.attributes]]

    def description(self, values: Mapping[str, str]) -> list[Any]:
        """The ActorDescription of an actor with these attribute values, defaults elsewhere."""
        attributes = [[a.name, int(a.kind), values.get(a.name, a.value)] for a in self.attributes]
        return [self.uid, self.type_id, attributes]


VEHICLES = (
    VehicleModel(
        "vehicle.tesla.model3",
        (2.3958, 1.0818, 0.7441),
        3.0,
        1845.0,
        2,
        ("17,37,103", "180,44,44", "137,0,0", "44,44,44", "210,210,210"),
    ),
    VehicleModel(
        "vehicle.audi.tt", (2.0906, 0.9971, 0.6926), 2.5, 1227.0, 1, ("255,191,0", "90,170,60", "220,220,220")
    ),
    VehicleModel(
        "vehicle.lincoln.mkz_2020",
        (2.4461, 0.9182, 0.7453),
        2.85,
        2404.0,
        2,
        ("0,12,60", "140,20,20", "200,200,205"),
    ),
    VehicleModel("vehicle.mini.cooper_s", (1.9029, 0.9853, 0.7375), 2.46, 1200.0, 1, ("38,120,190", "220,60,30")),
    VehicleModel("vehicle.nissan.patrol", (2.3022, 0.9657, 0.9274), 2.7, 3010.0, 1, ("78,78,78", "200,180,90")),
)

MODELS = {model.type_id: model for model in VEHICLES}

CAMERA = "sensor.camera.rgb"
COLLISION = "sensor.other.collision"
GNSS = "sensor.other.gnss"
IMU = "sensor.other.imu"
LANE_INVASION = "sensor.other.lane_invasion"
SPECTATOR = "spectator"

_ROLE = Attribute("role_name", AttributeType.STRING, "", ("autopilot", "scenario", "ego_vehicle"))
_TICK = Attribute("sensor_tick", AttributeType.FLOAT, "0.0")


def _fixed(name: str, kind: AttributeType, value: str) -> Attribute:
    return Attribute(name, kind, value, (value,), modifiable=False)


def _vehicle_attributes(model: VehicleModel) -> tuple[Attribute, ...]:
    return (
        Attribute("role_name", AttributeType.STRING, "autopilot", _ROLE.recommended),
        Attribute("color", AttributeType.COLOR, model.colors[0], model.colors),
        Attribute("sticky_control", AttributeType.BOOL, "True"),
        _fixed("object_type", AttributeType.STRING, ""),
        _fixed("base_type", AttributeType.STRING, "car"),
        _fixed("special_type", AttributeType.STRING, ""),
        _fixed("number_of_wheels", AttributeType.INT, "4"),
        _fixed("generation", AttributeType.INT, str(model.generation)),
        _fixed("has_lights", AttributeType.BOOL, "False"),
        _fixed("has_dynamic_doors", AttributeType.BOOL, "False"),
    )


_CAMERA_ATTRIBUTES = (
    _ROLE,
    _TICK,
    Attribute("image_size_x", AttributeType.INT, "800"),
    Attribute("image_size_y", AttributeType.INT, "600"),
    Attribute("fov", AttributeType.FLOAT, "90.0"),
    # A real camera has these too; they change nothing here, but scripts that set them must not fail.
    Attribute("enable_postprocess_effects", AttributeType.BOOL, "True"),
    Attribute("gamma", AttributeType.FLOAT, "2.2"),
    Attribute("motion_blur_intensity", AttributeType.FLOAT, "0.45"),
    Attribute("exposure_mode", AttributeType.STRING, "histogram", ("manual", "histogram")),
    Attribute("exposure_compensation", AttributeType.FLOAT, "0.0"),
    Attribute("bloom_intensity", AttributeType.FLOAT, "0.675"),
    Attribute("lens_flare_intensity", AttributeType.FLOAT, "0.1"),
)

_SENSOR_ATTRIBUTES: dict[str, tuple[Attribute, ...]] = {
    CAMERA: _CAMERA_ATTRIBUTES,
    COLLISION: (_ROLE,),
    GNSS: (_ROLE, _TICK),
    IMU: (_ROLE, _TICK),
    LANE_INVASION: (_ROLE,),
}


def _library() -> Iterator[Blueprint]:
    for model in VEHICLES:
        yield Blueprint(0, model.type_id, _vehicle_attributes(model))
    for type_id, attributes in _SENSOR_ATTRIBUTES.items():
        yield Blueprint(0, type_id, attributes)


LIBRARY: dict[str, Blueprint] = {
    blueprint.type_id: Blueprint(uid, blueprint.type_id, blueprint.attributes)
    for uid, blueprint in enumerate(_library(), start=1)
}


def attribute_values(blueprint: Blueprint, wire: Sequence[Sequence[Any]]) -> dict[str, str]:
    """All attribute values of an actor to spawn: the client's, defaults elsewhere, unknown names dropped."""
    sent = {str(name): str(value) for name, _kind, value in wire}
    return {attribute.name: sent.get(attribute.name, attribute.value) for attribute in blueprint.attributes}
