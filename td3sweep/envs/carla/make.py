"""The CARLA environment in this process where that is safe, else in a process of its own."""

from typing import Any

from td3sweep.envs.carla.config import drive_config
from td3sweep.envs.carla.env import CarlaDriveEnv
from td3sweep.envs.carla.isolated import IsolatedCarlaEnv


def make_carla_env(**arguments: Any) -> CarlaDriveEnv | IsolatedCarlaEnv:
    """Build the environment; arguments as :func:`td3sweep.envs.carla.config.drive_config`.

    The client's Traffic Manager aborts the process it lives in when its server dies, and real servers do die; without
    traffic and autopilot, and on the stand-in, nothing of the kind was seen and the faster form serves.
    """
    config = drive_config(**arguments)
    alone = config.env.traffic > 0 or config.autopilot or config.env.server != "standin"
    return IsolatedCarlaEnv(config) if alone else CarlaDriveEnv(config)
