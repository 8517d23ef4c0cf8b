"""A sum tree: draws among many slots in proportion to their values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from td3sweep.replay.sequences import Ints

Doubles = npt.NDArray[np.float64]


class SumTree:
    """Non-negative values by slot, each node above them the sum of its two children.

    Our own, in NumPy, because the kept library for it (cpprb 11) draws from a generator that can neither be seeded nor
    saved, and a resumed run must draw what the interrupted one would have drawn. Every node is computed from its
    children alone, never by adding differences up: equal leaves give equal sums, whatever happened before. Sums are
    brought up to date when they are next read: storing a transition must not cost a walk up the tree.

    Args:
        size: slots.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._first_leaf = 1 << (size - 1).bit_length()
        self._nodes = np.zeros(2 * self._first_leaf)  # the root is node 1; the children of n are 2n and 2n + 1
        self._stale: list[Ints] = []  # slots whose sums are out of date

    @property
    def total(self) -> float:
        """Sum of all values."""
        self._sum_up()
        return float(self._nodes[1])

    @property
    def leaves(self) -> Doubles:
        """Values [size] by slot, a view that must not be written."""
        return self._nodes[self._first_leaf : self._first_leaf + self._size]

    def set(self, slots: Ints, values: Doubles | float) -> None:
        """Give slots [K] their values; of a slot named twice the last one stays."""
        self._nodes[slots + self._first_leaf] = values
        self._stale.append(slots)

    def _sum_up(self) -> None:
        if not self._stale:
            return
        nodes = np.concatenate(self._stale) + self._first_leaf
        self._stale.clear()
        for _ in range(self._first_leaf.bit_length() - 1):
            nodes = nodes >> 1
            self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

    def find(self, points: Doubles) -> Ints:
        """The slots [K] whose shares of the total, laid end to end, hold the points [K]; never one of value 0.

        Args:
            points: between 0 and `total`, which must be positive.
        """
        self._sum_up()
        nodes = np.ones(len(points), np.int64)
        for _ in range(self._first_leaf.bit_length() - 1):
            left, right = self._nodes[2 * nodes], self._nodes[2 * nodes + 1]
            # Rounding may leave a point at the very end of its node: nothing there must mean going left.
            goes_right = (points >= left) & (right > 0.0)
            points = np.where(goes_right, points - left, points)
            nodes = 2 * nodes + goes_right
        return nodes - self._first_leaf
