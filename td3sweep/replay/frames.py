"""Replay that stores each frame once and rebuilds stacks when it samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from td3sweep.replay.batch import Batch
from td3sweep.replay.saving import TRANSITION, SavedRing
from td3sweep.replay.sequences import (
    Bools,
    Floats,
    Ints,
    Windows,
    n_step_returns,
    run_length,
    sequence_windows,
    single_windows,
)

TERMINATED = 2  # a flag of a slot, beside TRANSITION
OLDEST_AGE = 255


class FrameReplay(SavedRing):
    """A ring of observations; a transition is an observation's slot and the slot behind it.

    Every observation takes one slot, an episode's last one included: that slot starts no transition, so it
    keeps episodes apart. An `age` byte (steps since the episode began, at most 255) says how many frames of a
    stack are padding. A transition can be sampled from the moment it is added; within n steps of the newest
    observation it bootstraps there, with as many rewards as there are.

    Memory states (`state_sizes`) are kept at every `state_stride`-th slot, and every episode starts from the
    zero state: a window, burn-in included, starts at one of those slots or at an episode's first.

    So every transition stands in as many windows as a stride fits into `sequence_length`, but an episode's first ones
    in fewer. With `even` there are windows as well that would begin before the episode: what of them lies in it is
    trained, and every transition is drawn equally often.

    Args:
        capacity: slots of the ring, rounded up to a multiple of `state_stride`.
        frame_shape: (height, width) of one frame.
        stack: frames shown together, an episode's first one repeated before its start.
        vector_size: numbers of the observation's vector, 0 for none.
        action_size: numbers of an action.
        state_sizes: memory-state numbers, those of a last action included; empty or zeros for feed-forward.
        state_stride: slots from one kept state to the next, at most `sequence_length`; half of it lets
            sequences overlap.
        even: draw every transition of a memory's windows equally often.
        stored_state: False keeps zeros instead of the states: the zero-state start of R2D2's comparison
            (Kapturowski et al. 2019, section 3).
        gamma: discount of one step.
        n_step: rewards summed before bootstrapping.
        sequence_length: transitions trained in a window; more than 1 needs a memory.
        burn_in: observations that refresh a stored state before the trained part, at most 254.
        seed: of the sampling generator.

    Raises:
        ValueError: arguments that do not fit each other.
    """

    def __init__(
        self,
        capacity: int,
        *,
        frame_shape: tuple[int, int] = (84, 84),
        stack: int = 4,
        vector_size: int,
        action_size: int,
        state_sizes: tuple[int, ...] = (),
        state_stride: int = 1,
        stored_state: bool = True,
        even: bool = True,
        gamma: float,
        n_step: int,
        sequence_length: int = 1,
        burn_in: int = 0,
        seed: int,
    ) -> None:
        self._state_size = sum(state_sizes)
        self._recurrent = self._state_size > 0
        if not self._recurrent and (sequence_length != 1 or burn_in != 0):
            raise ValueError("sequence_length and burn_in need a memory: give state_sizes")
        if not 1 <= state_stride <= sequence_length:
            raise ValueError(
                f"state_stride={state_stride} must lie between 1 and sequence_length={sequence_length}: "
                "else transitions would go untrained"
            )
        if burn_in >= OLDEST_AGE:
            raise ValueError(f"burn_in={burn_in} must stay below {OLDEST_AGE}")
        shortest = 2 * (burn_in + sequence_length + n_step + stack)
        if capacity < shortest:
            raise ValueError(f"capacity={capacity} is below {shortest}, two windows of these settings")
        self.capacity = -(-capacity // state_stride) * state_stride
        self._stack, self._stride, self._stored_state = stack, state_stride, stored_state
        self.gamma, self._n_step = gamma, n_step
        self._length, self._burn_in = sequence_length, burn_in
        self._even = even and self._recurrent
        self._behind = max(stack - 1, 1 if self._recurrent else 0)  # slots that an observation's frames and action need
        # Zeroed pages are mapped on first touch: an empty replay costs no memory.
        self._arrays: dict[str, npt.NDArray[Any]] = {
            "frames": np.zeros((self.capacity, *frame_shape), np.uint8),
            "vectors": np.zeros((self.capacity, vector_size), np.float32),
            "actions": np.zeros((self.capacity, action_size), np.float32),
            "meant": np.zeros((self.capacity, action_size), np.float32),
            "rewards": np.zeros(self.capacity, np.float32),
            "ages": np.zeros(self.capacity, np.uint8),
            "flags": np.zeros(self.capacity, np.uint8),
            "writes": np.zeros(self.capacity, np.int64),
        }
        self._states = np.zeros((self.capacity // state_stride, self._state_size), np.float32)
        self._frames = self._arrays["frames"]
        self._ages, self._flags = self._arrays["ages"], self._arrays["flags"]
        self._writes = self._arrays["writes"]
        self._head = 0  # global position of the next observation
        self._oldest = 0  # first global position whose slot is not overwritten
        self._transitions = 0  # slots that start a transition
        self._write_count = 0  # slot writes so far, never reduced
        self._open: int | None = None  # global position of the open episode's first observation
        self._rng = np.random.default_rng(seed)

    # Storing ----------------------------------------------------------------------------------------------

    def begin(self, observation: Mapping[str, npt.NDArray[Any]], state: npt.NDArray[Any] | None = None) -> None:
        """Start an episode.

        Args:
            observation: `image` uint8 [stack, height, width], every frame the same; `vector` float32
                [vector_size].
            state: zero memory state; None means the same.

        Raises:
            ValueError: the stack is not padded with its first frame, or the state is not zero.
            RuntimeError: an episode is still open.
        """
        if self._open is not None:
            raise RuntimeError("an episode is open: end it or discard it before the next begins")
        image = observation["image"]
        if (image != image[-1]).any():
            raise ValueError("an episode's first stack must repeat one frame: stacks are rebuilt that way")
        if state is not None and state.any():
            raise ValueError("an episode starts from the zero memory state")
        self._open = self._head
        self._put(observation, state)

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
        """Add a transition from the newest observation; `terminated` or `truncated` closes the episode.

        Args:
            action: float32 [action_size].
            reward: reward of the step.
            terminated: the episode ended for good: nothing is bootstrapped.
            truncated: the episode was cut: its last observation is bootstrapped from.
            next_observation: as in `begin`; only its newest frame is kept.
            state: float32 [S] actor then critic memory before they saw `next_observation`.
            meant: float32 [action_size] what a demonstrator meant to do, None where none acted.

        Raises:
            RuntimeError: no episode is open.
            ValueError: the memory state is missing.
        """
        if self._open is None:
            raise RuntimeError("no episode is open: call begin first")
        if self._recurrent and state is None:
            raise ValueError("this replay keeps memory states: add needs the state")
        slot = (self._head - 1) % self.capacity
        self._arrays["actions"][slot] = action
        self._arrays["meant"][slot] = np.nan if meant is None else meant
        self._arrays["rewards"][slot] = reward
        self._flags[slot] = TRANSITION | (TERMINATED if terminated else 0)
        self._touch(slot)
        self._transitions += 1
        self._put(next_observation, state)
        if terminated or truncated:
            self._open = None

    def discard_episode(self) -> None:
        """Forget the open episode, if any; what it overwrote stays lost."""
        if self._open is None:
            return
        slots = np.arange(max(self._open, self._head - self.capacity), self._head) % self.capacity
        self._flags[slots] = 0
        for slot in slots:
            self._touch(int(slot))
        self._head = self._open
        self._oldest = min(self._oldest, self._head)
        self._transitions = int(np.count_nonzero(self._flags & TRANSITION))
        self._open = None

    def _put(self, observation: Mapping[str, npt.NDArray[Any]], state: npt.NDArray[Any] | None) -> None:
        assert self._open is not None
        slot = self._head % self.capacity
        self._transitions -= int(self._flags[slot]) & TRANSITION
        self._frames[slot] = observation["image"][-1]
        self._arrays["vectors"][slot] = observation["vector"]
        self._ages[slot] = min(self._head - self._open, OLDEST_AGE)
        self._flags[slot] = 0
        if self._recurrent and slot % self._stride == 0:
            self._states[slot // self._stride] = state if self._stored_state and state is not None else 0.0
        self._touch(slot)
        self._head += 1
        self._oldest = max(self._oldest, self._head - self.capacity)

    def _touch(self, slot: int) -> None:
        self._write_count += 1
        self._writes[slot] = self._write_count

    # Sizes ------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Transitions held whose frames are all there."""
        reach = min(self._behind, self._head - self._oldest)
        first = np.arange(self._oldest, self._oldest + reach)
        return self._transitions - int((self._is_transition(first) & ~self._intact(first)).sum())

    @property
    def size(self) -> int:
        """The same as `len`."""
        return len(self)

    @property
    def full(self) -> bool:
        """Whether the next observation overwrites the oldest."""
        return self._head - self._oldest == self.capacity

    @property
    def episode_open(self) -> bool:
        """Whether an episode has begun and not ended."""
        return self._open is not None

    @property
    def nbytes(self) -> int:
        """Bytes of the slots in use."""
        used = min(self._head, self.capacity)
        slot = sum(array.nbytes for array in self._arrays.values()) + self._states.nbytes
        return slot * used // self.capacity

    @property
    def bytes_per_transition(self) -> float:
        """Bytes in use over transitions held; an episode's last observation is part of the price."""
        return self.nbytes / max(len(self), 1)

    def can_sample(self, windows: int) -> bool:
        """Whether at least so many transitions are held (and, with a memory, a window can start)."""
        return len(self) >= max(windows, 1) and self._any_start()

    def _any_start(self) -> bool:
        live = self._head - self._oldest
        # A longer stretch always holds an episode's first slot or one whose kept state is intact.
        if live >= 4 * (self._burn_in + self._length + self._n_step + self._stack):
            return True
        return bool(self._valid(np.arange(self._oldest, self._head)).any())

    # Sampling ---------------------------------------------------------------------------------------------

    def sample(self, windows: int) -> Batch:
        """Draw with replacement, here uniformly.

        Args:
            windows: how many; each trains one transition or, with a memory, up to `sequence_length`.

        Raises:
            ValueError: nothing can be sampled yet.
        """
        if not self.can_sample(1):
            raise ValueError("the replay holds nothing to sample yet")
        starts, lengths = self._draw(windows)
        run = self._run(starts)
        if not self._recurrent:
            return self._gather(single_windows(starts, run, self._n_step), starts)
        warm = self._warm(starts)
        found = sequence_windows(
            starts, run, warm, lengths, length=self._length, n_step=self._n_step, burn_in=self._burn_in
        )
        return self._gather(found, starts - warm)

    def update_priorities(self, batch: Batch, errors: torch.Tensor) -> None:
        """Draws are uniform, whatever the errors are."""

    def _draw(self, count: int) -> tuple[Ints, Ints]:
        """`count` windows: valid starts and the transitions to train from there, by rejection.

        `can_sample` has seen that there are some.
        """
        drawn, lengths = np.empty(0, np.int64), np.empty(0, np.int64)
        while len(drawn) < count:
            candidates = self._rng.integers(
                self._oldest, self._head, size=2 * count * (self._length if self._even else self._stride)
            )
            known = self._valid(candidates)
            trained = np.full(len(candidates), self._length)
            if self._even:
                earlier, begins = self._earlier(candidates)
                trained -= np.where(begins, earlier, 0)
                known &= begins | (earlier < self._stride)
            drawn = np.concatenate([drawn, candidates[known]])
            lengths = np.concatenate([lengths, trained[known]])
        return drawn[:count], lengths[:count]

    def _earlier(self, positions: Ints) -> tuple[Ints, Bools]:
        """How far before a position one of its windows begins, drawn of as many as hold it, and whether it is an
        episode's first: there the windows begin outside. Elsewhere the nearest one counts."""
        fits = self._length // self._stride
        nearest = (positions - self._burn_in) % self._stride
        begins: Bools = self._ages[positions % self.capacity] == 0
        return nearest + self._stride * self._rng.integers(fits, size=len(positions)), begins

    def _weights(self, starts: Ints) -> Floats:
        """Importance weights [B] of drawn starts: none is drawn more often than another."""
        return np.ones(len(starts), np.float32)

    def _valid(self, positions: Ints) -> Bools:
        valid = self._is_transition(positions)
        if not self._recurrent:
            return valid & self._intact(positions)
        first = self._ages[positions % self.capacity] == 0
        valid &= first | ((positions - self._burn_in) % self._stride == 0)
        # Positions before the oldest would read overwritten slots; `_intact` refuses them either way.
        return valid & self._intact(positions - self._warm(positions))

    def _is_transition(self, positions: Ints) -> Bools:
        return (self._flags[positions % self.capacity] & TRANSITION).astype(bool)

    def _intact(self, positions: Ints) -> Bools:
        padding = np.minimum(self._ages[positions % self.capacity], self._behind).astype(np.int64)
        intact: Bools = (positions >= self._oldest) & (positions - padding >= self._oldest)
        return intact

    def _warm(self, positions: Ints) -> Ints:
        """Burn-in observations an episode has before these positions."""
        return np.minimum(self._ages[positions % self.capacity].astype(np.int64), self._burn_in)

    def _run(self, starts: Ints) -> Ints:
        ahead = starts[:, None] + np.arange(self._length + self._n_step)
        # The newest observation starts no transition, so a run never reaches the overwritten slots behind it.
        return run_length(self._is_transition(ahead))

    def _gather(self, windows: Windows, first: Ints) -> Batch:
        slots = windows.observations % self.capacity
        padding = np.minimum(np.arange(self._stack - 1, -1, -1), self._ages[slots][..., None])
        stacks = (windows.observations[..., None] - padding) % self.capacity
        acted = windows.actions % self.capacity
        ahead = (windows.actions[..., None] + np.arange(self._n_step)) % self.capacity
        rewards, discounts = n_step_returns(
            self._arrays["rewards"][ahead], (self._flags[ahead] & TERMINATED) != 0, windows.steps, self.gamma
        )
        arrays = {
            "images": self._frames.take(stacks, axis=0),
            "vectors": self._arrays["vectors"].take(slots, axis=0),
            "previous": self._previous(windows.observations),
            "actions": self._arrays["actions"].take(acted, axis=0),
            "meant": self._arrays["meant"].take(acted, axis=0),
            "rewards": rewards,
            "discounts": discounts,
            "next_index": windows.next_index,
            "mask": windows.mask,
            "states": self._states_at(first),
            "burn_in": windows.burn_in,
            "weights": self._weights(windows.actions[:, 0]),
            "index": windows.actions[:, 0],
        }
        return Batch(**{name: torch.from_numpy(a) for name, a in arrays.items()}, start=windows.start)

    def _previous(self, positions: Ints) -> npt.NDArray[np.float32]:
        begins = self._ages[positions % self.capacity] == 0
        actions = self._arrays["actions"].take((positions - 1) % self.capacity, axis=0)
        return np.where(begins[..., None], np.float32(0.0), actions)

    def _states_at(self, positions: Ints) -> npt.NDArray[np.float32]:
        slots = positions % self.capacity
        kept = (slots % self._stride == 0)[:, None]
        return np.where(kept, self._states.take(slots // self._stride, axis=0), np.float32(0.0))
