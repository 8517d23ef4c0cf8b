"""Environments: `td3sweep/CarlaDrive-v0` (CARLA or its stand-in) and any Gymnasium environment with images.

Gymnasium 1.x reads no plug-in entry points, so importing this package is what registers the id::

    import gymnasium, td3sweep.envs
    env = gymnasium.make("td3sweep/CarlaDrive-v0")

or, in one line, `gymnasium.make("td3sweep.envs:td3sweep/CarlaDrive-v0")`.
"""

import gymnasium

CARLA_DRIVE = "td3sweep/CarlaDrive-v0"

if CARLA_DRIVE not in gymnasium.registry:
    gymnasium.register(id=CARLA_DRIVE, entry_point="td3sweep.envs.carla.make:make_carla_env")
