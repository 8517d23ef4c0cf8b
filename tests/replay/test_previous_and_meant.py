"""The action before an observation and what a demonstrator meant, where the ring and its segments end."""

import numpy as np
import pytest
import torch
from naive_store import FRAME
from saving import through_disk

from td3sweep.replay import FrameReplay
from td3sweep.replay.shards import ShardedReplay

MEMORY = {"state_sizes": (1,), "sequence_length": 2, "burn_in": 1}


def make(stack=4, capacity=20, **shape):
    return FrameReplay(
        capacity, frame_shape=FRAME, stack=stack, vector_size=1, action_size=1, gamma=0.9, n_step=1, seed=0, **shape
    )


def play(replay, steps, stack=4):
    """One open episode: action and vector are the time, and every odd step was meant to be ten times as much."""
    image = np.zeros((stack, *FRAME), np.uint8)
    replay.begin({"image": image, "vector": np.zeros(1, np.float32)})
    for time in range(1, steps + 1):
        action = np.array([time], np.float32)
        following = {"image": image, "vector": action}
        replay.add(action, 0.0, False, False, following, np.zeros(1), 10 * action if time % 2 else None)
    return replay


@pytest.mark.parametrize("shape", [{}, MEMORY])
def test_of_an_episode_by_hand(shape):
    """The observation of time t follows action t; action t + 1 is taken there."""
    batch = play(make(**shape), 9).sample(100)
    assert torch.equal(batch.previous, batch.vectors)
    now = batch.vectors[:, batch.start : batch.start + batch.length]
    real = batch.mask > 0
    assert torch.equal(batch.actions[real], now[real] + 1)
    odd = batch.actions % 2 == 1
    assert torch.equal(batch.meant[odd], 10 * batch.actions[odd])
    assert batch.meant[~odd].isnan().all()
    assert odd.any()
    assert not odd.all()


def test_a_memorys_oldest_window_has_its_action_before_though_a_stack_is_one_frame():
    """Observations 22 to 41 of 42 are held: with that of 22 the action before it is gone."""
    replay = play(make(stack=1, **MEMORY), 41, stack=1)
    batch = replay.sample(300)
    assert batch.vectors.min() == 23
    assert torch.equal(batch.previous, batch.vectors)
    assert len(replay) == 18


def test_an_older_segment_tells_of_no_demonstrator():
    replay = play(make(), 9)
    segment, _ = replay.dump_segment(0)
    del segment["meant"]
    copy = make()
    copy.restore(*through_disk(replay.state(), [segment]))
    ours, older = replay.sample(50), copy.sample(50)
    assert older.meant.isnan().all()
    assert not ours.meant.isnan().all()
    assert torch.equal(ours.actions, older.actions)


def test_an_older_segment_of_several_rings_as_well():
    def rings():
        return ShardedReplay(2, 60, frame_shape=FRAME, vector_size=1, action_size=1, gamma=0.9, n_step=1, seed=0)

    replay = rings()
    for shard in replay.shards:
        play(shard, 9)
    segment, _ = replay.dump_segment(0)
    del segment["meant"]
    copy = rings()
    copy.restore(*through_disk(replay.state(), [segment]))
    assert copy.sample(50).meant.isnan().all()
