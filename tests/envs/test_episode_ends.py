import pytest

from td3sweep.envs.carla.state import DriveState
from td3sweep.envs.carla.terminate import Collision, OffRoad, RouteDone, Stalled, build_ends, first_end
from td3sweep.errors import UserError

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


def test_ends_are_chosen_by_name_and_the_routes_end_always_is_one():
    assert build_ends(["collision", "off_road"], stalled_ticks=100) == ENDS
    assert build_ends([], stalled_ticks=None) == [RouteDone()]
    named = ["stalled", "route_done", "off_road", "collision"]  # whether it terminates; it ends an episode either way
    assert set(build_ends(named, stalled_ticks=100)) == set(ENDS)
    assert first_end(build_ends(["collision"], stalled_ticks=None), DriveState(lateral=9.0)) == ""
    assert first_end(build_ends(["off_road"], stalled_ticks=None), DriveState(lateral=2.6)) == "off_road"
    with pytest.raises(
        UserError, match=r"env\.terminate=lane: no such end; choose from collision, off_road, route_done, stalled"
    ):
        build_ends(["lane"], stalled_ticks=None)
