"""The sum tree: shares by hand, and no slot of value 0 whatever rounding does."""

import numpy as np
import pytest

from td3sweep.replay.tree import SumTree


def filled(*values):
    tree = SumTree(len(values))
    tree.set(np.arange(len(values)), np.array(values, float))
    return tree


def test_points_fall_into_shares_by_hand():
    """Shares of 1, 2, 0, 3, 4: slot 0 holds [0, 1), 1 [1, 3), 3 [3, 6), 4 [6, 10]."""
    tree = filled(1, 2, 0, 3, 4)
    assert tree.total == 10.0
    points = np.array([0, 0.99, 1, 2.99, 3, 5.99, 6, 9.99, 10])
    assert tree.find(points).tolist() == [0, 0, 1, 1, 3, 3, 4, 4, 4]
    tree.set(np.array([4, 2]), np.array([0.0, 0.5]))
    assert tree.total == 6.5
    assert tree.find(np.array([2.99, 3, 3.49, 3.5, 6.5])).tolist() == [1, 2, 2, 3, 3]


def test_of_a_slot_named_twice_the_last_value_counts_once():
    tree = filled(1, 1, 1)
    tree.set(np.array([1, 1]), np.array([5.0, 2.0]))
    assert (tree.total, tree.leaves.tolist()) == (4.0, [1.0, 2.0, 1.0])


def test_a_tree_of_one_slot():
    tree = filled(3)
    assert tree.find(np.array([0.0, 2.9, 3.0])).tolist() == [0, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_a_slot_of_value_zero_is_never_found(seed):
    """Values over forty orders of magnitude, half of them 0: sums are far from exact."""
    rng = np.random.default_rng(seed)
    values = 10.0 ** rng.uniform(-20, 20, 1000) * (rng.random(1000) < 0.5)
    values[-1] = 0.0
    tree = filled(*values)
    ends = np.cumsum(values)
    points = np.concatenate([rng.random(5000) * tree.total, ends[ends <= tree.total], [0.0, tree.total]])
    assert (tree.leaves[tree.find(points)] > 0).all()


def test_sums_depend_on_the_leaves_alone():
    """A tree that went through many changes equals one built at once: what makes a resume exact."""
    rng = np.random.default_rng(0)
    used = SumTree(77)
    for _ in range(200):
        used.set(rng.integers(0, 77, 9), rng.random(9))
    rebuilt = filled(*used.leaves)
    assert used.total == rebuilt.total > 0
    np.testing.assert_array_equal(used._nodes, rebuilt._nodes)
