"""What one episode leaves behind for its metrics, its picture and its video."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3sweep.envs.carla.state import DriveState


@dataclass
class Recording:
    """One episode, moment by moment; a moment is the start or an agent step.

    Attributes:
        frames: the newest camera frame, (84, 84) uint8.
        actions: the action before the moment; zeros at the start.
        places: x, y [m] and heading [rad], where the environment tells.
        speeds: m/s, where the environment tells.
        route: (n, 2) m, where the environment tells.
        ticks: of all steps.
    """

    frames: list[NDArray[np.uint8]] = field(default_factory=list)
    actions: list[NDArray[np.float32]] = field(default_factory=list)
    places: list[tuple[float, float, float]] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)
    route: NDArray[np.float64] | None = None
    ticks: list[DriveState] = field(default_factory=list)

    def note(self, observation: dict[str, NDArray[Any]], action: NDArray[np.float32] | None, info: Any) -> None:
        """One moment, as :data:`td3sweep.collect.evaluation.Observer` tells it."""
        self.frames.append(observation["image"][-1].copy())
        self.actions.append(np.zeros(2, np.float32) if action is None else np.array(action, np.float32))
        if "speed" in info:
            self.speeds.append(float(info["speed"]))
        if "position" in info:
            self.places.append((*info["position"], float(info["heading"])))
        if "route" in info:
            self.route = np.asarray(info["route"], float)
        self.ticks += info.get("ticks", [])
