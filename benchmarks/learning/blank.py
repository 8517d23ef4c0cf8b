"""An environment that costs next to nothing: what is left of a loop's time is the loop's own."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

LENGTH = 250
Frame = NDArray[np.uint8]


class Blank(gymnasium.Env[Frame, NDArray[np.float32]]):
    """Gray pictures of 84 x 84 that brighten with the time, episodes of :data:`LENGTH` steps, two actions."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - Gymnasium declares it so
    observation_space = spaces.Box(0, 255, (84, 84), np.uint8)
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self._time = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        super().reset(seed=seed)
        self._time = 0
        return self.render(), {}

    def step(self, action: NDArray[np.float32]) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        self._time += 1
        return self.render(), -abs(float(action[0])), False, self._time >= LENGTH, {}

    def render(self) -> Frame:
        """The picture."""
        return np.full((84, 84), self._time % 256, np.uint8)


gymnasium.register("td3sweep-benchmarks/Blank-v0", entry_point=Blank)
