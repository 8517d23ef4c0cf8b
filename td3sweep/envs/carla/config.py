"""What the CARLA environment is told: the settings that Hydra has, with their names, defaults and bounds."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from td3sweep.errors import UserError
from td3sweep.presets import preset
from td3sweep.setting import check_bounds
from td3sweep.settings import (
    CameraSettings,
    CarlaSettings,
    HyperparamSettings,
    RewardSettings,
    Settings,
    TimeoutSettings,
)
from td3sweep.validate import check_routes

GROUPS = {"camera": CameraSettings, "timeouts": TimeoutSettings}


@dataclass(frozen=True)
class DriveConfig:
    """One configuration of the environment.

    Attributes:
        env: see :class:`td3sweep.settings.CarlaSettings`.
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
        check_bounds(Settings(frame_stack=self.frame_stack))
        check_routes(self.env)


def drive_config(**arguments: Any) -> DriveConfig:
    """A configuration from the names that follow ``env.`` on a command line, and those of :class:`DriveConfig`.

    Args:
        arguments: such as `map="StandInRing"`, `traffic=10`, `camera={"width": 512}`; `reward` is a preset's name or
            weights by term.

    Raises:
        UserError: an argument is unknown, or out of its bounds.
    """
    own = {spec.name for spec in dataclasses.fields(DriveConfig)} - {"env", "reward"}
    keys = {spec.name for spec in dataclasses.fields(CarlaSettings)} - {"name"}
    env, rest = {}, {}
    for key, value in arguments.items():
        if key in keys:
            env[key] = _group(key, value) if key in GROUPS else value
        elif key in own:
            rest[key] = value
        elif key != "reward":
            near = difflib.get_close_matches(key, keys | own, n=1) or [near for near in keys if key.startswith(near)]
            raise UserError(
                f"{key}: CarlaDrive has no such argument"
                + (f"; did you mean {near[0]}?" if near else f"; it has reward, {', '.join(sorted(keys | own))}")
            )
    if "reward" in arguments:
        asked = arguments["reward"]
        rest["reward"] = RewardSettings(**(preset("reward", asked) if isinstance(asked, str) else {"terms": asked}))
    return DriveConfig(env=CarlaSettings(**env), **rest)


def _group(key: str, value: Mapping[str, Any]) -> Any:
    known = [spec.name for spec in dataclasses.fields(GROUPS[key])]
    unknown = [name for name in value if name not in known]
    if unknown:
        raise UserError(f"{key}: {unknown[0]} is no key of it; it has {', '.join(known)}")
    return GROUPS[key](**value)
