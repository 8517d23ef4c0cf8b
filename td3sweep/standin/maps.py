"""The stand-in's own maps: closed loops without junctions, driven both ways, generated from lines and arcs.

Every loop is one half drawn twice: a half that turns by 180 degrees in all, then its own copy, closes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

from td3sweep.standin.geometry import Transform
from td3sweep.standin.opendrive import Lane, Mark, Primitive, Road, RoadMap, write

LANE_WIDTH = 3.5
SPAWN_SPACING = 12.0
SPAWN_HEIGHT = 0.3
DEFAULT_MAP = "StandInTown"

Piece = tuple[float, float]
"""Length in metres and curvature in 1/m (left is positive)."""

EDGE = Lane(LANE_WIDTH, Mark("solid", "white"))
INNER = Lane(LANE_WIDTH, Mark("broken", "white"))


def straight(length: float) -> Piece:
    return length, 0.0


def bend(degrees: float, radius: float) -> Piece:
    """An arc turning left by ``degrees`` (right where negative)."""
    return abs(math.radians(degrees)) * radius, math.copysign(1.0 / radius, degrees)


def loop(
    name: str,
    half: Sequence[Sequence[Piece]],
    side: tuple[Lane, ...],
    center_mark: Mark,
    speed_limit: float,
) -> RoadMap:
    """A closed loop around the origin. ``half`` lists the roads of one half, which turns by 180 degrees."""
    turn = sum(length * curvature for road in half for length, curvature in road)
    if abs(abs(turn) - math.pi) > 1e-9:
        raise ValueError(f"the half of map {name} turns by {math.degrees(turn):.6f} degrees instead of 180")
    end_x, end_y, _ = _draw(half, 0.0, 0.0, 0.0)[-1][-1].at(half[-1][-1][0])
    chains = _draw([*half, *half], -0.5 * end_x, -0.5 * end_y, 0.0)
    count = len(chains)
    roads = tuple(
        Road(
            road_id=index + 1,
            primitives=tuple(chain),
            center_mark=center_mark,
            right=side,
            left=side,
            predecessor=(index - 1) % count + 1,
            successor=(index + 1) % count + 1,
        )
        for index, chain in enumerate(chains)
    )
    return RoadMap(name, roads, speed_limit, write(name, roads, speed_limit))


def _draw(roads: Sequence[Sequence[Piece]], x: float, y: float, heading: float) -> list[list[Primitive]]:
    chains = []
    for road in roads:
        chain = []
        for length, curvature in road:
            primitive = Primitive(x, y, heading, length, curvature)
            x, y, heading = primitive.at(length)
            chain.append(primitive)
        chains.append(chain)
    return chains


def _ring() -> RoadMap:
    """A circle of 60 m radius, one lane each way: 377 m of constant curvature."""
    quarters = [[bend(90.0, 60.0)], [bend(90.0, 60.0)]]
    return loop("StandInRing", quarters, (EDGE,), Mark("broken", "yellow"), 30.0)


def _town() -> RoadMap:
    """An S-shaped loop, one lane each way, 18-40 m bends to both sides: 2 x 330 m."""
    half = [
        [straight(25.0), bend(90.0, 25.0), straight(20.0)],
        [bend(-60.0, 30.0), straight(25.0), bend(75.0, 18.0), straight(15.0)],
        [straight(15.0), bend(-45.0, 40.0), straight(20.0), bend(120.0, 22.0), straight(25.0)],
    ]
    return loop("StandInTown", half, (EDGE,), Mark("broken", "yellow"), 30.0)


def _highway() -> RoadMap:
    """Two lanes a direction, wide and tight bends to both sides."""
    half = [
        [straight(60.0), bend(100.0, 90.0), straight(40.0)],
        [bend(-50.0, 60.0), straight(50.0)],
        [bend(130.0, 35.0), straight(60.0)],
    ]
    return loop("StandInHighway", half, (INNER, EDGE), Mark("solid", "yellow"), 60.0)


_BUILDERS: dict[str, Callable[[], RoadMap]] = {
    "StandInHighway": _highway,
    "StandInRing": _ring,
    "StandInTown": _town,
}

MAP_NAMES = tuple(_BUILDERS)


@cache
def built_in(name: str) -> RoadMap:
    """The map of that name; raises KeyError if there is none."""
    return _BUILDERS[name]()


def spawn_points(road_map: RoadMap) -> list[Transform]:
    """Poses on every lane, about every ``SPAWN_SPACING`` metres of reference line, just above the ground."""
    points = []
    for road in road_map.roads:
        count = max(1, round(road.length / SPAWN_SPACING))
        for index in range(count):
            s = (index + 0.5) * road.length / count
            points += [road.lane_pose(lane_id, s, SPAWN_HEIGHT) for lane_id in road.lane_ids()]
    return points
