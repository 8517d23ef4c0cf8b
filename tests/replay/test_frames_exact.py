"""Every sample of `FrameReplay` equals what a store of whole observations would give."""

import numpy as np
import pytest
from naive_store import FRAME, Pair, n_step, random_end

from td3sweep.replay import FrameReplay

GAMMA = 0.9


def make(capacity, n, seed=0):
    return FrameReplay(
        capacity, frame_shape=FRAME, stack=4, vector_size=1, action_size=2, gamma=GAMMA, n_step=n, seed=seed
    )


def check_rows(pair, batch, n):
    seen = set()
    for row in range(batch.images.shape[0]):
        identity = int(batch.vectors[row, 0, 0])
        record = pair.records[identity]
        total, discount, bootstrap, _ = n_step(record, GAMMA, n)
        np.testing.assert_array_equal(batch.images[row, 0], pair.image(identity))
        np.testing.assert_array_equal(batch.actions[row, 0], record.action)
        assert np.array_equal(batch.meant[row, 0], record.meant, equal_nan=True)
        assert np.array_equal(batch.previous[row], [record.action_before, bootstrap.action_before])
        np.testing.assert_allclose(batch.rewards[row, 0], total, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch.discounts[row, 0], discount, rtol=1e-6)
        assert int(batch.vectors[row, 1, 0]) == bootstrap.identity
        np.testing.assert_array_equal(batch.images[row, 1], pair.image(bootstrap.identity))
        assert int(batch.next_index[row, 0]) == 1
        assert float(batch.mask[row, 0]) == 1.0
        seen.add(identity)
    return seen


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("seed", range(6))
def test_samples_equal_the_naive_store_over_wrap_around(n, seed):
    rng = np.random.default_rng(seed)
    pair = Pair(make(int(rng.integers(17, 40)), n, seed), seed)
    for _ in range(60):
        pair.episode(int(rng.choice([1, 1, 2, 3, 5, 9, 14])), random_end(rng))
        assert len(pair.replay) == len(pair.valid_transitions())
        if pair.replay.can_sample(1):
            seen = check_rows(pair, pair.replay.sample(40), n)
            assert seen <= pair.valid_transitions()


@pytest.mark.parametrize("length", [1, 6, 29, 70])
def test_an_open_episode_can_be_sampled_and_every_valid_start_is(length):
    pair = Pair(make(30, 3), 1)
    pair.episode(4, "terminated")
    pair.episode(length, "open")
    seen = check_rows(pair, pair.replay.sample(3000), 3)
    assert seen == pair.valid_transitions()


def test_discarding_an_episode_longer_than_the_ring_leaves_nothing_but_works_on():
    pair = Pair(make(20, 1), 2)
    pair.episode(10, "truncated")
    pair.episode(45, "discarded")
    assert len(pair.replay) == 0
    assert not pair.replay.can_sample(1)
    with pytest.raises(ValueError, match="nothing to sample"):
        pair.replay.sample(4)
    pair.episode(12, "terminated")
    assert check_rows(pair, pair.replay.sample(500), 1) == pair.valid_transitions()
    assert len(pair.replay) == 12


def test_discard_keeps_older_episodes_that_were_not_overwritten():
    pair = Pair(make(30, 1), 3)
    pair.episode(5, "terminated")
    pair.episode(7, "discarded")
    pair.episode(3, "truncated")
    assert len(pair.replay) == 8


def test_n_step_by_hand():
    replay = make(20, 3)
    image = np.zeros((4, *FRAME), np.uint8)
    action = np.zeros(2, np.float32)

    def observation(i):
        return {"image": image, "vector": np.array([i], np.float32)}

    replay.begin(observation(0))
    replay.add(action, 1.0, False, False, observation(1))
    replay.add(action, 10.0, False, False, observation(2))
    replay.add(action, 100.0, False, False, observation(3))
    replay.add(action, 1000.0, False, True, observation(4))  # truncated: bootstraps
    replay.begin(observation(10))
    replay.add(action, 5.0, True, False, observation(11))  # terminated: does not
    expected = {
        0: (1 + 9 + 81, 0.729, 3),
        1: (10 + 90 + 810, 0.729, 4),
        2: (100 + 900, 0.81, 4),
        3: (1000, 0.9, 4),
        10: (5, 0.0, 11),
    }
    batch = replay.sample(200)
    for row in range(200):
        total, discount, bootstrap = expected[int(batch.vectors[row, 0, 0])]
        assert float(batch.rewards[row, 0]) == pytest.approx(total)
        assert float(batch.discounts[row, 0]) == pytest.approx(discount)
        assert int(batch.vectors[row, 1, 0]) == bootstrap
    assert {int(i) for i in batch.vectors[:, 0, 0]} == set(expected)


def test_misuse_is_refused():
    replay = make(20, 1)
    observation = {"image": np.zeros((4, *FRAME), np.uint8), "vector": np.zeros(1, np.float32)}
    with pytest.raises(RuntimeError, match="begin"):
        replay.add(np.zeros(2), 0.0, False, False, observation)
    replay.begin(observation)
    with pytest.raises(RuntimeError, match="open"):
        replay.begin(observation)
    replay.discard_episode()
    replay.discard_episode()
    unpadded = {**observation, "image": np.arange(16, dtype=np.uint8).reshape(4, *FRAME)}
    with pytest.raises(ValueError, match="repeat one frame"):
        replay.begin(unpadded)
    with pytest.raises(ValueError, match="capacity"):
        make(9, 1)


def test_a_frame_is_stored_once():
    replay = FrameReplay(1100, vector_size=53, action_size=2, gamma=0.99, n_step=1, seed=0)
    image = np.zeros((4, 84, 84), np.uint8)
    observation = {"image": image, "vector": np.zeros(53, np.float32)}
    replay.begin(observation)
    for step in range(1000):
        replay.add(np.zeros(2, np.float32), 0.0, False, step == 999, observation)
    assert replay.bytes_per_transition <= 7400
    assert replay.nbytes >= 1001 * 84 * 84


def test_same_seed_same_samples():
    pairs = [Pair(make(30, 1, seed=5), 4) for _ in range(2)]
    for pair in pairs:
        pair.episode(12, "truncated")
    first, second = (pair.replay.sample(16) for pair in pairs)
    np.testing.assert_array_equal(first.images, second.images)
