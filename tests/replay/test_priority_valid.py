"""Exactly the valid starts have a priority, whatever begins, ends, is discarded or overwritten in between."""

import numpy as np
import pytest
import torch
from naive_store import Pair, random_end
from test_frames_exact import check_rows
from test_priority import make as prioritized

from td3sweep.replay import PER

MEMORY = {"state_sizes": (1, 2), "state_stride": 2, "sequence_length": 4, "burn_in": 2}


def make(capacity, n_step, seed, memory=None):
    return prioritized(PER(), capacity=capacity, n_step=n_step, seed=seed, **(memory or {}))


def valid_slots(pair, memory):
    held = pair.slot_of()
    if not memory:
        return {held[identity] for identity in pair.valid_transitions()}
    found = set()
    for identity, slot in held.items():
        record = pair.records[identity]
        first = record
        for _ in range(min(record.index, memory["burn_in"])):
            first = first.previous
        kept = record.index == 0 or (slot - memory["burn_in"]) % memory["state_stride"] == 0
        if kept and record.following is not None and pair.intact(first, held):
            found.add(slot)
    return found


@pytest.mark.parametrize("memory", [None, MEMORY], ids=["single", "sequences"])
@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_exactly_the_valid_starts_have_a_priority(n_step, seed, memory):
    rng = np.random.default_rng(seed)
    replay = make(int(rng.integers(28, 50)), n_step, seed, memory)
    pair = Pair(replay, seed, 3 if memory else 0)
    add, waiting, checked = replay.add, [], 0

    def check():
        assert set(np.flatnonzero(replay._tree.leaves).tolist()) == valid_slots(pair, memory)
        assert replay.can_sample(1) == bool(valid_slots(pair, memory))

    def add_and_check(*arguments):
        nonlocal checked
        add(*arguments)
        check()
        checked += 1

    replay.add = add_and_check
    for _ in range(30):
        pair.episode(int(rng.choice([1, 1, 2, 3, 5, 9, 14, 60])), random_end(rng))
        check()
        if not replay.can_sample(1):
            continue
        batch = replay.sample(40)
        if not memory:
            assert check_rows(pair, batch, n_step) <= pair.valid_transitions()
        waiting.append(batch)
        if rng.random() < 0.7:  # the errors of a batch come back at once, or long after some of it is gone
            late = waiting.pop(rng.integers(len(waiting)))
            replay.update_priorities(late, torch.from_numpy(rng.random(late.mask.shape)))
            check()
    assert checked > 100


def test_a_transition_that_was_overwritten_leaves_its_priority_to_nobody():
    pair = Pair(replay := make(20, 1, 0), 0)
    pair.episode(12, "terminated")
    batch = replay.sample(100)
    pair.episode(25, "open")
    before = replay._tree.leaves.copy()
    replay.update_priorities(batch, torch.full((100, 1), 50.0))
    np.testing.assert_array_equal(replay._tree.leaves, before)
