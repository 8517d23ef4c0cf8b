"""Routes over a `carla.Map` and the car's place on them.

CARLA's y axis points right of x (left-handed, seen from above), so yaw grows to the right, and every
signed lateral number here is positive to the right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from td3sweep.errors import UserError

SPACING = 1.0  # m between the points of a route
WAYPOINT_SPACING = 2.0  # m between the way-points that an agent sees, and that the progress term counts
GOAL_RADIUS = 2.0  # m before the last point at which a route counts as done
MINIMUM_STEP = 0.25  # m; nearer points are one: a heading between them would be noise
WINDOW_BACK, WINDOW_AHEAD = 5, 30  # points searched around the last place

Floats = NDArray[np.float64]
LaneKey = tuple[int, int, int]  # road, section, lane


@dataclass(frozen=True)
class RouteLane:
    """A lane section's centre line, in driving direction: (n, 4) of x, y, z [m], yaw [rad]; widths (n,)."""

    points: Floats
    half_width: Floats
    length: float


class LaneGraph:
    """The driving lanes of a map, which of them follow which, and their centre lines."""

    def __init__(self, carla_map: Any) -> None:
        self._map = carla_map
        self._graph: nx.DiGraph[LaneKey] = nx.DiGraph()
        self._entries: dict[LaneKey, Any] = {}
        self._lanes: dict[LaneKey, RouteLane] = {}
        for entry, follower in carla_map.get_topology():
            self._entries.setdefault(_key(entry), entry)
            self._graph.add_node(_key(entry))
            # A lane without a follower is paired with its own end; one that closes on itself, with its entry.
            if _key(entry) != _key(follower) or abs(entry.s - follower.s) < MINIMUM_STEP:
                self._graph.add_edge(_key(entry), _key(follower))
        self._endless = _without_dead_ends(self._graph)

    def plan(self, start: Any, length: float, rng: np.random.Generator) -> "Route":
        """A route of `length` metres from a `carla.Waypoint`, turning at random where lanes fork.

        It avoids lanes that lead to a dead end; where all do, the route ends with the road.
        """
        key = _key(start)
        lanes = [self._part(key, self._nearest(start), None)]
        metres = lanes[0].length
        while metres < length and (choices := self._successors(key)):
            key = choices[int(rng.integers(len(choices)))]
            lanes.append(self._lane(key))
            metres += lanes[-1].length
        return _joined(lanes, length)

    def between(self, start: Any, end: Any) -> "Route | None":
        """The shortest route from one `carla.Waypoint` to another, keeping to its lane; None where none leads there.

        From a place to itself or to one behind it, it goes once round.
        """
        first, last = self._nearest(start), self._nearest(end) + 1
        begin, goal = _key(start), _key(end)
        if begin == goal and first < last - 1:
            return _joined([self._part(begin, first, last)])
        ways = [
            [begin, *nx.dijkstra_path(self._graph, follower, goal, lambda _, key, __: self._lane(key).length)]
            for follower in self._followers(begin)
            if nx.has_path(self._graph, follower, goal)
        ]
        if not ways:
            return None
        way = min(ways, key=lambda keys: sum(self._lane(key).length for key in keys))
        middle = [self._lane(key) for key in way[1:-1]]
        return _joined([self._part(begin, first, None), *middle, self._part(goal, 0, last)])

    def is_endless(self, start: Any) -> bool:
        """Whether one can drive on for ever from a `carla.Waypoint`."""
        return _key(start) in self._endless

    def _nearest(self, waypoint: Any) -> int:
        """The point of its lane that is nearest to a `carla.Waypoint`."""
        points, place = self._lane(_key(waypoint)).points, waypoint.transform.location
        return int(np.argmin(np.hypot(points[:, 0] - place.x, points[:, 1] - place.y)))

    def _part(self, key: LaneKey, first: int, last: int | None) -> RouteLane:
        lane = self._lane(key)
        return RouteLane(lane.points[first:last], lane.half_width[first:last], lane.length - SPACING * first)

    def _followers(self, key: LaneKey) -> list[LaneKey]:
        return sorted(self._graph.successors(key)) if key in self._graph else []

    def _successors(self, key: LaneKey) -> list[LaneKey]:
        return [follower for follower in self._followers(key) if follower in self._endless or key not in self._endless]

    def _lane(self, key: LaneKey) -> RouteLane:
        """Sample a lane at first use. `next_until_lane_end` keeps to one lane section, whatever follows."""
        if key not in self._lanes:
            entry = self._entries[key]
            waypoints = [entry, *entry.next_until_lane_end(SPACING)]
            self._lanes[key] = RouteLane(
                points=np.array([_point(waypoint) for waypoint in waypoints]),
                half_width=np.array([waypoint.lane_width / 2.0 for waypoint in waypoints]),
                length=abs(waypoints[-1].s - entry.s),
            )
        return self._lanes[key]


@dataclass(frozen=True, slots=True)
class Pose:
    """Position in metres and heading in radians, in CARLA's world frame."""

    x: float
    y: float
    yaw: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where the car is on its route.

    Attributes:
        distance: metres along the route from its start.
        lateral: signed offset, m, positive right.
        heading_error: rad in [-pi, pi], positive right.
        half_lane: half the lane's width here, m.
        done: the route's end is reached.
    """

    distance: float
    lateral: float
    heading_error: float
    half_lane: float
    done: bool


class Route:
    """A route's points, and a tracker that follows a car along it.

    The search for the car's place is limited to a window around the last one, so that it cannot jump where
    a route crosses or repeats itself.
    """

    def __init__(self, points: Floats, half_width: Floats) -> None:
        """
        Args:
            points: (n, 4): x, y, z in metres and yaw in radians, n >= 2, no two neighbours equal.
            half_width: (n,), metres.
        """
        if len(points) < 2:
            raise UserError("env.route_length: the route is shorter than two metres; ask for a longer one")
        self._xyz = np.ascontiguousarray(points[:, :3])
        self._xy = np.ascontiguousarray(points[:, :2])
        self.start = points[0]
        self._yaw = np.unwrap(points[:, 3])
        self._half_width = half_width
        self._steps = np.diff(self._xy, axis=0)
        self._step_lengths = np.hypot(self._steps[:, 0], self._steps[:, 1])
        self._distances = np.concatenate([[0.0], np.cumsum(self._step_lengths)])
        self._index = 0

    @property
    def points(self) -> Floats:
        """(n, 2), metres."""
        return self._xy

    @property
    def length(self) -> float:
        """Metres."""
        return float(self._distances[-1])

    def path(self, distance: float, spacing: float) -> Floats:
        """(n, 3), metres: points every `spacing` metres from `distance` on, and the last one."""
        distances = [*np.arange(distance, self.length, spacing), self.length]
        return np.stack([np.interp(distances, self._distances, self._xyz[:, axis]) for axis in range(3)], axis=1)

    def rewind(self) -> None:
        """Search from the start of the route again."""
        self._index = 0

    def locate(self, pose: Pose) -> Place:
        """Project the car onto the route near its last place."""
        first = max(self._index - WINDOW_BACK, 0)
        last = min(self._index + WINDOW_AHEAD, len(self._steps))
        steps, lengths = self._steps[first:last], self._step_lengths[first:last]
        dx, dy = pose.x - self._xy[first:last, 0], pose.y - self._xy[first:last, 1]
        along = (dx * steps[:, 0] + dy * steps[:, 1]) / lengths
        fraction = np.clip(along / lengths, 0.0, 1.0)
        squared = (dx - fraction * steps[:, 0]) ** 2 + (dy - fraction * steps[:, 1]) ** 2
        best = int(np.argmin(squared))
        index = first + best
        self._index = index
        t = float(fraction[best])
        right = float(steps[best, 0] * dy[best] - steps[best, 1] * dx[best])
        offset = math.copysign(math.sqrt(float(squared[best])), right)
        heading = float(self._yaw[index] + t * (self._yaw[index + 1] - self._yaw[index]))
        distance = float(self._distances[index] + t * lengths[best])
        return Place(
            distance=distance,
            lateral=offset,
            heading_error=wrap(pose.yaw - heading),
            half_lane=float(self._half_width[index]),
            done=distance >= self.length - GOAL_RADIUS,
        )

    def ahead(self, distance: float, pose: Pose, count: int) -> Floats:
        """The next way-points in the car's frame.

        Returns:
            (count, 3): metres forward, metres right, and 1 for a way-point on the route; past the route's
            end all three are 0.
        """
        places = distance + WAYPOINT_SPACING * np.arange(1, count + 1)
        dx = np.interp(places, self._distances, self._xy[:, 0]) - pose.x
        dy = np.interp(places, self._distances, self._xy[:, 1]) - pose.y
        cos, sin = math.cos(pose.yaw), math.sin(pose.yaw)
        result = np.empty((count, 3))
        result[:, 0] = cos * dx + sin * dy
        result[:, 1] = cos * dy - sin * dx
        result[:, 2] = 1.0
        result[places > self.length] = 0.0
        return result


def wrap(angle: float) -> float:
    """An angle in radians, brought into [-pi, pi]."""
    return math.remainder(angle, 2.0 * math.pi)


def _joined(lanes: Sequence[RouteLane], length: float = math.inf) -> Route:
    """The route along these lanes, or along their first `length` metres."""
    points = np.concatenate([lane.points for lane in lanes])
    half_width = np.concatenate([lane.half_width for lane in lanes])
    steps = np.hypot(*np.diff(points[:, :2], axis=0).T)
    apart = np.concatenate([[True], steps >= MINIMUM_STEP])  # where lanes meet, a point comes twice
    enough = np.concatenate([[0.0], np.cumsum(steps)]) <= length
    return Route(points[apart & enough], half_width[apart & enough])


def _key(waypoint: Any) -> LaneKey:
    return (waypoint.road_id, waypoint.section_id, waypoint.lane_id)


def _point(waypoint: Any) -> tuple[float, float, float, float]:
    location, rotation = waypoint.transform.location, waypoint.transform.rotation
    return (location.x, location.y, location.z, math.radians(rotation.yaw))


def _without_dead_ends(graph: "nx.DiGraph[LaneKey]") -> "nx.DiGraph[LaneKey]":
    """The lanes from which one can drive on for ever."""
    endless = graph.copy()
    while dead := [key for key, degree in endless.out_degree() if degree == 0]:
        endless.remove_nodes_from(dead)
    return endless
