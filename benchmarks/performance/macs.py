"""Multiply-accumulates of a TD3 update, and how many the machine can do in a second.

With F the MACs of an encoder's forward pass on one image stack (convolutions and linear layer), F1 those of its first
convolution, H and Q those of the policy's and of one Q head:

===============================  =====================================================================
targets, no gradient             2 F (target actor and target critic see the next images) + H + 2 Q
critic step                      F forward + F weight gradients + (F - F1) input gradients; three times 2 Q
actor step, every second time    the critic's encoder F without gradient; the actor's 3 F - F1; 3 H; Q forward and Q
                                 input gradients, since the critic's weights get none
===============================  =====================================================================

So an update is 7 F - 1.5 F1 + 2.5 H + 9 Q a transition. The images get no gradient, hence no F1. Activations, pooling,
bytes to floats, clipping, Adam and soft updates count nothing: their time is what keeps the share below 1.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import torch
from torch import nn

from benchmarks.performance.blocks import Contestant
from td3sweep.agent.td3 import TD3
from td3sweep.nets.cnn import IMAGE_SIZE, ImageCNN

PEAK_SHAPES = ((16, 128, 28), (8, 256, 28), (16, 256, 14), (4, 64, 84))  # images, channels, side; 3x3 kernels


def encoder_macs(cnn: ImageCNN) -> tuple[int, int]:
    """F and F1 of one image stack: each convolution's output values times its kernel's numbers."""
    side, layers = IMAGE_SIZE, []
    for module in cnn.convolutions:
        if isinstance(module, nn.Conv2d):
            side = (side - module.kernel_size[0]) // module.stride[0] + 1
            layers.append(side * side * module.weight.numel())
        elif isinstance(module, nn.MaxPool2d):
            side //= 2
    return sum(layers) + cnn.linear.weight.numel(), layers[0]


def update_macs(agent: TD3, transitions: int) -> float:
    """MACs of a mean update of a feed-forward agent with `separate` wiring that trains its actor every second time."""
    whole, first = encoder_macs(agent.critic.encoder.cnn)
    policy, value = _linear(agent.actor.head.mlp), _linear(agent.critic.head.mlp1)
    return transitions * (7 * whole - 1.5 * first + 2.5 * policy + 9 * value)


def _linear(layers: Iterable[nn.Module]) -> int:
    return sum(layer.weight.numel() for layer in layers if isinstance(layer, nn.Linear))


def peak(name: str, dtype: torch.dtype) -> Contestant:
    """Seconds of a MAC in the best of several large channels-last convolutions, forward and both gradients."""
    jobs = []
    for images, channels, side in PEAK_SHAPES:
        convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(
            dtype, memory_format=torch.channels_last
        )  # type: ignore[call-overload]
        x = torch.randn(images, channels, side, side).to(dtype, memory_format=torch.channels_last).requires_grad_()
        jobs.append((convolution, x, 3 * images * side * side * convolution.weight.numel()))

    def run() -> dict[str, float]:
        found = []
        for convolution, x, macs in jobs:
            begun = time.perf_counter()
            y = convolution(x)
            torch.autograd.grad(y, (x, convolution.weight), y.detach())
            found.append((time.perf_counter() - begun) / macs)
        return {name: min(found)}

    return run
