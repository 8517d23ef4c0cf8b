"""What happened in one simulator tick: as the simulator tells it, and as reward and ends of an episode see it."""

from dataclasses import dataclass
from typing import Any

from td3sweep.envs.carla.control import Control
from td3sweep.envs.carla.route import Pose

OFF_ROAD = 2.5  # m from its lane's centre at which a car has left the road


@dataclass(frozen=True, slots=True)
class Tick:
    """The world after one tick, all of one frame.

    Attributes:
        frame: the server's frame number.
        pose: of the ego.
        speed: of the ego in the plane, m/s.
        acceleration: of the ego in the plane, m/s^2.
        control: what the ego was driven with.
        image: `carla.Image`.
        hit: type of what the ego touched in this frame, such as `vehicle.audi.tt`; empty for nothing.
        crossings: times that CARLA's lane-invasion sensor saw the ego cross a marking, where it was asked for.
        snapshot: `carla.WorldSnapshot`.
    """

    frame: int
    pose: Pose
    speed: float
    acceleration: tuple[float, float]
    control: Control
    image: Any
    hit: str
    crossings: int
    snapshot: Any


@dataclass(frozen=True, slots=True)
class DriveState:
    """One tick of driving; offsets and heading errors are positive to the right.

    Attributes:
        speed: m/s.
        lateral: signed offset from the route's lane centre, m.
        heading_error: car's heading less the route's, rad in [-pi, pi].
        half_lane: half the lane's width, m.
        jerk: change of acceleration over the tick, m/s^3.
        metres_gained: way along the route in this tick, m; negative when going back.
        route_fraction: share of the route that lies behind the car, in [0, 1].
        waypoints_passed: way-points reached for the first time in this tick.
        route_done: the end of the route is reached.
        collision_speed: speed at an impact in this tick, m/s; None without one.
        lane_invasion: in this tick the car's outline began to cross an edge of its lane.
        position: of the car in the world, m.
        hit: type of what was touched in this tick; empty for nothing.
        crossings: lane markings crossed in this tick by CARLA's own sensor, where it was asked for.
        gap: free metres to the nearest car ahead in the own lane; infinite without one.
        time_to_collision: gap over closing speed, s; infinite when not closing.
        stopped_ticks: ticks in a row, this one included, at a standstill.
    """

    speed: float = 0.0
    lateral: float = 0.0
    heading_error: float = 0.0
    half_lane: float = 1.75
    jerk: float = 0.0
    metres_gained: float = 0.0
    route_fraction: float = 0.0
    waypoints_passed: int = 0
    route_done: bool = False
    collision_speed: float | None = None
    lane_invasion: bool = False
    position: tuple[float, float] = (0.0, 0.0)
    hit: str = ""
    crossings: int = 0
    gap: float = float("inf")
    time_to_collision: float = float("inf")
    stopped_ticks: int = 0
