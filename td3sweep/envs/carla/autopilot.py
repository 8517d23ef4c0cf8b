"""CARLA's own autopilot at the ego's wheel: its Traffic Manager drives it along the episode's route."""

from types import ModuleType
from typing import Any

from td3sweep.envs.carla.route import Route

# m between the points of the path that it is given. Its own map has a point every 5 m, of which it takes up to one for
# each of ours: closer ones would fall behind, and be behind the car where the road forks.
SPACING = 10.0


class Autopilot:
    """Of one ego, from its spawning to its end."""

    def __init__(self, carla: ModuleType, manager: Any, ego: Any, speed: float) -> None:
        """
        Args:
            carla: the wheel.
            manager: a synchronous Traffic Manager.
            ego: a vehicle in its world.
            speed: m/s that it keeps where bends and other cars allow it.
        """
        self._carla, self._manager, self._ego, self._speed = carla, manager, ego, speed
        self._drives = False

    def take(self, route: Route, distance: float) -> None:
        """Take the wheel, `distance` metres along the route: it keeps to the lanes of that.

        The Traffic Manager answers to a tick, so that its first control is played in the second one. Lights and signs
        are nothing to it, as they are nothing to the task.
        """
        if self._drives:
            return
        manager, ego = self._manager, self._ego
        ego.set_autopilot(True, manager.get_port())
        manager.auto_lane_change(ego, False)
        manager.ignore_lights_percentage(ego, 100.0)
        manager.ignore_signs_percentage(ego, 100.0)
        manager.set_desired_speed(ego, 3.6 * self._speed)
        points = route.path(distance + SPACING, SPACING)
        manager.set_path(ego, [self._carla.Location(*point) for point in points.tolist()])
        self._drives = True

    def release(self) -> None:
        """Give the wheel back: the next control is somebody else's."""
        if self._drives:
            self._ego.set_autopilot(False, self._manager.get_port())
            self._drives = False
