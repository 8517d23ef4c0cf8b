"""Prioritised replay: transitions are drawn in proportion to a power of their TD error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from td3sweep.replay.batch import Batch
from td3sweep.replay.frames import FrameReplay
from td3sweep.replay.memory import Shape
from td3sweep.replay.saving import TRANSITION
from td3sweep.replay.sequences import Bools, Floats, Ints
from td3sweep.replay.tree import Doubles, SumTree

if TYPE_CHECKING:
    from typing_extensions import Unpack

EPSILON = 1e-6  # keeps a transition without error drawable
FIRST_PRIORITY = 1.0  # of new transitions before any error was seen
LARGEST_SHARE = 0.9  # of the largest error in a sequence's priority, the rest is the mean's


class PriorityRule(Protocol):
    """How often a transition is drawn, and how much each then counts."""

    def priority(self, errors: Doubles) -> Doubles:
        """Absolute TD errors [B] -> positive priorities [B]."""

    def beta(self, updates: int) -> float:
        """Exponent of the importance weights after so many updates; 0 for none."""


@dataclass(frozen=True)
class PER:
    """Proportional prioritised replay (Schaul et al., ICLR 2016): (|error| + 1e-6)^alpha, with importance weights.

    Attributes:
        alpha: exponent of the priorities; 0 draws uniformly.
        first_beta: exponent of the weights at the start; 1 corrects the drawing in full.
        beta_updates: updates over which it rises linearly to 1.
    """

    alpha: float = 0.6
    first_beta: float = 0.4
    beta_updates: int = 4000

    def priority(self, errors: Doubles) -> Doubles:
        priorities: Doubles = (errors + EPSILON) ** self.alpha
        return priorities

    def beta(self, updates: int) -> float:
        return self.first_beta + (1.0 - self.first_beta) * min(updates / self.beta_updates, 1.0)


@dataclass(frozen=True)
class LAP:
    """Loss-adjusted prioritisation (Fujimoto et al., NeurIPS 2020): max(|error|, 1)^alpha, without weights.

    It needs the Huber loss with delta 1: errors below 1, whose loss is quadratic, are drawn uniformly.

    Attributes:
        alpha: exponent of the priorities.
    """

    alpha: float = 0.4

    def priority(self, errors: Doubles) -> Doubles:
        priorities: Doubles = np.maximum(errors, 1.0) ** self.alpha
        return priorities

    def beta(self, updates: int) -> float:
        return 0.0


class PrioritizedReplay(FrameReplay):
    """A `FrameReplay` whose valid starts have priorities; all other slots have priority 0.

    A new transition gets the largest priority so far, so that it is soon drawn. A batch of B is drawn from B equal
    shares of the sum of priorities, one from each (appendix B.2.1 of Schaul et al.). Weights are (p / smallest p of
    the batch)^-beta: the paper's (N P)^-beta over the batch's largest, in which N and the sum cancel.

    Args:
        rule: PER or LAP.
        capacity: slots of the ring.
        seed: of the draws.
        shape: the further arguments of `FrameReplay`.
    """

    def __init__(self, rule: PriorityRule, capacity: int, *, seed: int, **shape: Unpack[Shape]) -> None:
        super().__init__(capacity, seed=seed, **shape)
        self._rule = rule
        self._tree = SumTree(self.capacity)
        self._largest = FIRST_PRIORITY
        self._updates = 0
        self._reach = self._behind + self._burn_in  # observations behind a start that it needs

    def update_priorities(self, batch: Batch, errors: torch.Tensor) -> None:
        """Take the errors of an update back; what has been overwritten or discarded since is passed over.

        Args:
            batch: as `sample` gave it.
            errors: absolute TD errors [B, L], on any device (the host waits for them).
        """
        priorities = self._rule.priority(window_errors(errors.double().cpu().numpy(), batch.mask.numpy()))
        # Diverging networks give infinite errors, which would leave every other transition without a share.
        priorities = np.where(np.isfinite(priorities), priorities, self._largest)
        self._largest = max(self._largest, float(priorities.max()))
        positions = batch.index.numpy()
        slots = positions % self.capacity
        held = (positions >= self._oldest) & (self._tree.leaves[slots] > 0.0)
        self._tree.set(slots[held], priorities[held])
        self._updates += 1

    # Every change of a slot passes through `_touch`; in `_put` the oldest positions lose frames they need.

    def _touch(self, slot: int) -> None:
        super()._touch(slot)
        starts = bool(self._flags[slot] & TRANSITION) and self._valid(np.array([self._head - 1])).item()
        if starts or self._tree.leaves[slot] > 0.0:
            self._tree.set(np.array([slot]), self._largest if starts else 0.0)

    def _put(self, observation: Mapping[str, npt.NDArray[Any]], state: npt.NDArray[Any] | None) -> None:
        before = self._oldest
        super()._put(observation, state)
        if self._oldest == before:
            return
        edge = np.arange(self._oldest, min(self._oldest + self._reach, self._head))
        lost = edge[~self._valid(edge)] % self.capacity
        if self._tree.leaves[lost].any():
            self._tree.set(lost, 0.0)

    def _any_start(self) -> bool:
        return self._tree.total > 0.0

    def _draw(self, count: int) -> tuple[Ints, Ints]:
        shares = (np.arange(count) + self._rng.random(count)) / count
        slots = self._tree.find(shares * self._tree.total)
        return self._oldest + (slots - self._oldest) % self.capacity, np.full(count, self._length)

    def _weights(self, starts: Ints) -> Floats:
        priorities = self._tree.leaves[starts % self.capacity]
        weights: Floats = ((priorities / priorities.min()) ** -self._rule.beta(self._updates)).astype(np.float32)
        return weights

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            "priorities": torch.from_numpy(self._tree.leaves.copy()),
            "largest_priority": self._largest,
            "updates": self._updates,
        }

    def restore(self, state: Mapping[str, Any], segments: Iterable[Mapping[str, npt.NDArray[Any]]] = ()) -> None:
        if "priorities" not in state or len(state["priorities"]) != self.capacity:
            raise ValueError(f"the saved replay has no priorities for {self.capacity} slots")
        super().restore(state, segments)
        self._tree.set(np.arange(self.capacity), state["priorities"].numpy())
        self._largest, self._updates = state["largest_priority"], state["updates"]


def window_errors(errors: Doubles, mask: npt.NDArray[np.float32]) -> Doubles:
    """One error a window: .9 max + .1 mean over its real transitions (R2D2, Kapturowski et al., ICLR 2019).

    Args:
        errors: absolute, [B, L].
        mask: [B, L], 1 for real transitions.
    """
    real: Bools = mask > 0
    errors = np.where(real, errors, 0.0)
    mean = errors.sum(axis=1) / real.sum(axis=1)
    combined: Doubles = LARGEST_SHARE * errors.max(axis=1) + (1.0 - LARGEST_SHARE) * mean
    return combined
