"""Gradient clipping and its measurement.

Norms are L2 norms, of a part or of all that one optimiser steps. Adding per-tensor norms up instead gives up
to sqrt(number of tensors) times more, and reads as if a correct clip had failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import get_total_norm

from td3sweep.names import ClipKind

Metrics = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Clip:
    """How gradients are limited before a step.

    Attributes:
        kind: `joint` limits the L2 norm of all gradients of an optimiser, `per_module` that of cnn, memory
            and head each, `value` the magnitude of every single number, `off` nothing.
        actor: limit of the actor's gradients.
        critic: limit of the critic's gradients.
    """

    kind: ClipKind = "joint"
    actor: float = 1.0
    critic: float = 10.0


def clip_gradients(parts: Mapping[str, Sequence[nn.Parameter]], kind: ClipKind, limit: float, name: str) -> Metrics:
    """Clip the `.grad` of all parts in place and measure it before and after.

    Args:
        parts: parameters by part; together what one optimiser steps.
        kind: see `Clip`.
        limit: see `Clip`.
        name: network the metrics are named after, `actor` or `critic`.

    Returns:
        0-dim tensors, no host sync: `grad/<name>/<part or joint>/{before,after}`, `clip/<name>/binding` (1
        where a limit was exceeded), `clip/<name>/coefficient` (the smallest factor applied; for `value` the
        joint norm's ratio).
    """
    gradients = {part: [p.grad for p in group if p.grad is not None] for part, group in parts.items()}
    before = norms(gradients)
    everything = [g for group in gradients.values() for g in group]
    one = torch.ones_like(before["joint"])
    binding, coefficient = torch.zeros_like(one), one
    if kind == "joint":
        coefficient = _coefficient(before["joint"], limit)
        torch._foreach_mul_(everything, coefficient)
        binding = (before["joint"] > limit).to(one.dtype)
    elif kind == "per_module":
        coefficients = {part: _coefficient(before[part], limit) for part in gradients}
        for part, group in gradients.items():
            torch._foreach_mul_(group, coefficients[part])
        coefficient = torch.stack(list(coefficients.values())).min()
        binding = (torch.stack([before[part] for part in gradients]).max() > limit).to(one.dtype)
    elif kind == "value":
        binding = (get_total_norm(everything, float("inf")) > limit).to(one.dtype)
        torch._foreach_clamp_min_(everything, -limit)
        torch._foreach_clamp_max_(everything, limit)
    after = before if kind == "off" else norms(gradients)
    if kind == "value":
        coefficient = torch.where(before["joint"] > 0, after["joint"] / before["joint"], one)
    metrics = {f"clip/{name}/binding": binding, f"clip/{name}/coefficient": coefficient}
    if kind == "value":
        metrics[f"grad/{name}/max/after"] = get_total_norm(everything, float("inf"))
    for part in before:
        metrics[f"grad/{name}/{part}/before"] = before[part]
        metrics[f"grad/{name}/{part}/after"] = after[part]
    return metrics


def norms(tensors: Mapping[str, Sequence[torch.Tensor]]) -> Metrics:
    """L2 norm of each part, 0-dim on the device, and `joint`, that of all of them together."""
    found = {part: get_total_norm(group) for part, group in tensors.items()}
    found["joint"] = torch.linalg.vector_norm(torch.stack(list(found.values())))
    return found


def _coefficient(norm: torch.Tensor, limit: float) -> torch.Tensor:
    # The same small number as torch's clip_grad_norm_, so that both give the same gradients.
    return (limit / (norm + 1e-6)).clamp(max=1.0)
