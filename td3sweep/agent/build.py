"""Names and numbers -> a TD3 agent."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from td3sweep.agent.networks import Actor, Critic, Encoder
from td3sweep.agent.td3 import TD3
from td3sweep.names import CnnName, FeatureNorm, MemoryKind, Wiring
from td3sweep.nets import NatureCNN, PolicyHead, PooledCNN, TwinQHead, build_memory
from td3sweep.nets.cnn import Activation, Scale

FEATURES = 512


def cnn_class(name: CnnName) -> type[NatureCNN] | type[PooledCNN]:
    """The registry of encoders: the class of each name."""
    match name:
        case "nature":
            return NatureCNN
        case "pooled":
            return PooledCNN


def build_networks(
    *,
    cnn: CnnName = "nature",
    memory: MemoryKind = "none",
    memory_size: int = 0,
    memory_skip: bool = False,
    memory_context: bool = False,
    vector_size: int,
    action_size: int,
    stack: int = 4,
    hidden: Sequence[int] = (256, 256),
    trunk: int | None = None,
    feature_norm: FeatureNorm = "none",
    activation: Activation = "leaky_relu",
    scale: Scale = "signed",
    actor_init_scale: float = 1.0,
    wiring: Wiring = "separate",
    seed: int,
) -> tuple[Actor, Critic]:
    """Actor and critic: a seed fixes the weights, torch's global generator is left alone.

    Args:
        cnn: encoder by name.
        memory: kind of memory.
        memory_size: its hidden width; ignored for `none`.
        memory_skip: the heads read the CNN's features beside the memory's as well.
        memory_context: the memory is fed the vector and the previous action beside the features.
        vector_size: numbers of the observation's vector, 0 for none.
        action_size: numbers of an action.
        stack: frames in an image stack.
        hidden: widths of the heads' hidden layers.
        trunk: width the features are squeezed to, before a memory if there is one, else in each head; None: no trunk.
        feature_norm: normalisation of the CNN's output.
        activation: of the CNN.
        scale: range the CNN maps bytes to.
        actor_init_scale: factor on the policy's last layer at the start.
        wiring: see `TD3`; `critic_only` builds an actor without encoder.
        seed: of the weights.
    """

    context = (vector_size, action_size) if memory_context and memory != "none" else (0, 0)

    def encoder() -> Encoder:
        images = cnn_class(cnn)(stack, FEATURES, feature_norm, activation=activation, scale=scale)
        cell = build_memory(memory, FEATURES, memory_size, trunk=trunk, skip=memory_skip, context=sum(context))
        return Encoder(images, cell, context)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        critic_encoder = encoder()
        actor_encoder = None if wiring == "critic_only" else encoder()
        features = critic_encoder.memory.features
        squeeze = trunk if memory == "none" else None
        actor = Actor(
            actor_encoder,
            PolicyHead(features, vector_size, action_size, hidden=hidden, trunk=squeeze, init_scale=actor_init_scale),
        )
        return actor, Critic(
            critic_encoder, TwinQHead(features, vector_size, action_size, hidden=hidden, trunk=squeeze)
        )


def build_td3(*, wiring: Wiring = "separate", seed: int, **arguments: Any) -> TD3:
    """Networks and agent at once: arguments of :func:`build_networks` and of :class:`TD3`, in any mixture."""
    shape = {name: arguments.pop(name) for name in list(arguments) if name in OF_NETWORKS}
    return TD3(*build_networks(wiring=wiring, seed=seed, **shape), wiring=wiring, seed=seed, **arguments)


OF_NETWORKS = frozenset(inspect.signature(build_networks).parameters)
