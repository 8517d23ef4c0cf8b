"""What replay hands to the agent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch


@dataclass(frozen=True)
class Batch:
    """B windows of W observations with L trained transitions each; feed-forward is W = 2, L = 1.

    Attributes:
        images: uint8 [B, W, stack, height, width], oldest frame first.
        vectors: float32 [B, W, V].
        previous: float32 [B, W, A], the action before each observation; 0 at an episode's start.
        actions: float32 [B, L, A].
        meant: float32 [B, L, A], what a demonstrator meant to do where it acted; NaN where it did not.
        rewards: float32 [B, L], the discounted sum over the k <= n steps up to the bootstrap observation.
        discounts: float32 [B, L], gamma^k; 0 where the episode terminated on the way.
        next_index: int64 [B, L], the bootstrap observation's position in the window.
        mask: float32 [B, L], 0 for padding past an episode's end.
        states: float32 [B, S], actor then critic memory at the window's first real observation (S = 0: none).
        burn_in: int64 [B], real observations before `start`; they stand last, padding first.
        weights: float32 [B], importance weight of each window in the critic's loss; 1 where drawing is uniform.
        index: int64 [B], where replay keeps the window's first transition: its way back for new priorities.
        start: window position of the first trained transition.
    """

    images: torch.Tensor
    vectors: torch.Tensor
    previous: torch.Tensor
    actions: torch.Tensor
    meant: torch.Tensor
    rewards: torch.Tensor
    discounts: torch.Tensor
    next_index: torch.Tensor
    mask: torch.Tensor
    states: torch.Tensor
    burn_in: torch.Tensor
    weights: torch.Tensor
    index: torch.Tensor
    start: int = 0

    @property
    def transitions(self) -> int:
        """Transitions trained, padding left out (reads the mask: call it while the batch is on the host)."""
        return int(self.mask.sum())

    @property
    def length(self) -> int:
        """L, the transitions trained in a window."""
        return self.actions.shape[1]

    def tensors(self) -> dict[str, torch.Tensor]:
        """All tensors by name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}

    def replaced(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        """The same batch with `function` applied to each tensor."""
        tensors: dict[str, Any] = {name: function(value) for name, value in self.tensors().items()}
        return replace(self, **tensors)

    def to(self, device: torch.device) -> Batch:
        """This batch on `device`.

        To a CUDA device it goes through pinned memory without waiting: the host draws the next batch meanwhile.
        """
        if self.images.device == device:
            return self
        if device.type == "cuda" and self.images.device.type == "cpu":
            return self.replaced(lambda tensor: tensor.pin_memory().to(device, non_blocking=True))
        return self.replaced(lambda tensor: tensor.to(device))
