"""OpenDRIVE roads made of lines and arcs: the model, writing it, and reading what a client uploads.

OpenDRIVE is right-handed (y left of x); CARLA mirrors it: ``y_carla = -y``, ``yaw_carla = -heading``.
Lane ids are negative right of the reference line and run with it; positive lanes run against it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree

from td3sweep.standin.geometry import Transform, wrap_degrees


@dataclass(frozen=True, slots=True)
class Primitive:
    """A line (curvature 0) or arc (1/m, left is positive) from (x, y) along ``heading`` radians."""

    x: float
    y: float
    heading: float
    length: float
    curvature: float

    def at(self, s: float) -> tuple[float, float, float]:
        """(x, y, heading) ``s`` metres along."""
        heading = self.heading + self.curvature * s
        if self.curvature == 0.0:
            return self.x + s * math.cos(heading), self.y + s * math.sin(heading), heading
        return (
            self.x + (math.sin(heading) - math.sin(self.heading)) / self.curvature,
            self.y - (math.cos(heading) - math.cos(self.heading)) / self.curvature,
            heading,
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """A road mark along a lane's outer border; ``kind`` is an OpenDRIVE type name."""

    kind: str
    color: str = "standard"


@dataclass(frozen=True, slots=True)
class Lane:
    """One driving lane of constant width with the mark on its outer border."""

    width: float
    mark: Mark


@dataclass(frozen=True, slots=True)
class Road:
    """A reference line with lanes to both sides, listed from the middle outwards."""

    road_id: int
    primitives: tuple[Primitive, ...]
    center_mark: Mark
    right: tuple[Lane, ...]
    left: tuple[Lane, ...]
    predecessor: int
    successor: int

    @property
    def length(self) -> float:
        return sum(primitive.length for primitive in self.primitives)

    def at(self, s: float) -> tuple[float, float, float]:
        """(x, y, heading) of the reference line ``s`` metres along it, OpenDRIVE axes."""
        for primitive in self.primitives[:-1]:
            if s < primitive.length:
                return primitive.at(s)
            s -= primitive.length
        return self.primitives[-1].at(s)

    def lane_ids(self) -> Iterable[int]:
        yield from range(len(self.left), 0, -1)
        yield from range(-1, -len(self.right) - 1, -1)

    def lane_pose(self, lane_id: int, s: float, z: float = 0.0) -> Transform:
        """Pose on a lane's centre in CARLA axes, heading with the traffic; ``s`` along the reference line."""
        side = self.left if lane_id > 0 else self.right
        index = abs(lane_id) - 1
        offset = sum(lane.width for lane in side[:index]) + 0.5 * side[index].width
        offset = offset if lane_id > 0 else -offset
        x, y, heading = self.at(s)
        if lane_id > 0:
            x, y, heading = x - offset * math.sin(heading), y + offset * math.cos(heading), heading + math.pi
        else:
            x, y = x - offset * math.sin(heading), y + offset * math.cos(heading)
        return Transform(x, -y, z, 0.0, wrap_degrees(math.degrees(-heading)), 0.0)


@dataclass(frozen=True, slots=True)
class RoadMap:
    """A named road network with its speed limit in km/h; ``xodr`` is the text a client gets."""

    name: str
    roads: tuple[Road, ...]
    speed_limit: float
    xodr: str


def write(name: str, roads: Iterable[Road], speed_limit: float) -> str:
    """The OpenDRIVE 1.4 text of a road network."""
    root = ElementTree.Element("OpenDRIVE")
    header = ElementTree.SubElement(
        root, "header", revMajor="1", revMinor="4", name=name, version="1", vendor="td3sweep stand-in"
    )
    ElementTree.SubElement(header, "geoReference").text = "+proj=tmerc +lat_0=0 +lon_0=0"
    for road in roads:
        _write_road(root, road, speed_limit)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _write_road(root: ElementTree.Element, road: Road, speed_limit: float) -> None:
    node = ElementTree.SubElement(
        root,
        "road",
        name=f"Road {road.road_id}",
        length=repr(road.length),
        id=str(road.road_id),
        junction="-1",
    )
    link = ElementTree.SubElement(node, "link")
    ElementTree.SubElement(link, "predecessor", elementType="road", elementId=str(road.predecessor), contactPoint="end")
    ElementTree.SubElement(link, "successor", elementType="road", elementId=str(road.successor), contactPoint="start")
    kind = ElementTree.SubElement(node, "type", s="0", type="town")
    ElementTree.SubElement(kind, "speed", max=repr(speed_limit), unit="km/h")
    plan = ElementTree.SubElement(node, "planView")
    s = 0.0
    for primitive in road.primitives:
        geometry = ElementTree.SubElement(
            plan,
            "geometry",
            s=repr(s),
            x=repr(primitive.x),
            y=repr(primitive.y),
            hdg=repr(primitive.heading),
            length=repr(primitive.length),
        )
        if primitive.curvature == 0.0:
            ElementTree.SubElement(geometry, "line")
        else:
            ElementTree.SubElement(geometry, "arc", curvature=repr(primitive.curvature))
        s += primitive.length
    elevation = ElementTree.SubElement(node, "elevationProfile")
    ElementTree.SubElement(elevation, "elevation", s="0", a="0", b="0", c="0", d="0")
    lanes = ElementTree.SubElement(node, "lanes")
    ElementTree.SubElement(lanes, "laneOffset", s="0", a="0", b="0", c="0", d="0")
    section = ElementTree.SubElement(lanes, "laneSection", s="0")
    left = ElementTree.SubElement(section, "left")
    for lane_id in range(len(road.left), 0, -1):
        _write_lane(left, lane_id, road.left[lane_id - 1])
    center = ElementTree.SubElement(section, "center")
    middle = ElementTree.SubElement(center, "lane", id="0", type="none", level="false")
    _write_mark(middle, road.center_mark)
    right = ElementTree.SubElement(section, "right")
    for index, lane in enumerate(road.right):
        _write_lane(right, -index - 1, lane)


def _write_lane(side: ElementTree.Element, lane_id: int, lane: Lane) -> None:
    node = ElementTree.SubElement(side, "lane", id=str(lane_id), type="driving", level="false")
    link = ElementTree.SubElement(node, "link")
    ElementTree.SubElement(link, "predecessor", id=str(lane_id))
    ElementTree.SubElement(link, "successor", id=str(lane_id))
    ElementTree.SubElement(node, "width", sOffset="0", a=repr(lane.width), b="0", c="0", d="0")
    _write_mark(node, lane.mark)


def _write_mark(lane: ElementTree.Element, mark: Mark) -> None:
    ElementTree.SubElement(
        lane,
        "roadMark",
        sOffset="0",
        type=mark.kind,
        weight="standard",
        color=mark.color,
        material="standard",
        width=repr(MARK_WIDTH),
        laneChange="both" if mark.kind == "broken" else "none",
    )


MARK_WIDTH = 0.15
MAX_LENGTH = 100_000.0  # m of roads in all
MAX_AREA = 4e6  # m2 around them: a picture of 1.6 GB
MAX_LANES, MAX_LANE_WIDTH = 10, 20.0  # a side; m
CHECK_SPACING = 25.0  # m


def read(name: str, xodr: str, speed_limit: float) -> RoadMap:
    """Read lines and arcs with constant lane widths; raises ValueError naming what else the text holds."""
    try:
        root = ElementTree.fromstring(xodr.encode())
    except ElementTree.ParseError as error:
        raise ValueError(f"not XML: {error}") from error
    roads = tuple(_read_road(node) for node in root.iter("road"))
    if not roads:
        raise ValueError("there is no road in it")
    _check_size(roads)
    return RoadMap(name, roads, speed_limit, xodr)


def _check_size(roads: Iterable[Road]) -> None:
    """Raise ValueError for a map whose picture would not fit in memory, or whose numbers are no road's."""
    primitives = [primitive for road in roads for primitive in road.primitives]
    if sum(primitive.length for primitive in primitives) > MAX_LENGTH:
        raise ValueError(f"the roads are longer than {MAX_LENGTH:g} m in all")
    points = []
    for primitive in primitives:
        count = math.ceil(primitive.length / CHECK_SPACING)
        points += [primitive.at(index * primitive.length / count)[:2] for index in range(count + 1)]
    x, y = zip(*points, strict=True)
    if (max(x) - min(x)) * (max(y) - min(y)) > MAX_AREA:
        raise ValueError(f"the map covers more than {MAX_AREA / 1e6:g} km2")


def _read_road(node: ElementTree.Element) -> Road:
    road_id = int(node.get("id", "0"))
    primitives = []
    for geometry in node.iter("geometry"):
        x, y, heading, length = (float(geometry.get(key, "nan")) for key in ("x", "y", "hdg", "length"))
        arc = geometry.find("arc")
        if arc is None and geometry.find("line") is None:
            raise ValueError(f"road {road_id} is drawn with something other than lines and arcs")
        curvature = 0.0 if arc is None else float(arc.get("curvature", "nan"))
        if not all(map(math.isfinite, (x, y, heading, length, curvature))) or length < 0.0:
            raise ValueError(f"road {road_id} has a geometry with missing or impossible numbers")
        if length > 0.0:
            primitives.append(Primitive(x, y, heading, length, curvature))
    section = node.find("lanes/laneSection")
    if section is None or not primitives:
        raise ValueError(f"road {road_id} has no lanes or no geometry")
    middle = section.find("center/lane")
    return Road(
        road_id=road_id,
        primitives=tuple(primitives),
        center_mark=Mark("none") if middle is None else _read_mark(middle),
        right=_read_side(section, "right"),
        left=_read_side(section, "left"),
        predecessor=0,
        successor=0,
    )


def _read_side(section: ElementTree.Element, side: str) -> tuple[Lane, ...]:
    lanes = sorted(section.iterfind(f"{side}/lane"), key=lambda node: abs(int(node.get("id", "0"))))
    driving = [node for node in lanes if node.get("type") == "driving"]
    if len(driving) > MAX_LANES:
        raise ValueError(f"a road has more than {MAX_LANES} lanes to a side")
    return tuple(Lane(_read_width(node), _read_mark(node)) for node in driving)


def _read_width(lane: ElementTree.Element) -> float:
    node = lane.find("width")
    width = 0.0 if node is None else float(node.get("a", "0"))
    if not 0.0 <= width <= MAX_LANE_WIDTH:
        raise ValueError(f"a lane is {width} m wide")
    return width


def _read_mark(lane: ElementTree.Element) -> Mark:
    mark = lane.find("roadMark")
    if mark is None:
        return Mark("none")
    return Mark(mark.get("type", "none"), mark.get("color", "standard"))
