"""From ticks of the simulator to states of the drive: what is remembered between one tick and the next."""

import math

from td3sweep.envs.carla.route import WAYPOINT_SPACING, Place, Route
from td3sweep.envs.carla.state import DriveState, Tick
from td3sweep.envs.carla.traffic import Car, nearest_ahead

STANDSTILL = 0.1  # m/s


class DriveTracker:
    """Follows one episode along its route."""

    def __init__(self, route: Route, first: Tick, *, fixed_delta: float, half_length: float, half_width: float) -> None:
        """
        Args:
            route: to be driven from its start.
            first: the tick with which the episode starts.
            fixed_delta: seconds per tick.
            half_length, half_width: of the ego, m.
        """
        self.route = route
        self.place: Place = route.locate(first.pose)
        self._fixed_delta = fixed_delta
        self._half_length = half_length
        self._half_width = half_width
        self._speed = first.speed
        self._acceleration = first.acceleration
        self._furthest = self.place.distance
        self._outside = self._is_outside()
        self._stopped_ticks = 0

    @property
    def fraction(self) -> float:
        """Share of the route driven so far, in [0, 1]; 1 only when it is done."""
        return 1.0 if self.place.done else max(self._furthest / self.route.length, 0.0)

    def first(self, tick: Tick, cars: list[Car]) -> DriveState:
        """The state with which the episode starts, as far as a potential looks at it."""
        gap, time_to_collision = nearest_ahead(tick.snapshot, cars, tick.pose, tick.speed, self._half_length)
        return DriveState(
            speed=tick.speed,
            lateral=self.place.lateral,
            heading_error=self.place.heading_error,
            half_lane=self.place.half_lane,
            route_fraction=self._behind,
            position=(tick.pose.x, tick.pose.y),
            gap=gap,
            time_to_collision=time_to_collision,
        )

    def update(self, tick: Tick, cars: list[Car]) -> DriveState:
        """Take in the next tick."""
        before = self.place.distance
        self.place = place = self.route.locate(tick.pose)
        passed = int(max(place.distance, self._furthest) / WAYPOINT_SPACING) - int(self._furthest / WAYPOINT_SPACING)
        self._furthest = max(place.distance, self._furthest)
        was_outside, self._outside = self._outside, self._is_outside()
        self._stopped_ticks = self._stopped_ticks + 1 if tick.speed < STANDSTILL else 0
        dx = tick.acceleration[0] - self._acceleration[0]
        dy = tick.acceleration[1] - self._acceleration[1]
        gap, time_to_collision = nearest_ahead(tick.snapshot, cars, tick.pose, tick.speed, self._half_length)
        state = DriveState(
            speed=tick.speed,
            lateral=place.lateral,
            heading_error=place.heading_error,
            half_lane=place.half_lane,
            jerk=math.hypot(dx, dy) / self._fixed_delta,
            metres_gained=place.distance - before,
            route_fraction=self._behind,
            waypoints_passed=passed,
            route_done=place.done,
            # The impact may have stopped the car within its tick.
            collision_speed=max(self._speed, tick.speed) if tick.hit else None,
            lane_invasion=self._outside and not was_outside,
            position=(tick.pose.x, tick.pose.y),
            hit=tick.hit,
            crossings=tick.crossings,
            gap=gap,
            time_to_collision=time_to_collision,
            stopped_ticks=self._stopped_ticks,
        )
        self._speed, self._acceleration = tick.speed, tick.acceleration
        return state

    @property
    def _behind(self) -> float:
        return min(max(self.place.distance / self.route.length, 0.0), 1.0)

    def _is_outside(self) -> bool:
        return abs(self.place.lateral) + self._half_width > self.place.half_lane
