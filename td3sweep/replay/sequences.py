"""Which ring positions a sample reads: windows, n-step ends and masks as index arithmetic, no frames touched.

Positions are global: they count observations since the start and only the ring reduces them to slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Windows:
    """Layout of a batch of windows, before any frame is read.

    Attributes:
        observations: [B, W] global position of every observation shown.
        actions: [B, L] global position of every trained transition (padding repeats a real one).
        next_index: [B, L] bootstrap observation's place in the window.
        steps: [B, L] k, the rewards summed before bootstrapping, 0 for padding.
        mask: [B, L] 1 for real transitions.
        burn_in: [B] real burn-in observations.
        start: window place of the first trained transition.
    """

    observations: Ints
    actions: Ints
    next_index: Ints
    steps: Ints
    mask: Floats
    burn_in: Ints
    start: int


def single_windows(starts: Ints, run: Ints, n_step: int) -> Windows:
    """Feed-forward windows: the observation and its bootstrap observation, nothing between.

    Args:
        starts: [B] positions of transitions.
        run: [B] transitions from there to the episode's end (or the newest one), at least 1.
        n_step: rewards summed at most.
    """
    steps = np.minimum(run, n_step)[:, None]
    ones = np.ones_like(steps)
    return Windows(
        observations=np.concatenate([starts[:, None], starts[:, None] + steps], axis=1),
        actions=starts[:, None],
        next_index=ones,
        steps=steps,
        mask=ones.astype(np.float32),
        burn_in=np.zeros_like(starts),
        start=0,
    )


def sequence_windows(
    starts: Ints, run: Ints, warm: Ints, lengths: Ints, *, length: int, n_step: int, burn_in: int
) -> Windows:
    """Contiguous windows of `burn_in` + `length` + `n_step` observations that never leave their episode.

    Args:
        starts: [B] positions of the first trained transition.
        run: [B] transitions from there to the episode's end (or the newest one), at least 1.
        warm: [B] burn-in observations the episode has before it, at most `burn_in`.
        lengths: [B] transitions to train, at most `length`.
        length: places for transitions in a window.
        n_step: rewards summed at most.
        burn_in: places kept for burn-in.
    """
    offsets = np.arange(-burn_in, length + n_step)
    shown = np.clip(offsets[None, :], -warm[:, None], run[:, None])
    place = np.arange(length)[None, :]
    ends = np.minimum(place + n_step, run[:, None])
    mask = place < np.minimum(run, lengths)[:, None]
    return Windows(
        observations=starts[:, None] + shown,
        actions=starts[:, None] + np.minimum(place, run[:, None] - 1),
        next_index=burn_in + ends,
        steps=np.where(mask, ends - place, 0),
        mask=mask.astype(np.float32),
        burn_in=warm,
        start=burn_in,
    )


def run_length(is_transition: Bools) -> Ints:
    """Leading transitions in each row of [B, T] flags.

    The slot behind an episode starts no transition, so a run never leaves its episode.
    """
    run: Ints = np.logical_and.accumulate(is_transition, axis=1).sum(axis=1)
    return run


def n_step_returns(
    rewards: npt.NDArray[np.float32], terminated: Bools, steps: Ints, gamma: float
) -> tuple[Floats, Floats]:
    """Discounted reward sums and bootstrap discounts.

    Args:
        rewards: [B, L, n] rewards from each transition on.
        terminated: [B, L, n] whether that step terminated the episode.
        steps: [B, L] k, how many of the n belong to the transition.
        gamma: discount of one step.

    Returns:
        Sum of gamma^i r_i over i < k, and gamma^k (0 if a step terminated), each float32 [B, L].
    """
    index = np.arange(rewards.shape[-1])
    used = index < steps[..., None]
    weights = np.where(used, gamma**index, 0.0)
    returns = (rewards * weights).sum(axis=-1)
    ended = (terminated & used).any(axis=-1) | (steps == 0)
    discounts = np.where(ended, 0.0, gamma**steps)
    return returns.astype(np.float32), discounts.astype(np.float32)
