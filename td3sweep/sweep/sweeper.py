"""From a multirun's configuration to a controller that runs it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from td3sweep.collect.tapes import check_recording
from td3sweep.config.compose import chooses, compose_settings
from td3sweep.config.env_settings import CarlaSettings
from td3sweep.config.presets import options, preset
from td3sweep.config.roles import role_of
from td3sweep.config.saved import flatten
from td3sweep.config.setting import Role
from td3sweep.config.settings import Settings, SweepSettings
from td3sweep.errors import UserError
from td3sweep.sweep.controller import Controller
from td3sweep.sweep.engines import Engine
from td3sweep.sweep.search import build_pruner, build_sampler
from td3sweep.sweep.space import Space, Value, parse_space
from td3sweep.sweep.spec import Spec
from td3sweep.sweep.study import Ledger

LARGEST_GRID = 10_000


def sweep(config: DictConfig, arguments: Sequence[str]) -> None:
    """Search as ``config`` says, resuming what its directory holds; returns when the budget is spent.

    Args:
        config: the composed configuration of the multirun, with its ``hydra`` node.
        arguments: the command line's overrides, sweep words among them.

    Raises:
        UserError: what was asked for makes no sense, or another sweep owns the directory.
        SystemExit: a signal ended it, after every trial had saved; the code is 128 plus the signal's number.
    """
    search, spec, space = describe(config, arguments)
    directory = sweep_directory(config, spec)
    if search.plan:
        from td3sweep.sweep.plan import plan

        plan(spec, space, budget_of(search, space), Console(highlight=False))
        return
    engine = build_engine(config, directory, search.width)
    directory.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(spec.settle(directory), directory, space)
    budget = budget_of(search, space)
    ledger.plan(first_points(search, space, memory=spec.fixed.get("recurrent.name", "none")), budget)
    code = Controller(ledger, engine, space, budget).run()
    if code:
        sys.exit(code)


def describe(config: DictConfig, arguments: Sequence[str]) -> tuple[SweepSettings, Spec, Space]:
    """What is searched and what is fixed, checked at the corners of the space. Raises UserError."""
    group = {str(key): str(word) for key, word in OmegaConf.to_container(config.space.params).items()}  # type: ignore[union-attr]
    space, fixed = parse_space(group, arguments)
    space, listed = _take_out_seeds(space)
    own = [word for word in fixed if word.lstrip("+").startswith(("space=", "space.", "sweep."))]
    base = [word for word in fixed if word not in own]
    if not chooses("monitor", base) and "stable" not in list(config.sweep.objectives):
        base.append("monitor=stop")
    corners = compose_corners(space, base, own)
    settings = next(corners)
    search = settings.sweep
    _check(search, settings, space, listed)  # what one corner shows is refused before the others are composed
    seeds = listed or [settings.seed + i for i in range(search.seeds)]
    spec = Spec(
        name="",
        space=settings.space.name,
        words=space.words,
        base=base,
        seeds=seeds,
        fixed={
            key: value
            for key, value in _shared([settings, *corners]).items()
            if _decides(role_of(key)) and key not in space.words
        },
        search=search,
    )
    return search, spec, space


def _decides(role: Role) -> bool:
    """Whether a setting of this role is part of what the sweep is: it decides what a run learns, or what it scores."""
    return bool(role & (Role.LEARNT | Role.SCORED))


def _shared(corners: Sequence[Settings]) -> dict[str, Any]:
    """The resolved keys that have the same value at every corner: the corners meet every choice of a swept group."""
    first, *others = map(flatten, corners)
    return {key: value for key, value in first.items() if all(key in o and o[key] == value for o in others)}


def _take_out_seeds(space: Space) -> tuple[Space, list[int]]:
    """``seed=0,1`` is not a thing to search: every trial runs with each of them."""
    seeds = next((parameter for parameter in space.parameters if parameter.key == "seed"), None)
    if seeds is None:
        return space, []
    values = seeds.values()
    if values is None or not all(isinstance(value, int) for value in values):
        raise UserError(f"seed={seeds.word}: list the seeds, such as seed=0,1,2; or give sweep.seeds=3")
    others = tuple(parameter for parameter in space.parameters if parameter is not seeds)
    return Space(others), [int(value) for value in values if value is not None]


def compose_corners(space: Space, base: Sequence[str], own: Sequence[str]) -> Iterator[Settings]:
    """The checked settings at each edge of the space, composed as asked for, so that no trial can fail on them."""
    for point in space.corners() or [{}]:
        try:
            settings = compose_settings([*base, *own, *space.overrides(point)])
            check_recording(settings)
        except UserError as error:
            where = " ".join(space.overrides(point))
            raise UserError(f"{error} (at {where})" if where else str(error)) from error
        yield settings


def _check(search: SweepSettings, settings: Settings, space: Space, listed: list[int]) -> None:
    if settings.resume:
        raise UserError("resume=last with --multirun: repeat the sweep's command; it finds its directory by itself")
    if listed and search.seeds != 1:
        raise UserError(f"sweep.seeds={search.seeds} with seed={listed}: give one of the two")
    unknown = [name for name in search.objectives if name not in ("return", "stable")]
    if unknown or "return" not in search.objectives or len(set(search.objectives)) != len(search.objectives):
        raise UserError(f"sweep.objectives={search.objectives}: choose [return] or [return,stable]")
    if len(search.objectives) > 1 and search.pruner != "none":
        raise UserError(f"sweep.pruner={search.pruner} with two objectives: Optuna prunes by one; sweep.pruner=none")
    if search.pruner == "wilcoxon" and (len(listed) or search.seeds) < 2:
        raise UserError("sweep.pruner=wilcoxon compares seeds: give sweep.seeds=2 or more")
    if search.trials is None and space.size is None and search.hours is None and search.patience is None:
        raise UserError(
            "sweep.trials=null: this space has no end; give sweep.trials=N, sweep.hours=H or sweep.patience=N"
        )
    if search.sampler == "grid" and space.size is None:
        raise UserError("sweep.sampler=grid: the space has no end; give choice(...) or range(...) for every key")
    if space.size is not None and (search.sampler == "grid" or _whole(search, space)) and space.size > LARGEST_GRID:
        asked = "sweep.sampler=grid" if search.sampler == "grid" else f"sweep.trials={search.trials or 'null'}"
        raise UserError(
            f"{asked}: the space has {space.size} points; give a smaller sweep.trials=N and a sampler that draws"
        )
    if space.size is not None and search.trials is not None and search.trials > space.size:
        print(f"sweep.trials={search.trials}: the space has {space.size} points, each is tried once")
    env = settings.env
    if isinstance(env, CarlaSettings) and env.server == "connect" and search.width > 1:
        apart = 4 * max(settings.actors, 1)
        last = (env.port or 0) + apart * (search.width - 1)
        print(f"slots connect to the servers at ports {env.port} to {last}, {apart} apart; each needs one of its own")
    build_sampler(search, 0)
    build_pruner(search, warmup=settings.warmup, every=settings.eval_every, steps=settings.steps)


def _whole(search: SweepSettings, space: Space) -> bool:
    """Whether every point of a finite space is asked for."""
    return space.size is not None and (search.trials is None or search.trials >= space.size)


def budget_of(search: SweepSettings, space: Space) -> int:
    """Logical trials in all."""
    if search.trials is not None:
        return search.trials if space.size is None else min(search.trials, space.size)
    return space.size if space.size is not None else sys.maxsize


def first_points(search: SweepSettings, space: Space, *, memory: str = "none") -> list[dict[str, Value]]:
    """The points that a sweep begins with: all of a finite space, or the known good ones that lie in it.

    ``memory`` is the one that all trials share: a preset's batch may depend on it.
    """
    if search.sampler == "grid":
        return space.halves()
    if _whole(search, space):
        return list(space.points())
    points: list[dict[str, Value]] = []
    for name in search.enqueue:
        point = _preset(name, space, memory)
        if point and point not in points:
            points.append(point)
    return points


def _preset(name: str, space: Space, memory: str) -> dict[str, Value] | None:
    """The numbers of a ``hyperparams=`` preset for the keys that are swept; None if one lies outside the space."""
    if name not in options("hyperparams"):
        raise UserError(f"sweep.enqueue={name}: no such preset; choose from {', '.join(options('hyperparams'))}")
    whole = OmegaConf.create({"recurrent": {"name": memory}, "hyperparams": preset("hyperparams", name)})
    numbers = {f"hyperparams.{key}": value for key, value in whole.hyperparams.items()}
    try:
        return {
            parameter.name: parameter.of_setting(numbers[parameter.key])
            for parameter in space.parameters
            if parameter.key in numbers
        }
    except ValueError as error:
        print(f"hyperparams={name} is not among the first trials: {error}")
        return None


def sweep_directory(config: DictConfig, spec: Spec) -> Path:
    """``hydra.sweep.dir``; unless the user gave it, completed so that the same command finds the same directory."""
    given = any(str(word).startswith("hydra.sweep.dir=") for word in config.hydra.overrides.hydra)
    path = Path(str(config.hydra.sweep.dir))
    if given:
        return path.absolute()
    digest = hashlib.sha256(json.dumps(spec._identity(), sort_keys=True, default=str).encode()).hexdigest()[:8]
    name = spec.space if spec.space != "none" else "-".join(key.rpartition(".")[2] for key in spec.words)[:40]
    return path.with_name(f"{path.name}-{name or 'seeds'}-{digest}").absolute()


def build_engine(config: DictConfig, directory: Path, width: int) -> Engine:
    """The engine that ``hydra/launcher=`` names. Raises UserError for a launcher that is none."""
    node: Any = config.hydra.launcher
    if not str(node.get("_target_")).startswith("td3sweep.sweep.engines."):
        raise UserError(f"hydra/launcher={node.get('_target_')}: choose hydra/launcher=local, slurm or ray")
    try:
        return hydra.utils.instantiate(node, directory=directory, width=width)  # type: ignore[no-any-return]
    except HydraException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from error
        raise UserError(f"hydra.launcher: {cause or error}; see docs/cluster.md") from error
