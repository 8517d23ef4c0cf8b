"""Settings -> the agent, its replay memory, its audit and its speed-ups."""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import Literal

import torch

from td3sweep.agent.build import build_networks
from td3sweep.agent.compiled import CudaGraphs, bf16_speed_up, compile_networks
from td3sweep.agent.gradients import Clip
from td3sweep.agent.policy import NetworkPolicy
from td3sweep.agent.targets import MPGTarget, TargetRule, TD3Target
from td3sweep.agent.td3 import TD3
from td3sweep.config.settings import (
    ClipSettings,
    LapReplaySettings,
    LimitClipSettings,
    MpgTargetSettings,
    PerReplaySettings,
    Settings,
    ShownSettings,
    TargetSettings,
)
from td3sweep.doctor.audit import Audit, examine
from td3sweep.doctor.injected import FAULTS, inject
from td3sweep.doctor.td3 import small_batch, td3_learner
from td3sweep.errors import UserError
from td3sweep.names import Device
from td3sweep.replay import LAP, PER, FrameReplay, PrioritizedReplay, Shape, ShardedReplay

log = logging.getLogger(__name__)

WORTHWHILE = 1.15  # bf16 must be so many times as fast, beyond what a measurement of a second wavers


def build_agent(settings: Settings, vector_size: int, action_size: int) -> TD3:
    """The TD3 agent of these settings."""
    hyper, shown = settings.hyperparams, settings.demonstrations
    networks = build_networks(
        cnn=settings.cnn.name,
        memory=settings.recurrent.name,
        memory_size=settings.recurrent.hidden,
        memory_skip=settings.recurrent.skip,
        memory_context=settings.recurrent.context,
        vector_size=vector_size,
        action_size=action_size,
        stack=settings.frame_stack,
        trunk=settings.trunk,
        feature_norm=settings.feature_norm,
        actor_init_scale=settings.actor_init_scale,
        wiring=settings.wiring.name,
        seed=settings.seed,
    )
    agent = TD3(
        *networks,
        wiring=settings.wiring.name,
        target_rule=build_target(settings.target),
        clip=build_clip(settings.clip),
        tau=hyper.tau,
        actor_lr=hyper.actor_lr,
        critic_lr=hyper.critic_lr,
        actor_cnn_lr=hyper.actor_cnn_lr,
        critic_cnn_lr=hyper.critic_cnn_lr,
        policy_delay=hyper.policy_delay,
        target_noise=hyper.target_noise,
        target_noise_clip=hyper.target_noise_clip,
        loss=settings.loss,
        aug=settings.aug,
        pre_tanh_penalty=settings.pre_tanh_penalty,
        cloning=shown.cloning if isinstance(shown, ShownSettings) else 0.0,
        weight_decay=settings.weight_decay,
        device=choose_device(settings.device),
        precision="fp32" if settings.precision == "auto" else settings.precision,
        seed=settings.seed,
    )
    inject(agent, settings.fault)
    return agent


def build_policy(settings: Settings, vector_size: int, action_size: int) -> NetworkPolicy:
    """What acts of these settings' agent, on the CPU in float32."""
    plain = dataclasses.replace(settings, device="cpu", precision="fp32", fault="none")
    return build_agent(plain, vector_size, action_size).policy


def build_target(target: TargetSettings) -> TargetRule:
    """The rule that makes one target of two next-state values."""
    match target:
        case MpgTargetSettings():
            return MPGTarget(delta_init=target.delta_init, delta_state=target.delta_state)
        case _:
            return TD3Target()


def build_clip(clip: ClipSettings) -> Clip:
    """The limits of gradients."""
    match clip:
        case LimitClipSettings():
            return Clip(clip.name, clip.actor, clip.critic)
        case _:
            return Clip("off")


def build_replay(settings: Settings, agent: TD3, vector_size: int, action_size: int) -> FrameReplay | ShardedReplay:
    """The replay memory of these settings, shaped for ``agent``'s memory states."""
    recurrent, replay, seed = settings.recurrent, settings.replay, settings.seed
    shape: Shape = {
        "vector_size": vector_size,
        "action_size": action_size,
        "stack": settings.frame_stack,
        "state_sizes": agent.state_sizes,
        "state_stride": math.gcd(recurrent.sequence_length, recurrent.burn_in),
        "stored_state": recurrent.stored_state,
        "even": recurrent.even,
        "gamma": settings.hyperparams.gamma,
        "n_step": settings.n_step,
        "sequence_length": recurrent.sequence_length,
        "burn_in": recurrent.burn_in,
    }
    if settings.actors > 0:
        return ShardedReplay(settings.actors, replay.capacity, seed=seed, **shape)
    match replay:
        case PerReplaySettings():
            rule = PER(replay.alpha, replay.beta, replay.beta_updates)
            return PrioritizedReplay(rule, replay.capacity, seed=seed, **shape)
        case LapReplaySettings():
            return PrioritizedReplay(LAP(replay.alpha), replay.capacity, seed=seed, **shape)
        case _:
            return FrameReplay(replay.capacity, seed=seed, **shape)


def audit_agent(settings: Settings, agent: TD3, vector_size: int, action_size: int) -> Audit:
    """The wiring audit D0 of ``agent`` against these settings' numbers; the agent is left exactly as it was."""
    hyper, recurrent = settings.hyperparams, settings.recurrent
    batch = small_batch(
        agent,
        vector_size=vector_size,
        action_size=action_size,
        stack=settings.frame_stack,
        gamma=hyper.gamma,
        n_step=settings.n_step,
        sequence_length=recurrent.sequence_length,
        burn_in=recurrent.burn_in,
    )
    rates = {
        "actor": hyper.actor_lr,
        "critic": hyper.critic_lr,
        "actor/cnn": hyper.actor_lr if hyper.actor_cnn_lr is None else hyper.actor_cnn_lr,
        "critic/cnn": hyper.critic_lr if hyper.critic_cnn_lr is None else hyper.critic_cnn_lr,
    }
    learner = td3_learner(
        agent,
        batch,
        clip=build_clip(settings.clip),
        learning_rates=rates,
        tau=hyper.tau,
        policy_delay=hyper.policy_delay,
    )
    return examine(learner)


def faults_asked_for(settings: Settings) -> set[str]:
    """Findings of the audit that these settings ask for by name, and that therefore do not end a run."""
    asked = {FAULTS[settings.fault][0]} if settings.fault != "none" else set()
    return asked | ({"H6"} if settings.wiring.name == "crossed" else set())


def choose_precision(settings: Settings, agent: TD3) -> str:
    """Settle ``precision=auto`` by a measurement, and say in one line what is faster here.

    Returns:
        The line; empty where there is nothing to tell.
    """
    if settings.precision == "fp32":
        return ""
    gain = bf16_speed_up(agent.critic.encoder.cnn, agent.device)
    if settings.precision == "bf16":
        if gain < 1.0:
            log.warning("precision=bf16 runs at %.2f times the speed of fp32 here; choose precision=fp32", gain)
        return ""
    agent.use_precision("bf16" if gain >= WORTHWHILE else "fp32")
    return f"precision=auto: {agent.precision}, since bf16 runs at {gain:.2f} times the speed of fp32 here"


def speed_up(settings: Settings, agent: TD3) -> None:
    """Switch on what makes updates faster on a GPU; after an audit, which watches eager updates."""
    if settings.cuda_graphs and agent.device.type != "cuda":
        raise UserError(
            f"cuda_graphs=true with device={settings.device}: no CUDA device is used here; drop cuda_graphs"
        )
    if settings.compile:
        compile_networks(agent.networks().values())
    if settings.cuda_graphs:
        agent.run_step = CudaGraphs(agent.run_step)


def choose_device(asked: Device) -> Literal["cpu", "cuda"]:
    """``auto`` takes a CUDA device where torch sees one."""
    if asked == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: torch sees no CUDA device; choose device=cpu or device=auto")
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return asked
