"""Target rules: two target-Q estimates in, the value that is bootstrapped out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from td3sweep.names import DeltaInit, DeltaState


def masked_mean(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of x [B, L] over the real transitions of mask [B, L], 0-dim."""
    return (x * mask).sum() / mask.sum()


class TargetRule(Protocol):
    """How two target Q values become one."""

    def __call__(self, q1: torch.Tensor, q2: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Q values and mask, all [B, L] -> value [B, L]; called once an update, so a rule may keep state."""

    def state_dict(self) -> dict[str, Any]:
        """State to checkpoint."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a checkpointed state."""


class TD3Target:
    """Clipped double Q: the smaller of the two (Fujimoto et al., 2018)."""

    def __call__(self, q1: torch.Tensor, q2: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.minimum(q1, q2)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        return


class MPGTarget:
    """The averaged-difference rule of MPG (Zhou et al., arXiv 1911.06882).

    q = max(Q1, Q2) - (delta_last + |Q1 - Q2|) / 2 per sample, where delta_last is one number carried from the
    update before. Equal to min + (|Q1 - Q2| - delta_last) / 2: it may lie below the minimum.

    Args:
        delta_init: `zero`, or `first_batch`: the first update uses its own mean |Q1 - Q2|.
        delta_state: what is carried: `raw` the batch mean of |Q1 - Q2|, `ema` that of
            (delta_last + |Q1 - Q2|) / 2.
    """

    def __init__(
        self,
        delta_init: DeltaInit = "zero",
        delta_state: DeltaState = "raw",
    ) -> None:
        self.delta_init = delta_init
        self.delta_state = delta_state
        self.delta_last: torch.Tensor | None = None

    def __call__(self, q1: torch.Tensor, q2: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        difference = (q1 - q2).abs()
        mean = masked_mean(difference, mask)
        if self.delta_last is None:
            self.delta_last = mean.clone() if self.delta_init == "first_batch" else torch.zeros_like(mean)
        last = self.delta_last = self.delta_last.to(mean.device)
        value = torch.maximum(q1, q2) - (last + difference) / 2
        # In place: a CUDA graph finds it where it lay when the graph was captured.
        last.copy_(mean if self.delta_state == "raw" else (last + mean) / 2)
        return value

    def state_dict(self) -> dict[str, Any]:
        return {"delta_last": None if self.delta_last is None else self.delta_last.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.delta_last = state["delta_last"]
