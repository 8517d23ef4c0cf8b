"""Heads: features and the observation's vector in, an action or two Q values out; never in bf16."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class PolicyHead(nn.Module):
    """Features and vector -> pre-tanh action.

    Args:
        features: width of the encoder's output.
        vector_size: width of the observation's vector, 0 for none.
        action_size: number of actions.
        hidden: widths of the hidden layers (ReLU).
        trunk: squeeze the features to this width by Linear, LayerNorm and tanh first; None leaves them.
        init_scale: factor on the last layer's initial weights; below 1 the tanh starts in its linear range.
    """

    def __init__(
        self,
        features: int,
        vector_size: int,
        action_size: int,
        *,
        hidden: Sequence[int] = (256, 256),
        trunk: int | None = None,
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.trunk, width = build_trunk(features, trunk)
        self.mlp = _mlp(width + vector_size, hidden, action_size)
        if init_scale != 1.0:
            last = self.mlp[-1]
            with torch.no_grad():
                for parameter in last.parameters():
                    parameter.mul_(init_scale)

    def forward(self, features: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        """[..., features] and [..., vector_size] -> pre-tanh action [..., action_size]."""
        pre_tanh: torch.Tensor = self.mlp(torch.cat([self.trunk(features), vector], dim=-1))
        return pre_tanh


class TwinQHead(nn.Module):
    """Features, vector and action -> two Q values, over one shared trunk (arguments as `PolicyHead`)."""

    def __init__(
        self,
        features: int,
        vector_size: int,
        action_size: int,
        *,
        hidden: Sequence[int] = (256, 256),
        trunk: int | None = None,
    ) -> None:
        super().__init__()
        self.trunk, width = build_trunk(features, trunk)
        self.mlp1 = _mlp(width + vector_size + action_size, hidden, 1)
        self.mlp2 = _mlp(width + vector_size + action_size, hidden, 1)

    def forward(
        self, features: torch.Tensor, vector: torch.Tensor, action: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[..., features], [..., vector_size], [..., action_size] -> Q1, Q2, each [...]."""
        x = torch.cat([self.trunk(features), vector, action], dim=-1)
        return self.mlp1(x).squeeze(-1), self.mlp2(x).squeeze(-1)

    def first(self, features: torch.Tensor, vector: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Q1 alone [...], all that the actor's loss needs."""
        q: torch.Tensor = self.mlp1(torch.cat([self.trunk(features), vector, action], dim=-1))
        return q.squeeze(-1)


def build_trunk(features: int, width: int | None) -> tuple[nn.Module, int]:
    """Linear, LayerNorm and tanh from `features` to `width` numbers, and the width; None: the identity."""
    if width is None:
        return nn.Identity(), features
    return nn.Sequential(nn.Linear(features, width), nn.LayerNorm(width), nn.Tanh()), width


def _mlp(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(inputs, width), nn.ReLU(inplace=True)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))
