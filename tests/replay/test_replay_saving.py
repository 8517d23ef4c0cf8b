"""Incremental saving: state and segments rebuild the replay to the bit."""

import numpy as np
import pytest
from naive_store import FRAME, Pair, random_end
from saving import assert_same_future, through_disk

from td3sweep.replay import FrameReplay


def make(capacity=40, memory=True):
    return FrameReplay(
        capacity,
        frame_shape=FRAME,
        stack=4,
        vector_size=1,
        action_size=2,
        state_sizes=(3,) if memory else (),
        state_stride=2 if memory else 1,
        gamma=0.9,
        n_step=2,
        sequence_length=4 if memory else 1,
        burn_in=2 if memory else 0,
        seed=3,
    )


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("limit", [None, 5])
def test_round_trip_after_wrap_around_and_discards(memory, limit):
    rng = np.random.default_rng(0)
    pair = Pair(make(memory=memory), 0, 3 if memory else 0)
    segments, since = [], 0
    for _ in range(25):
        pair.episode(int(rng.choice([1, 4, 9, 15])), random_end(rng))
        more = True
        while more:
            segment, since = pair.replay.dump_segment(since, limit)
            segments.append(segment)
            more = limit is not None and len(segment["slots"]) == limit
    copy = make(memory=memory)
    copy.restore(*through_disk(pair.replay.state(), segments))
    assert len(copy) == len(pair.replay)
    assert_same_future(pair.replay, copy)
    # Both go on the same way, and so does the saving.
    segment, end = copy.dump_segment(since)
    assert len(segment["slots"]) == 0
    assert end == since


def test_a_segment_dumped_inside_an_episode_that_is_then_discarded_is_overridden():
    pair = Pair(make(memory=False), 0)
    pair.episode(20, "terminated")
    pair.episode(9, "open")
    first, since = pair.replay.dump_segment(0)
    pair.replay.discard_episode()
    for slot in range(21, 31):
        pair.ring.pop(slot)
    pair.pointer = 21
    pair.episode(3, "truncated")
    second, _ = pair.replay.dump_segment(since)
    copy = make(memory=False)
    copy.restore(*through_disk(pair.replay.state(), [first, second]))
    assert len(copy) == 23
    assert_same_future(pair.replay, copy)


def test_the_open_episode_goes_on_after_a_restore():
    def grown():
        pair = Pair(make(memory=False), 0)
        pair.episode(7, "open")
        return pair

    pair, other = grown(), grown()
    segment, _ = pair.replay.dump_segment(0)
    copy = make(memory=False)
    copy.restore(*through_disk(pair.replay.state(), [segment]))
    assert copy.episode_open
    final = {"image": np.full((4, *FRAME), 9, np.uint8), "vector": np.array([99.0], np.float32)}
    for replay in (other.replay, copy):
        replay.add(np.ones(2, np.float32), 2.0, True, False, final)
    assert_same_future(other.replay, copy)


def test_obsolete_segments_may_go():
    pair = Pair(make(memory=False), 0)
    segments, since = [], 0
    for _ in range(12):
        pair.episode(9, "truncated")
        segment, since = pair.replay.dump_segment(since)
        segments.append((since, segment))
    needed = [segment for end, segment in segments if end >= pair.replay.oldest_write]
    assert 0 < len(needed) < len(segments)
    copy = make(memory=False)
    copy.restore(pair.replay.state(), needed)
    assert_same_future(pair.replay, copy)


def test_segments_that_do_not_fit_are_refused():
    pair = Pair(make(memory=False), 0)
    pair.episode(9, "truncated")
    segment, _ = pair.replay.dump_segment(0)
    with pytest.raises(ValueError, match="segments end at write"):
        make(memory=False).restore(pair.replay.state(), [])
    wrong = {**segment, "vectors": np.zeros((10, 7), np.float32)}
    with pytest.raises(ValueError, match="vectors"):
        make(memory=False).restore(pair.replay.state(), [wrong])
