"""What the trainer needs of an environment: a Gymnasium environment plus two sizes."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

FRAME_SIZE = 84
STACK = 4

Observation = dict[str, Any]  # image uint8 (stack, 84, 84), vector float32 (vector_size,)
Action = NDArray[Any]  # float32 (action_size,)


class Env(Protocol):
    """A Gymnasium environment that observes `image` uint8 (stack, 84, 84), `vector` float32 (vector_size,).

    Attributes:
        vector_size: numbers of the observation's vector.
        action_size: numbers of an action.
    """

    vector_size: int
    action_size: int

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; a seed alone decides it, whatever was played before.

        Where there are starts to choose from, `options={"spread": i}` takes one of the i-th kind, so that a few
        episodes that count up try all of them.
        """
        ...

    def step(self, action: Action | None) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Play one action in [-1, 1]^action_size.

        With None the environment's autopilot drives, and `info["control"]` tells its action; one that has none raises
        ValueError.
        """
        ...

    def close(self) -> None:
        """Give back every process, port and file."""
        ...


def executed(action: Action | None, info: Mapping[str, Any]) -> Action:
    """The action that a step took, whether it was given or the autopilot's; `info` is the step's."""
    return np.asarray(info["control"]) if action is None else action


def observation_space(vector_size: int, frame_stack: int = STACK, bound: float = 1.0) -> spaces.Dict:
    """The observation of every environment here: a stack of gray frames and a vector within +-``bound``."""
    return spaces.Dict(
        {
            "image": spaces.Box(0, 255, (frame_stack, FRAME_SIZE, FRAME_SIZE), np.uint8),
            "vector": spaces.Box(-bound, bound, (vector_size,), np.float32),
        }
    )
