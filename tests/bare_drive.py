"""The CARLA environment bare: a tick an action, long episodes, way-points, and a standstill ends nothing."""

import os
from pathlib import Path

from td3sweep.envs.carla.config import drive_config
from td3sweep.envs.carla.make import make_carla_env

OF_TESTS = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}  # a test file run by itself finds its helpers
BARE = {"action_repeat": 1, "max_episode_steps": 1000, "stalled_ticks": None, "vector": "full", "steer_scale": 1.0}


def bare(**arguments):
    """A configuration of it, but for these arguments."""
    return drive_config(**(BARE | arguments))


def made(**arguments):
    """The environment of it, in a process of its own where traffic asks for that."""
    return make_carla_env(**(BARE | arguments))
