"""Timing in interleaved blocks (A B C A B C ...), so that a machine that slows down slows all of them."""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

RESAMPLES = 2000
Contestant = Callable[[], dict[str, float]]


def interleaved(contestants: Sequence[Contestant], blocks: int, tick: Callable[[], None]) -> dict[str, list[float]]:
    """Run every contestant once a block.

    Args:
        contestants: each runs for a while and returns seconds by name.
        blocks: counted ones; one more comes first and warms everything up.
        tick: called after every block.

    Returns:
        Seconds by name, a number a block.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    for block in range(blocks + 1):
        for contestant in contestants:
            for name, value in contestant().items():
                if block > 0:
                    seconds[name].append(value)
        tick()
    return dict(seconds)


def ratio(over: Sequence[float], under: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Ratio of the medians, and the middle 95 % of it when the blocks are resampled (both of a block together)."""
    value = statistics.median(over) / statistics.median(under)
    drawn = np.random.default_rng(0).integers(0, len(over), (RESAMPLES, len(over)))
    resampled = np.median(np.asarray(over)[drawn], axis=1) / np.median(np.asarray(under)[drawn], axis=1)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return value, (float(low), float(high))


@contextmanager
def one_core() -> Iterator[None]:
    """One thread of torch, pinned to one core of those we may use."""
    allowed, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, {max(allowed)})
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        os.sched_setaffinity(0, allowed)
