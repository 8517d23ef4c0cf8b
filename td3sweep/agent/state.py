"""Complete agent state: refuse what does not fit before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from td3sweep.errors import UserError


def check_architecture(networks: Mapping[str, nn.Module], saved: Mapping[str, Any]) -> None:
    """Compare saved network states with the networks they are meant for.

    Raises:
        UserError: names the first parameter that is missing, unknown or of another shape.
    """
    for network, module in networks.items():
        own = module.state_dict()
        other = saved.get(network)
        if other is None:
            raise UserError(f"checkpoint={network} is missing: it was not written by this agent; start a new run")
        for key in [*own, *(key for key in other if key not in own)]:
            here = tuple(own[key].shape) if key in own else None
            there = tuple(other[key].shape) if key in other else None
            if here != there:
                raise UserError(
                    f"checkpoint={network}.{key} has shape {there}, this configuration builds {here}: "
                    "another architecture; resume with the cnn, recurrent, wiring and trunk it was saved with"
                )


def align_optimizer(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Give loaded optimiser moments their parameter's memory layout, which fused kernels take for granted.

    A state brings the options of the device that saved it: CUDA graphs need `capturable`, which only CUDA has.
    """
    for group in optimizer.param_groups:
        group["capturable"] = device.type == "cuda"
        group["lr"] = torch.tensor(float(group["lr"]), device=device) if group["capturable"] else float(group["lr"])
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.dim() > 0:
                state[key] = torch.empty_like(parameter).copy_(value)


def nonfinite_tensors(networks: Mapping[str, nn.Module]) -> list[str]:
    """Names of parameters and gradients that hold NaN or infinity (slow: for reports, not loops)."""
    found = []
    for network, module in networks.items():
        for key, parameter in module.named_parameters():
            if not parameter.isfinite().all():
                found.append(f"{network}.{key}")
            if parameter.grad is not None and not parameter.grad.isfinite().all():
                found.append(f"{network}.{key}.grad")
    return found
