"""Saved configurations: what one of an older version means today, and what a resume may change in it."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from td3sweep.config.former import RENAMED
from td3sweep.config.roles import role_of
from td3sweep.config.setting import Role
from td3sweep.config.settings import OPTIONS, Settings

# What a key meant that an older configuration lacks, where the default has become another since.
FORMER = {"eval_spread": False, "n_step": 1, "trunk": None, "critic_only_updates": 0, "precision": "fp32"}


def flatten(settings: Any, prefix: str = "") -> dict[str, Any]:
    """``{"hyperparams.gamma": .99, ...}`` of a settings dataclass or of the nested dict it was saved as."""
    fields = settings if isinstance(settings, dict) else dataclasses.asdict(settings)
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def modern(saved: dict[str, Any]) -> dict[str, Any]:
    """A saved configuration in this version's words.

    Before there were demonstrations a batch counted transitions, the goal always ended the task, speed was shown in
    30 m/s, a memory read the features alone, and exploration noise that falls did so over 6,000 steps.
    """
    if "demonstrations" in saved or not {"recurrent", "hyperparams", "env"} <= saved.keys():
        return saved
    known = copy.deepcopy(saved)
    memory, hyper, env = known["recurrent"], known["hyperparams"], known["env"]
    known = FORMER | known
    if memory.get("name", "none") != "none":
        known["recurrent"] = {"context": False, "even": False} | memory
    falls = hyper.get("exploration_noise_final") is not None
    hyper["exploration_noise_steps"] = hyper.get("exploration_noise_steps", 6000) if falls else None
    if "batch_size" in hyper:
        hyper["batch_size"] = max(hyper["batch_size"] // memory.get("sequence_length", 1), 1)
    if env.get("name") == "carla":
        ends = env.get("terminate", ["collision", "off_road"])
        known["env"] = {"speed_scale": 30.0} | env | {"terminate": [*ends, "route_done"]}
    return known


def read(saved: dict[str, Any]) -> dict[str, Any]:
    """A saved configuration in this version's words, without what its options do not read."""
    known = dict(modern(saved))
    for group, names in RENAMED.items():
        said = known.get(group)
        if isinstance(said, dict) and said.get("name") in names:
            known[group] = said | {"name": names[said["name"]]}
    for group, options in OPTIONS.items():
        said = known.get(group)
        cls = options.get(said["name"]) if isinstance(said, dict) and "name" in said else None
        if isinstance(said, dict) and cls is not None:
            own = {spec.name for spec in dataclasses.fields(cls)}
            known[group] = {key: value for key, value in said.items() if key in own}
    return known


def completed(saved: dict[str, Any]) -> dict[str, Any]:
    """A saved configuration, flat; a key that it lacks was added since, and that run had its default."""
    known = read(saved)
    usual = flatten(Settings())
    for group, options in OPTIONS.items():
        if cls := options.get(known.get(group, {}).get("name")):
            usual = {key: value for key, value in usual.items() if not key.startswith(f"{group}.")}
            usual |= flatten(cls(), f"{group}.")
    return usual | flatten(known)


def changed_keys(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Keys (dotted) whose values differ between two resolved configurations and that a resume may not change."""
    before, after = completed(old), flatten(new)
    return sorted(
        key
        for key in before.keys() | after.keys()
        if before.get(key) != after.get(key) and not role_of(key) & Role.FREE
    )
