"""Settings -> the environment, and what must be known of it before it runs."""

from __future__ import annotations

from pathlib import Path

from td3sweep.config.env_settings import CarlaSettings, GymSettings
from td3sweep.config.settings import Settings
from td3sweep.envs.protocol import Env


def build_env(settings: Settings, log_dir: Path, *, detail: bool = False, autopilot: bool | None = None) -> Env:
    """The environment; its server process, if it has one, is starting when this returns.

    With ``detail`` CARLA's info tells of every tick, for an evaluation's metrics; with ``autopilot`` CARLA's Traffic
    Manager is ready to drive (None: where the demonstrations are its).
    """
    env = settings.env
    if isinstance(env, GymSettings):
        from td3sweep.envs.gym import GymImageEnv

        return GymImageEnv(
            env.id,
            frame_stack=settings.frame_stack,
            action_repeat=env.action_repeat,
            pedals=env.pedals,
            stalled_steps=env.stalled_steps,
        )
    assert isinstance(env, CarlaSettings)
    from td3sweep.envs.carla.config import DriveConfig
    from td3sweep.envs.carla.isolated import IsolatedCarlaEnv

    # In a process of its own: the client library can take its process down, and must not take the learner with it.
    carla_env = IsolatedCarlaEnv(
        DriveConfig(
            env,
            settings.reward,
            frame_stack=settings.frame_stack,
            gamma=settings.hyperparams.gamma,
            autopilot=settings.demonstrations.name == "autopilot" if autopilot is None else autopilot,
            detail=detail,
            log_dir=str(log_dir),
        )
    )
    carla_env.start()
    return carla_env


def observed_sizes(settings: Settings) -> tuple[int, int]:
    """Numbers of the observation's vector and of an action; no simulator is started."""
    env = settings.env
    if isinstance(env, CarlaSettings):
        from td3sweep.envs.carla.env import ACTION_SIZE
        from td3sweep.envs.carla.observe import vector_size

        return vector_size(env.vector), ACTION_SIZE
    gym = build_env(settings, Path())
    gym.close()
    return gym.vector_size, gym.action_size


def random_bounds(settings: Settings, action_size: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Bounds of the warm-up's uniform actions; a throttle leans forward, or the car would stand still."""
    low, env = [-1.0] * action_size, settings.env
    if isinstance(env, CarlaSettings):
        low[1] = env.warmup_throttle
    elif isinstance(env, GymSettings) and env.pedals:
        from td3sweep.envs.gym import pedal_place

        low[pedal_place(env.pedals)] = env.warmup_throttle
    return tuple(low), (1.0,) * action_size
