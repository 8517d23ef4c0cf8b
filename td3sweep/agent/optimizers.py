"""Optimisers of actor and critic, and a schedule's hold on their learning rates."""

from __future__ import annotations

import torch

from td3sweep.agent.networks import Actor, Critic, parts


def build_optimizer(
    network: Actor | Critic, lr: float, cnn_lr: float | None, weight_decay: float, device: torch.device
) -> torch.optim.Optimizer:
    """One optimiser a network, its CNN in a parameter group of its own."""
    capturable = device.type == "cuda"

    def rate(value: float) -> float | torch.Tensor:
        # A number would be recorded into a CUDA graph for good.
        return torch.tensor(value, device=device) if capturable else value

    rates = {part: cnn_lr if part == "cnn" and cnn_lr is not None else lr for part in parts(network)}
    groups = [
        {"params": group, "lr": rate(rates[part]), "initial_lr": rates[part]} for part, group in parts(network).items()
    ]
    if weight_decay > 0:
        return torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay, fused=True, capturable=capturable)
    return torch.optim.Adam(groups, lr=lr, fused=True, capturable=capturable)


def scale_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Set every learning rate to this share of its first value, which goes into the optimiser's saved state."""
    for group in optimizer.param_groups:
        first = group.setdefault("initial_lr", float(group["lr"]))  # a state of an older version has none
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(first * share)
        else:
            group["lr"] = first * share
