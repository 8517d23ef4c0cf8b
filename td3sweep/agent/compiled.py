"""Speed as a wrapper: what makes an update faster without changing its mathematics."""

from __future__ import annotations

import time
from typing import Literal

import torch
from torch import nn

from td3sweep.nets import ImageCNN

Precision = Literal["fp32", "bf16"]


def prepare(network: nn.Module, device: torch.device, precision: Precision) -> None:
    """Move a network to its device in place, convolutions channels-last and, if asked, in bf16 autocast."""
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for module in network.modules():
        if isinstance(module, ImageCNN):
            module.bf16 = precision == "bf16"


def bf16_speed_up(cnn: ImageCNN, device: torch.device, batch: int = 32, repeats: int = 3) -> float:
    """Time of a forward and backward pass in float32 over that in bfloat16; below 1 bfloat16 is the slower.

    Not every processor has fast bfloat16 arithmetic: probe before choosing it. Weights and gradients stay as
    they are.

    Args:
        cnn: encoder to time, on `device`.
        device: where.
        batch: image stacks in a pass.
        repeats: timed passes of each kind, interleaved; the fastest counts.
    """
    channels = next(m.in_channels for m in cnn.modules() if isinstance(m, nn.Conv2d))
    images = torch.zeros(batch, channels, 84, 84, dtype=torch.uint8, device=device)
    best = {False: float("inf"), True: float("inf")}
    kept = cnn.bf16
    for attempt in range(repeats + 1):
        for bf16 in (False, True):
            cnn.bf16 = bf16
            _wait(device)
            begun = time.perf_counter()
            torch.autograd.grad(cnn(images).sum(), list(cnn.parameters()))
            _wait(device)
            if attempt > 0:  # the first pass builds kernels
                best[bf16] = min(best[bf16], time.perf_counter() - begun)
    cnn.bf16 = kept
    return best[False] / best[True]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
