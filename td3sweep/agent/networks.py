"""Actor and twin critic: an encoder (CNN and memory) and a head each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from td3sweep.nets import ImageCNN, Memory, PolicyHead, TwinQHead
from td3sweep.replay.batch import Batch


class Encoder(nn.Module):
    """CNN, then memory: image windows in, features out.

    A stateless encoder sees only the observations asked for; a recurrent one unrolls the window up to them.
    Burn-in observations refresh the stored state and get no gradient.

    Attributes:
        context: numbers that the memory is fed beside the features: of the observation's vector, and of the action
            before it (R2D2; Ni et al., 2022, feed both); two zeros for none.
    """

    def __init__(self, cnn: ImageCNN, memory: Memory, context: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.cnn = cnn
        self.memory = memory
        self.context = context

    @property
    def state_size(self) -> int:
        """Numbers of memory state a row carries, 0 for feed-forward."""
        return self.memory.state_size

    def forward(
        self, images: torch.Tensor, state: torch.Tensor, context: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, T, stack, height, width], [B, S] and [B, T, V + A] -> features [B, T, F] and the state after."""
        features, state = self.memory(self._inputs(images, context), state)
        return features, state

    def current(self, batch: Batch, state: torch.Tensor) -> torch.Tensor:
        """Features [B, L, F] of the observations acted on."""
        return self._unroll(batch, state, batch.start + batch.length)

    def following(self, batch: Batch, state: torch.Tensor) -> torch.Tensor:
        """Features [B, L, F] of the bootstrap observations."""
        if self.state_size == 0:
            return self._frames(batch.images[:, 1:])
        return self._unroll(batch, state, batch.images.shape[1])[_rows(batch), batch.next_index - batch.start]

    def _unroll(self, batch: Batch, state: torch.Tensor, stop: int) -> torch.Tensor:
        context = torch.cat([batch.vectors, batch.previous], dim=-1) if self.context[1] else None
        if batch.start > 0:
            with torch.no_grad():
                warm = self._inputs(*_between(batch.images, context, 0, batch.start))
                state = self.memory.burn_in(warm, state, batch.burn_in)
        images, context = _between(batch.images, context, batch.start, stop)
        features: torch.Tensor = self(images, state, context)[0]
        return features

    def _inputs(self, images: torch.Tensor, context: torch.Tensor | None) -> torch.Tensor:
        """What the memory is fed."""
        features = self._frames(images)
        if self.context[1] == 0:
            return features
        assert context is not None
        return torch.cat([features, context.to(features.dtype)], dim=-1)

    def _frames(self, images: torch.Tensor) -> torch.Tensor:
        # Time comes first in memory (see `scaled_once`): so a slice of time is one block and is not copied.
        features: torch.Tensor = self.cnn(images.transpose(0, 1))
        return features.transpose(0, 1)


class Actor(nn.Module):
    """Policy network; with no encoder of its own it reads the critic's features, detached (`critic_only`)."""

    def __init__(self, encoder: Encoder | None, head: PolicyHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    @property
    def state_size(self) -> int:
        """Numbers of memory state a row carries."""
        return 0 if self.encoder is None else self.encoder.state_size


class Critic(nn.Module):
    """Two Q heads over one encoder."""

    def __init__(self, encoder: Encoder, head: TwinQHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    @property
    def state_size(self) -> int:
        """Numbers of memory state a row carries."""
        return self.encoder.state_size


def _between(
    images: torch.Tensor, context: torch.Tensor | None, start: int, stop: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    return images[:, start:stop], None if context is None else context[:, start:stop]


def parts(network: Actor | Critic) -> Mapping[str, list[nn.Parameter]]:
    """Trainable parameters by part: `cnn`, `memory`, `head`; parts without parameters are left out."""
    found = {"head": list(network.head.parameters())}
    if network.encoder is not None:
        found["cnn"] = list(network.encoder.cnn.parameters())
        found["memory"] = list(network.encoder.memory.parameters())
    return {name: found[name] for name in ("cnn", "memory", "head") if found.get(name)}


def scaled_once(batch: Batch, cnn: ImageCNN) -> Batch:
    """The batch with images scaled for all encoders that read them: same shape, time first in memory."""
    return replace(batch, images=cnn.scaled(batch.images.transpose(0, 1)).transpose(0, 1))


def next_vectors(batch: Batch) -> torch.Tensor:
    """Vectors [B, L, V] of the bootstrap observations."""
    return batch.vectors[_rows(batch), batch.next_index]


def current_vectors(batch: Batch) -> torch.Tensor:
    """Vectors [B, L, V] of the observations acted on."""
    return batch.vectors[:, batch.start : batch.start + batch.length]


def _rows(batch: Batch) -> torch.Tensor:
    return torch.arange(batch.next_index.shape[0], device=batch.next_index.device).unsqueeze(1)
