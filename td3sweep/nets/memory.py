"""Memory between encoder and head. Every kind speaks of its state as one flat vector per row."""

from __future__ import annotations

import torch
from torch import nn

from td3sweep.names import MemoryKind
from td3sweep.nets.heads import build_trunk


class Memory(nn.Module):
    """What every memory offers.

    Attributes:
        state_size: numbers of state a row carries (0: no state, the module is the identity).
        features: width of the output.
    """

    state_size: int
    features: int

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run over a sequence.

        Args:
            x: [B, T, input] in order of time.
            state: [B, state_size] before the first step.

        Returns:
            Outputs [B, T, features] and the state [B, state_size] after the last step.
        """
        raise NotImplementedError

    def burn_in(self, x: torch.Tensor, state: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Refresh a stored state with the observations that follow it.

        Args:
            x: [B, T, input]; in each row the last `counts` steps are real, those before are padding.
            state: [B, state_size] before the first real step.
            counts: int64 [B].

        Returns:
            State [B, state_size] after the last step; a row with no real step keeps its state.
        """
        steps = x.shape[1]
        for step in range(steps):
            real = (counts >= steps - step).unsqueeze(1)
            state = torch.where(real, self(x[:, step : step + 1], state)[1], state)
        return state


class NoMemory(Memory):
    """The identity: feed-forward networks are recurrent ones without state."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.state_size = 0
        self.features = features

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, state


class GRUMemory(Memory):
    """One GRU layer; the state is its hidden vector."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.state_size = self.features = hidden_size
        self.gru = nn.GRU(input_size, hidden_size, batch_first=True)

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, hidden = self.gru(x, state.unsqueeze(0).contiguous())
        return y, hidden.squeeze(0)


class LSTMMemory(Memory):
    """One LSTM layer; the state is its hidden vector followed by its cell vector."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.state_size = 2 * hidden_size
        self.features = hidden_size
        self.lstm = nn.LSTM(input_size, hidden_size, batch_first=True)

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, cell = state.unsqueeze(0).chunk(2, dim=-1)
        y, (hidden, cell) = self.lstm(x, (hidden.contiguous(), cell.contiguous()))
        return y, torch.cat([hidden.squeeze(0), cell.squeeze(0)], dim=-1)


class Trunked(Memory):
    """A memory behind a trunk (`build_trunk`), which bounds what its gates are fed; the context passes beside it."""

    def __init__(self, memory: Memory, input_size: int, width: int) -> None:
        super().__init__()
        self.trunk, _ = build_trunk(input_size, width)
        self.memory = memory
        self.state_size, self.features = memory.state_size, memory.features
        self._input_size = input_size

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        squeezed = self.trunk(x[..., : self._input_size])
        return self.memory(torch.cat([squeezed, x[..., self._input_size :]], dim=-1), state)  # type: ignore[no-any-return]


class SkipMemory(Memory):
    """A memory whose input passes beside it as well: outputs are the memory's, then its input's.

    The head then reads what is seen now directly, and only what is remembered through the memory (the shortcut of
    Ni et al., "Recurrent Model-Free RL Can Be a Strong Baseline for Many POMDPs", 2022, section 4).
    """

    def __init__(self, memory: Memory, input_size: int) -> None:
        super().__init__()
        self.memory = memory
        self.state_size = memory.state_size
        self.features = memory.features + input_size

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, state = self.memory(x, state)
        return torch.cat([y, x], dim=-1), state


def build_memory(
    kind: MemoryKind,
    input_size: int,
    hidden_size: int,
    *,
    trunk: int | None = None,
    skip: bool = False,
    context: int = 0,
) -> Memory:
    """The memory of that name; `none` ignores the rest.

    Args:
        kind: of cell.
        input_size: width of the features.
        hidden_size: units of the cell.
        trunk: squeeze the features to this width before the memory and what passes beside it; None leaves them.
        skip: pass the input beside it (see `SkipMemory`).
        context: numbers that stand behind the features in its input.
    """
    if kind == "none":
        return NoMemory(input_size)
    cell = GRUMemory if kind == "gru" else LSTMMemory
    width = (input_size if trunk is None else trunk) + context
    memory: Memory = cell(width, hidden_size)
    if skip:
        memory = SkipMemory(memory, width)
    return memory if trunk is None else Trunked(memory, input_size, trunk)
