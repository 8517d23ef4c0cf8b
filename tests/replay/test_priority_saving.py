"""Priorities, the largest of them and beta's counter come back to the bit."""

import numpy as np
import pytest
import torch
from naive_store import FRAME, Pair, random_end
from saving import assert_same_future, through_disk

from td3sweep.replay import PER, FrameReplay, PrioritizedReplay

MEMORY = {"state_sizes": (3,), "state_stride": 2, "sequence_length": 4, "burn_in": 2}
COMMON = {"vector_size": 1, "action_size": 2, "gamma": 0.9, "n_step": 2, "seed": 3}


def make(memory=False, capacity=40):
    return PrioritizedReplay(
        PER(beta_updates=30),
        capacity,
        frame_shape=FRAME,
        stack=4,
        **COMMON,
        **(MEMORY if memory else {"state_stride": 1}),
    )


def update(replay, seed):
    batch = replay.sample(32)
    generator = torch.Generator().manual_seed(seed)
    replay.update_priorities(batch, 5 * torch.rand(batch.mask.shape, generator=generator))


@pytest.mark.parametrize("memory", [False, True])
def test_a_restored_replay_goes_on_the_same_way(memory):
    rng = np.random.default_rng(0)
    pair = Pair(make(memory), 0, 3 if memory else 0)
    for turn in range(20):
        pair.episode(int(rng.choice([4, 9, 15])), random_end(rng))
        if pair.replay.can_sample(1):
            update(pair.replay, turn)
    copy = make(memory)
    copy.restore(*through_disk(pair.replay.state(), [pair.replay.dump_segment(0)[0]]))
    assert copy._tree.total == pair.replay._tree.total > 0
    np.testing.assert_array_equal(copy._tree._nodes, pair.replay._tree._nodes)
    for turn in range(3):
        assert_same_future(pair.replay, copy)
        update(pair.replay, turn)
        update(copy, turn)
    final = {"image": np.full((4, *FRAME), 9, np.uint8), "vector": np.array([99.0], np.float32)}
    for replay in (pair.replay, copy):  # a new transition takes the largest priority so far
        replay.begin(final)
        replay.add(np.ones(2, np.float32), 2.0, True, False, final, np.zeros(3, np.float32))
    assert_same_future(pair.replay, copy)


def test_a_state_is_a_copy():
    pair = Pair(make(), 0)
    pair.episode(9, "truncated")
    state = pair.replay.state()
    before = state["priorities"].clone()
    update(pair.replay, 0)
    assert torch.equal(state["priorities"], before)
    assert not torch.equal(pair.replay.state()["priorities"], before)


def test_a_uniform_replays_state_is_refused():
    uniform = FrameReplay(40, frame_shape=FRAME, stack=4, **COMMON)
    with pytest.raises(ValueError, match="no priorities for 40 slots"):
        make().restore(uniform.state())


def test_a_uniform_replays_state_is_what_it_was():
    """Checkpoints of before there were priorities go on loading."""
    state = FrameReplay(40, frame_shape=FRAME, stack=4, **COMMON).state()
    assert state.keys() == {"head", "oldest", "write_count", "open", "rng"}
