"""What the loop and its checkpoints ask of a replay memory, whatever it draws by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypedDict

import numpy.typing as npt
import torch

from td3sweep.replay.batch import Batch

Arrays = Mapping[str, npt.NDArray[Any]]


class Replay(Protocol):
    """Draws batches, and can be saved piece by piece.

    Attributes:
        gamma: discount of one step, which a batch's discounts are powers of.
    """

    gamma: float

    def __len__(self) -> int:
        """Transitions that it holds."""
        ...

    @property
    def full(self) -> bool:
        """Whether a new observation takes an old one's place."""
        ...

    def can_sample(self, windows: int) -> bool:
        """Whether a batch of so many windows can be drawn."""
        ...

    def sample(self, windows: int) -> Batch:
        """Draw a batch."""
        ...

    def update_priorities(self, batch: Batch, errors: torch.Tensor) -> None:
        """Take back the absolute TD errors [B, L] of an update on ``batch``; nothing where draws are uniform."""
        ...

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it beside the segments."""
        ...

    def dump_segment(self, since: int, limit: int | None = None) -> tuple[dict[str, npt.NDArray[Any]], int]:
        """What was written after write number ``since``, and the number up to which that goes."""
        ...

    @property
    def oldest_write(self) -> int:
        """Number of the oldest write that still counts."""
        ...

    def restore(self, state: Mapping[str, Any], segments: Iterable[Arrays] = ()) -> None:
        """Take up a saved state and the segments before it, oldest first."""
        ...


class Store(Protocol):
    """The part of a replay memory that keeps one actor's episodes."""

    def begin(self, observation: Mapping[str, npt.NDArray[Any]], state: npt.NDArray[Any] | None = None) -> None:
        """Open an episode with its first observation."""
        ...

    def add(  # noqa: PLR0917 - the order of an environment's step
        self,
        action: npt.NDArray[Any],
        reward: float,
        terminated: bool,
        truncated: bool,
        next_observation: Mapping[str, npt.NDArray[Any]],
        state: npt.NDArray[Any] | None = None,
        meant: npt.NDArray[Any] | None = None,
    ) -> None:
        """Add one step of the open episode."""
        ...

    def discard_episode(self) -> None:
        """Forget the open episode, if there is one."""
        ...


class _Sizes(TypedDict):
    vector_size: int
    action_size: int
    gamma: float
    n_step: int


class Shape(_Sizes, total=False):
    """What every replay memory here is told of what it holds: see :class:`td3sweep.replay.frames.FrameReplay`."""

    frame_shape: tuple[int, int]
    stack: int
    state_sizes: tuple[int, ...]
    state_stride: int
    stored_state: bool
    even: bool
    sequence_length: int
    burn_in: int
