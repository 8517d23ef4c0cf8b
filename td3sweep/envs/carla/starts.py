"""Where an episode starts and which route it follows: from a fixed list, or random; in both the seed decides."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from td3sweep.envs.carla.route import LaneGraph, Pose, Route
from td3sweep.errors import UserError


class Starts:
    """The starts and routes of one map."""

    def __init__(
        self,
        lanes: LaneGraph,
        places: Sequence[Any],
        waypoints: Sequence[Any],
        *,
        length: tuple[float, float],
        pairs: Sequence[Sequence[int]],
        jitter: tuple[float, float],
    ) -> None:
        """
        Args:
            lanes: of the map.
            places: its spawn points.
            waypoints: the lane's `carla.Waypoint` at each.
            length: shortest and longest random route, m.
            pairs: fixed routes by the numbers of their first and last spawn point; none: random ones.
            jitter: largest offset of a start, m to a side and rad.

        Raises:
            UserError: a fixed route does not exist on this map.
        """
        self._lanes = lanes
        self._places = places
        self._waypoints = waypoints
        self._length = length
        self._pairs = pairs
        self._jitter = jitter
        endless = [place for place, start in enumerate(waypoints) if lanes.is_endless(start)]
        self._random_places = endless or list(range(len(waypoints)))
        by_lane: dict[int, list[int]] = {}
        for place in self._random_places:
            by_lane.setdefault(int(waypoints[place].lane_id), []).append(place)
        self._by_lane = [by_lane[lane] for lane in sorted(by_lane)]
        for pair in pairs:
            self._fixed(pair)

    def draw(self, rng: np.random.Generator, spread: int | None = None) -> tuple[Route, Pose, float]:
        """A route, the car's pose at its start with jitter, and the ground's height there, m.

        Episodes that count `spread` up start on every lane, and so in every direction, about equally often; of fixed
        routes each in its turn.
        """
        side, turn = rng.uniform(-1.0, 1.0, 2) * self._jitter
        if self._pairs:
            number = int(rng.integers(len(self._pairs)))
            pair = self._pairs[number if spread is None else spread % len(self._pairs)]
            return self._at(pair[0], self._fixed(pair), side, turn)
        places = self._random_places if spread is None else self._by_lane[spread % len(self._by_lane)]
        place = places[int(rng.integers(len(places)))]
        return self._at(place, self._random(place, rng), side, turn)

    def numbered(self, index: int, attempt: int = 0) -> tuple[Route, Pose, float]:
        """The same without jitter for the fixed route of that number; without a list, one that the map decides.

        A further `attempt` takes the next start.
        """
        if self._pairs:
            pair = self._pairs[(index + attempt) % len(self._pairs)]
            return self._at(pair[0], self._fixed(pair), 0.0, 0.0)
        order = np.random.default_rng(0).permutation(self._random_places)
        place = int(order[(index + attempt) % len(order)])
        return self._at(place, self._random(place, np.random.default_rng(index)), 0.0, 0.0)

    def _random(self, place: int, rng: np.random.Generator) -> Route:
        return self._lanes.plan(self._waypoints[place], rng.uniform(*self._length), rng)

    def _fixed(self, pair: Sequence[int]) -> Route:
        first, last = pair
        missing = [place for place in pair if not 0 <= place < len(self._places)]
        if missing:
            raise UserError(
                f"env.routes: {list(pair)}: the map has no spawn point {missing[0]}, only 0 to {len(self._places) - 1}"
            )
        route = self._lanes.between(self._waypoints[first], self._waypoints[last])
        if route is None:
            raise UserError(
                f"env.routes: {list(pair)}: no lane leads from spawn point {first} to {last}; choose another"
            )
        return route

    def _at(self, place: int, route: Route, side: float, turn: float) -> tuple[Route, Pose, float]:
        x, y, _, yaw = (float(value) for value in route.start)
        pose = Pose(x - math.sin(yaw) * side, y + math.cos(yaw) * side, yaw + turn)
        return route, pose, float(self._places[place].location.z)
