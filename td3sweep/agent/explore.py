"""Noise on actions: for exploring, and for smoothing the target policy."""

from __future__ import annotations

import torch


def explore(action: torch.Tensor, noise: float, generator: torch.Generator) -> torch.Tensor:
    """Action in [-1, 1] plus Gaussian noise of that standard deviation, clipped back; 0 draws nothing."""
    if noise == 0.0:
        return action
    drawn = torch.empty_like(action).normal_(0.0, noise, generator=generator)
    return (action + drawn).clamp(-1.0, 1.0)


def target_noise(actions: torch.Tensor, noise: float, clip: float, generator: torch.Generator) -> torch.Tensor:
    """Target policy smoothing: noise of that standard deviation, clipped at +-`clip`, in the shape of `actions`."""
    return torch.empty_like(actions).normal_(0.0, noise, generator=generator).clamp_(-clip, clip)
