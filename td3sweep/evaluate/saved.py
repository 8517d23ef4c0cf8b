"""A checkpoint found on disk: the file, its run's settings with overrides, and its agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from td3sweep.agent.td3 import TD3
from td3sweep.assemble.environment import observed_sizes
from td3sweep.assemble.learner import build_agent
from td3sweep.config.compose import COMPOSITION_ERRORS, override_saved
from td3sweep.config.roles import keys_of
from td3sweep.config.saved import flatten
from td3sweep.config.setting import Role
from td3sweep.config.settings import Settings
from td3sweep.errors import UserError
from td3sweep.training.checkpoint import read_checkpoint


def find(path: Path) -> tuple[Path | None, Path]:
    """The newest checkpoint of a run directory, or the one given, and its ``config.yaml``.

    The checkpoint is None where the run has none yet.

    Raises:
        UserError: there is no such file or run.
    """
    if path.is_dir():
        config = path / "config.yaml"
        checkpoint = max((path / "checkpoints").glob("step-*.pt"), default=None)
    else:
        if not path.is_file():
            raise UserError(f"{path}: no such file or directory; give a run directory or one of its checkpoints/*.pt")
        checkpoint, config = path, path.resolve().parent.parent / "config.yaml"
    if not config.is_file():
        raise UserError(
            f"{path}: no run's; its config.yaml is missing at {config}; give a run directory, or a checkpoint in one"
        )
    return checkpoint, config


def saved_settings(config: Path, overrides: list[str]) -> Settings:
    """A run's settings with overrides.

    Raises:
        UserError: they cannot be read, an override is wrong, or it asks for another architecture.
    """
    try:
        saved: Any = OmegaConf.to_container(OmegaConf.load(config))
        if not isinstance(saved, dict):
            raise TypeError("it holds no mapping")
        before = override_saved(saved, [])
    except (*COMPOSITION_ERRORS, UserError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{config}: not this version's config.yaml ({' '.join(str(error).split())})") from error
    settings = override_saved(saved, overrides)
    old, new = flatten(before), flatten(settings)
    for key in keys_of(Role.SHAPE):
        if old.get(key) != new.get(key):
            raise UserError(
                f"{key}={new.get(key)}: the checkpoint was trained with {old.get(key)}, and another architecture "
                "cannot use its weights; drop the override"
            )
    return settings


def load_agent(settings: Settings, checkpoint: Path) -> tuple[TD3, int]:
    """The agent of a checkpoint, and the environment step at which it was saved.

    Raises:
        UserError: the checkpoint is damaged, foreign, or of another architecture.
    """
    payload = read_checkpoint(checkpoint)
    agent = build_agent(settings, *observed_sizes(settings))
    try:
        agent.load_state_dict(payload["agent"])
        return agent, int(payload["env_step"])
    except KeyError as error:
        raise UserError(f"checkpoint {checkpoint}: {error} is missing; it was not written by a training run") from error
