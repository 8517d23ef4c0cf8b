"""Ends of an episode: which of them end the task (terminated) and which only stop the clock (truncated) is chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from td3sweep.envs.carla.state import OFF_ROAD, DriveState
from td3sweep.errors import UserError

EndReason = Literal["", "collision", "off_road", "route_done", "time_limit", "stalled"]


@dataclass(frozen=True)
class Collision:
    """The car touched something."""

    reason: EndReason = "collision"

    def holds(self, state: DriveState) -> bool:
        """Whether this tick ends the episode."""
        return state.collision_speed is not None


@dataclass(frozen=True)
class OffRoad:
    """The car's centre is over `limit` metres from its lane's centre; touching a marking is not enough."""

    limit: float = OFF_ROAD
    reason: EndReason = "off_road"

    def holds(self, state: DriveState) -> bool:
        """Whether this tick ends the episode."""
        return abs(state.lateral) > self.limit


@dataclass(frozen=True)
class RouteDone:
    """The end of the route is reached: the only success.

    The road goes on behind it and no camera sees it, so that it had better not end the task: what can't be seen
    coming can't be learnt to be worth anything.
    """

    reason: EndReason = "route_done"

    def holds(self, state: DriveState) -> bool:
        """Whether this tick ends the episode."""
        return state.route_done


@dataclass(frozen=True)
class Stalled:
    """The car has stood still for `ticks` in a row."""

    ticks: int
    reason: EndReason = "stalled"

    def holds(self, state: DriveState) -> bool:
        """Whether this tick ends the episode."""
        return state.stopped_ticks >= self.ticks


ALWAYS: tuple[EndReason, ...] = ("route_done", "stalled")  # end an episode whether or not they end the task
End = Collision | OffRoad | RouteDone | Stalled


def build_ends(names: Sequence[str], *, stalled_ticks: int | None) -> list[End]:
    """Every end that can come: those of these names that may be left out, the route's, and a standstill.

    Raises:
        UserError: a name is unknown.
    """
    known: Mapping[str, End] = {"collision": Collision(), "off_road": OffRoad()}
    choices = (*known, *ALWAYS)
    for name in names:
        if name not in choices:
            raise UserError(f"env.terminate={name}: no such end; choose from {', '.join(choices)}")
    stalled = [] if stalled_ticks is None else [Stalled(stalled_ticks)]
    return [*(known[name] for name in names if name in known), RouteDone(), *stalled]


def first_end(ends: Sequence[End], state: DriveState) -> EndReason:
    """The reason of the first end that holds, or an empty string."""
    return next((end.reason for end in ends if end.holds(state)), "")
