"""What the CARLA environment is told: the settings that Hydra has, with their names, defaults and bounds."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from td3sweep.config.env_settings import CameraSettings, CarlaSettings, TimeoutSettings
from td3sweep.config.presets import preset
from td3sweep.config.setting import check_bounds
from td3sweep.config.settings import HyperparamSettings, RewardSettings, Settings
from td3sweep.config.validate import check_task
from td3sweep.errors import UserError

GROUPS = {"camera": CameraSettings, "timeouts": TimeoutSettings}
OF_REWARD = {"reward", "progress_scale"}
UNREAD = {"name", "warmup_throttle"}  # of what every environment has: the learner's


@dataclass(frozen=True)
class DriveConfig:
    """One configuration of the environment.

    Attributes:
        env: see :class:`td3sweep.config.env_settings.CarlaSettings`.
        reward: terms with their weights; `scale` is the learner's own and is not applied here.
        frame_stack: frames in the image stack.
        gamma: the learner's discount, for the shaping terms `centre` and `apf`.
        autopilot: be ready for `step(None)`: CARLA's Traffic Manager drives.
        detail: `info["ticks"]` of a step lists the `DriveState` of each of its ticks, with the crossings that CARLA's
            lane-invasion sensor saw; `info["fixed_delta"]` is a tick's length in seconds.
        log_dir: folder for `server.log`; None uses a temporary file.
        render_mode: None or `rgb_array`, the camera's picture.
    """

    env: CarlaSettings = field(default_factory=CarlaSettings)
    reward: RewardSettings = field(default_factory=lambda: RewardSettings(**preset("reward", "cruise")))
    frame_stack: int = Settings.frame_stack
    gamma: float = HyperparamSettings.gamma
    autopilot: bool = False
    detail: bool = False
    log_dir: str | None = None
    render_mode: str | None = None

    def __post_init__(self) -> None:
        """Raise UserError for a value out of its bounds, naming its key."""
        check_bounds(self.env, "env.")
        check_bounds(self.reward, "reward.")
        check_bounds(HyperparamSettings(gamma=self.gamma), "hyperparams.")
        check_bounds(Settings(frame_stack=self.frame_stack))
        check_task(self.env, self.reward)


def drive_config(**arguments: Any) -> DriveConfig:
    """A configuration from the names that follow ``env.`` on a command line, and those of :class:`DriveConfig`.

    Args:
        arguments: such as `map="StandInRing"`, `traffic=10`, `camera={"width": 512}`; `reward` is a preset's name or
            weights by term, `progress_scale` the reward of a metre in its `progress`. `gymnasium.make` keeps
            `max_episode_steps` for a wrapper of its own, which can only shorten the default.

    Raises:
        UserError: an argument is unknown, or out of its bounds.
    """
    own = {spec.name for spec in dataclasses.fields(DriveConfig)} - {"env", "reward"}
    keys = {spec.name for spec in dataclasses.fields(CarlaSettings)} - UNREAD
    env, rest = {}, {}
    for key, value in arguments.items():
        if key in keys:
            env[key] = _group(key, value) if key in GROUPS else value
        elif key in own:
            rest[key] = value
        elif key not in OF_REWARD:
            near = difflib.get_close_matches(key, keys | own, n=1) or [near for near in keys if key.startswith(near)]
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(keys | own | OF_REWARD))}"
            raise UserError(f"{key}: CarlaDrive has no such argument; {hint}")
    if arguments.keys() & OF_REWARD:
        asked = arguments.get("reward", "cruise")
        reward = RewardSettings(**(preset("reward", asked) if isinstance(asked, str) else {"terms": dict(asked)}))
        scale = arguments.get("progress_scale", reward.progress_scale)
        rest["reward"] = dataclasses.replace(reward, progress_scale=scale)
    return DriveConfig(env=CarlaSettings(**env), **rest)


def _group(key: str, value: Any) -> Any:
    known = [spec.name for spec in dataclasses.fields(GROUPS[key])]
    if not isinstance(value, Mapping):
        raise UserError(f"{key}={value}: give a mapping of {', '.join(known)}")
    unknown = [name for name in value if name not in known]
    if unknown:
        raise UserError(f"{key}: {unknown[0]} is no key of it; it has {', '.join(known)}")
    return GROUPS[key](**value)
