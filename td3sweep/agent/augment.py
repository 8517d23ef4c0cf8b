"""Image augmentation inside an update."""

from __future__ import annotations

import torch


def random_shift(images: torch.Tensor, pad: int, generator: torch.Generator, *, per_window: bool) -> torch.Tensor:
    """Shift stacks by up to `pad` pixels each way, edges repeated (DrQ, Kostrikov et al., 2020).

    Args:
        images: uint8 [B, W, stack, height, width].
        pad: largest shift in pixels.
        generator: on the images' device.
        per_window: one shift a window, so that a memory sees steady images; else one a stack.

    Returns:
        Shifted images, same shape.
    """
    rows, window, stack, height, width = images.shape
    device = images.device
    shift = torch.randint(-pad, pad + 1, (2, rows, 1 if per_window else window), generator=generator, device=device)
    y = (torch.arange(height, device=device) + shift[0, ..., None]).clamp(0, height - 1)
    x = (torch.arange(width, device=device) + shift[1, ..., None]).clamp(0, width - 1)
    source = (y[..., :, None] * width + x[..., None, :]).flatten(2).unsqueeze(2)
    pixels = images.flatten(3)
    return pixels.gather(3, source.expand(-1, window, stack, -1)).view(images.shape)
