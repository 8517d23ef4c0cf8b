"""The CARLA environment in this process where that is safe, else in a process of its own."""

from typing import Any

from td3sweep.envs.carla.env import CarlaDriveEnv
from td3sweep.envs.carla.isolated import IsolatedCarlaEnv


def make_carla_env(**arguments: Any) -> CarlaDriveEnv | IsolatedCarlaEnv:
    """Build the environment; arguments as `CarlaDriveEnv`.

    The client's Traffic Manager aborts the process it lives in when its server dies, and real servers do die; without
    traffic and autopilot, and on the stand-in, nothing of the kind was seen and the faster form serves.
    """
    manager = arguments.get("traffic", 0) > 0 or arguments.get("autopilot", False)
    alone = manager or arguments.get("server", "standin") != "standin"
    return IsolatedCarlaEnv(**arguments) if alone else CarlaDriveEnv(**arguments)
