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
    rows, width_of_window, stack, height, width = images.shape
    drawn = (rows, 1 if per_window else width_of_window)
    device = images.device
    shift = torch.randint(-pad, pad + 1, (2, *drawn), generator=generator, device=device)
    shift = shift.expand(2, rows, width_of_window)
    y = (torch.arange(height, device=device) + shift[0, ..., None]).clamp(0, height - 1)
    x = (torch.arange(width, device=device) + shift[1, ..., None]).clamp(0, width - 1)
    index = y[:, :, None, :, None].expand(-1, -1, stack, -1, width)
    shifted = images.gather(3, index)
    index = x[:, :, None, None, :].expand(-1, -1, stack, height, -1)
    return shifted.gather(4, index)
