"""Refuse settings that cannot work, each in one line with the key, the value and the remedy."""

from __future__ import annotations

import dataclasses
import json
import math

from td3sweep.config.env_settings import CarlaSettings, GymSettings
from td3sweep.config.setting import check_bounds
from td3sweep.config.settings import (
    OPTIONS,
    PidDemonstrationSettings,
    RecordedDemonstrationSettings,
    RecurrentSettings,
    RewardSettings,
    Settings,
    ShownSettings,
)
from td3sweep.errors import UserError
from td3sweep.monitor.detectors import CAN_FAIL

MEMORIES = "recurrent=gru48 or recurrent=lstm256"


def check(settings: Settings) -> None:
    """Raise :class:`UserError` for the first value out of range or combination that cannot work."""
    check_bounds(settings)
    for group, options in OPTIONS.items():
        chosen = getattr(settings, group)
        if not isinstance(chosen, options[chosen.name]):
            raise UserError(f"{group}.name={chosen.name}: it has keys of its own; choose it by {group}={chosen.name}")
    _check_combinations(settings)


def _check_unused(s: Settings) -> None:
    """Refuse what nothing would read beside the other settings."""
    memory, falls = s.recurrent.name != "none", s.hyperparams.exploration_noise_final is not None
    steady = "hyperparams.exploration_noise_final=null: the noise never falls"
    progress = "progress" in s.reward.terms
    throttle = not isinstance(s.env, GymSettings) or bool(s.env.pedals)
    clones = not isinstance(s.demonstrations, ShownSettings) or s.demonstrations.cloning > 0.0
    where, env = ("env=gym", "env=carla and ") if isinstance(s.env, GymSettings) else (f"reward={s.reward.name}", "")
    for group, keys, read, why, remedy in (
        ("recurrent", _all_of(RecurrentSettings), memory, "recurrent=none: there is no memory", f"choose {MEMORIES}"),
        ("hyperparams", ("exploration_noise_steps",), falls, steady, "add hyperparams.exploration_noise_final=0.1"),
        (
            *("demonstrations", ("floor", "fade"), clones),
            *("demonstrations.cloning=0: there is no cloning to fade", "give demonstrations.cloning a weight"),
        ),
        ("env", ("warmup_throttle",), throttle, "env.pedals=[]: there is no throttle", "add env.pedals=[1,2]"),
        ("reward", ("progress_scale",), progress, f"{where}: no progress term", f"choose {env}reward=described_later"),
    ):
        node = getattr(s, group)
        usual = type(node)()
        for key in () if read else keys:
            value, default = getattr(node, key), getattr(usual, key)
            if value != default:  # json.dumps: null and true as they are typed
                given, kept = json.dumps(value), json.dumps(default)
                raise UserError(f"{group}.{key}={given} with {why}; leave it at {kept} or {remedy}")


def _all_of(cls: type) -> tuple[str, ...]:
    """A group's keys but for the name of its option."""
    return tuple(spec.name for spec in dataclasses.fields(cls) if spec.name != "name")


def _check_combinations(s: Settings) -> None:
    _check_unused(s)
    if s.recurrent.name != "none" and s.recurrent.hidden < 1:
        raise UserError(
            f"recurrent.hidden={s.recurrent.hidden} with recurrent.name={s.recurrent.name}: give at least 1 unit"
        )
    sequence = s.recurrent.sequence_length
    if s.warmup >= s.steps:
        raise UserError(f"warmup={s.warmup} with steps={s.steps}: nothing would be learnt; raise steps or lower warmup")
    window = s.recurrent.burn_in + sequence + s.n_step
    needed = max(s.hyperparams.batch_size, sequence) + s.n_step
    if s.warmup < needed and s.updates_per_step > 0:
        raise UserError(
            f"warmup={s.warmup} with hyperparams.batch_size={s.hyperparams.batch_size}: "
            f"the first batch needs at least {needed} steps; raise warmup"
        )
    rings = max(s.actors, 1)
    # A ring must hold its share of a batch though every step may be an episode, whose last observation takes a slot
    # too, and though the oldest frames stack no more; and two windows with the stack before them.
    least = rings * max(2 * math.ceil(needed / rings) + s.frame_stack, 2 * (window + s.frame_stack))
    if s.replay.capacity < least:
        raise UserError(
            f"replay.capacity={s.replay.capacity}: it may never hold a batch, since an episode takes a slot more than "
            f"its steps; give at least {least}"
        )
    if s.actors > 0 and s.replay.name != "uniform":
        raise UserError(
            f"actors={s.actors} with replay={s.replay.name}: each actor has a ring of its own, and only uniform draws "
            "join them; choose replay=uniform or actors=0"
        )
    if s.wiring.name == "critic_only" and s.hyperparams.actor_cnn_lr is not None:
        raise UserError(
            f"hyperparams.actor_cnn_lr={s.hyperparams.actor_cnn_lr} with wiring=critic_only: "
            "the actor has no encoder to train; add hyperparams.actor_cnn_lr=null"
        )
    if s.replay.name == "lap" and s.loss != "huber":
        raise UserError(f"replay=lap with loss={s.loss}: its priorities belong to the Huber loss; add loss=huber")
    _check_demonstrations(s)
    if s.fault in ("h1", "h2", "h5") and s.clip.name == "off":
        raise UserError(f"fault={s.fault} with clip=off: there is no clip to break; choose another clip")
    if s.fault == "h6" and s.wiring.name == "critic_only":
        raise UserError("fault=h6 with wiring=critic_only: there is one encoder, nothing to cross; drop wiring")
    unknown = [name for name in s.monitor.stop_on if name not in CAN_FAIL]
    if unknown:
        raise UserError(f"monitor.stop_on={unknown[0]}: unknown detector; choose from {', '.join(CAN_FAIL)}")
    _check_env(s)


def _check_demonstrations(s: Settings) -> None:
    """What demonstrations go with; what a recording holds is looked at when a run begins (`collect/tapes.py`)."""
    shown = s.demonstrations
    if not isinstance(shown, ShownSettings):
        return
    if shown.name != "recorded" and not isinstance(s.env, CarlaSettings):
        raise UserError(
            f"demonstrations={shown.name} with env={s.env.name}: there is no route to drive; choose demonstrations=none"
        )
    if shown.random_steps >= s.warmup:
        raise UserError(
            f"warmup={s.warmup} with demonstrations.random_steps={shown.random_steps}: all of it is random and nothing "
            "is shown; raise warmup, lower demonstrations.random_steps or choose demonstrations=none"
        )
    noise = shown.noise if isinstance(shown, PidDemonstrationSettings) else []
    odd = [sd for sd in noise if not 0.0 <= sd < math.inf]
    if odd:
        raise UserError(f"demonstrations.noise={noise}: {odd[0]} is no SD; give numbers from 0 on")
    if isinstance(shown, RecordedDemonstrationSettings):
        if shown.path is None:
            raise UserError(
                "demonstrations=recorded without demonstrations.path: give the directory, as demonstrations=PATH "
                "(td3sweep.evaluate --record writes one)"
            )
        if s.actors > 0:
            raise UserError(
                f"actors={s.actors} with demonstrations=recorded: actors drive simulators of their own and play no "
                "recordings; choose actors=0 or demonstrations=pid"
            )


def _check_env(s: Settings) -> None:
    env = s.env
    if isinstance(env, GymSettings):
        if s.reward.terms:
            raise UserError(f"reward={s.reward.name} with env=gym: {env.id} has its own reward; drop reward=...")
        return
    if not isinstance(env, CarlaSettings):
        raise UserError("env: choose env=carla or env=gym")
    check_task(env, s.reward)
    _check_server(env)


def check_task(env: CarlaSettings, reward: RewardSettings) -> None:
    """Raise UserError for routes or a reward that make no task on CARLA."""
    if not reward.terms:
        raise UserError(f"reward={reward.name} with env=carla: no term has a weight; choose reward=cruise")
    odd = [pair for pair in env.routes if len(pair) != 2 or min(pair) < 0]
    if odd:
        raise UserError(f"env.routes={odd[0]}: give pairs of spawn points, first and last, such as [[0,9],[4,17]]")
    if env.route_min > env.route_max:
        raise UserError(f"env.route_min={env.route_min} exceeds env.route_max={env.route_max}: lower env.route_min")


def _check_server(env: CarlaSettings) -> None:
    if env.server == "launch" and env.path is None:
        raise UserError("env.server=launch without env.path: give env.path=/path/to/CarlaUE4.sh")
    if env.server != "launch" and env.path is not None:
        raise UserError(f"env.path={env.path} with env.server={env.server}: add env.server=launch or drop env.path")
    if env.server != "command" and env.command:
        raise UserError(f"env.command with env.server={env.server}: add env.server=command or drop env.command")
    if env.server == "command" and not env.command:
        raise UserError("env.server=command without env.command: give the command line that runs a server")
    if env.server == "connect" and env.port is None:
        raise UserError(
            "env.server=connect without env.port: give the port of the running server, such as env.port=2000"
        )
    if env.server == "connect" and (env.flags or env.gpu is not None):
        raise UserError("env.flags and env.gpu need a server of our own: drop them or choose env.server=launch")
    if env.server == "standin" and env.gpu is not None:
        raise UserError(
            f"env.gpu={env.gpu} with env.server=standin: it needs none; leave it at null or add env.server=launch"
        )
    if env.server != "connect" and env.host != "127.0.0.1":
        raise UserError(f"env.host={env.host} with env.server={env.server}: add env.server=connect or drop env.host")
