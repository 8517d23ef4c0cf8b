"""A car's pedals and wheel, and the actions that stand for them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Control(NamedTuple):
    """What a car is driven with: throttle and brake in [0, 1], steer in [-1, 1], positive right."""

    throttle: float
    steer: float
    brake: float


def control_of(action: Any, steer_scale: float, *, autopilot: bool) -> Control | None:
    """What an action does: steer, and throttle if positive or brake if negative; it is clipped to [-1, 1].

    Raises:
        ValueError: the action is not finite; or it is None, which leaves the control to an `autopilot`, without one.
    """
    if action is None:
        if not autopilot:
            raise ValueError("action None is the autopilot's: it needs CarlaDriveEnv(autopilot=True)")
        return None
    steer, drive = (float(value) for value in action)
    if not (math.isfinite(steer) and math.isfinite(drive)):
        raise ValueError(f"action {action} is not finite")
    throttle, brake = min(max(drive, 0.0), 1.0), min(max(-drive, 0.0), 1.0)
    return Control(throttle, min(max(steer, -1.0), 1.0) * steer_scale, brake)


def action_of(controls: Sequence[Control], steer_scale: float) -> NDArray[np.float32]:
    """The action that comes nearest to what a car was driven with, tick by tick."""
    steer = sum(control.steer for control in controls) / len(controls) / steer_scale
    drive = sum(control.throttle - control.brake for control in controls) / len(controls)
    return np.clip([steer, drive], -1.0, 1.0).astype(np.float32)
