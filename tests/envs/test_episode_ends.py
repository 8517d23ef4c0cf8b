import pytest

from td3sweep.envs.carla.state import DriveState
from td3sweep.envs.carla.terminate import Collision, OffRoad, RouteDone, Stalled, first_end

ENDS = [Collision(), OffRoad(2.5), RouteDone(), Stalled(100)]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (DriveState(), ""),
        (DriveState(lateral=-2.5), ""),
        (DriveState(lateral=-2.51), "off_road"),
        (DriveState(lane_invasion=True, lateral=1.0), ""),
        (DriveState(collision_speed=0.0), "collision"),
        (DriveState(collision_speed=0.0, lateral=3.0), "collision"),
        (DriveState(route_done=True), "route_done"),
        (DriveState(stopped_ticks=99), ""),
        (DriveState(stopped_ticks=100), "stalled"),
    ],
)
def test_first_end(state, reason):
    assert first_end(ENDS, state) == reason
