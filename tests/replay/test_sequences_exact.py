"""Windows for memories: contiguous, inside one episode, with the state that belongs to their first observation."""

import numpy as np
import pytest
from naive_store import FRAME, Pair, n_step, random_end

from td3sweep.replay import FrameReplay

GAMMA = 0.9
STATE = 3


def make(capacity, n, length, burn_in, stride, seed=0, even=True):  # noqa: PLR0917
    return FrameReplay(
        capacity,
        frame_shape=FRAME,
        stack=4,
        vector_size=1,
        action_size=2,
        state_sizes=(1, 2),
        state_stride=stride,
        even=even,
        gamma=GAMMA,
        n_step=n,
        sequence_length=length,
        burn_in=burn_in,
        seed=seed,
    )


def counts(record, slot, length, burn_in, stride, even):  # noqa: PLR0917
    """How many transitions may be trained from a start: at an episode's first, of every window that holds it."""
    run, following = 0, record
    while following.following is not None:
        run, following = run + 1, following.following
    several = even and record.index == 0
    before = range((slot - burn_in) % stride, length // stride * stride, stride) if several else [0]
    return {min(run, length - earlier) for earlier in before}


def check_rows(pair, batch, n, length, burn_in, stride, even=True):  # noqa: PLR0917
    """Compare each row with the records; returns the identities trained."""
    assert batch.start == burn_in
    assert batch.images.shape[1] == burn_in + length + n
    slots, trained = pair.slot_of(), set()
    for row in range(batch.images.shape[0]):
        record = pair.records[int(batch.vectors[row, burn_in, 0])]
        warm = int(batch.burn_in[row])
        assert warm == min(record.index, burn_in)
        first = record
        for _ in range(warm):
            first = first.previous
        kept = slots[first.identity] % stride == 0
        assert kept or first.index == 0
        np.testing.assert_array_equal(batch.states[row], first.state if kept else np.zeros(STATE))
        real_places = int(batch.mask[row].sum())
        assert real_places in counts(record, slots[record.identity], length, burn_in, stride, even)
        shown = first
        for place in range(burn_in - warm, burn_in):
            np.testing.assert_array_equal(batch.images[row, place], pair.image(shown.identity))
            assert np.array_equal(batch.previous[row, place], shown.action_before)
            shown = shown.following
        for place in range(length):
            real = place < real_places
            assert float(batch.mask[row, place]) == real
            if not real:
                assert float(batch.rewards[row, place]) == 0.0
                assert float(batch.discounts[row, place]) == 0.0
                shown = shown if shown.following is None else shown.following
                np.testing.assert_array_equal(batch.actions[row, place], shown.previous.action)
                assert np.array_equal(batch.meant[row, place], shown.previous.meant, equal_nan=True)
                continue
            total, discount, bootstrap, k = n_step(shown, GAMMA, n)
            np.testing.assert_array_equal(batch.images[row, burn_in + place], pair.image(shown.identity))
            assert np.array_equal(batch.previous[row, burn_in + place], shown.action_before)
            np.testing.assert_array_equal(batch.actions[row, place], shown.action)
            assert np.array_equal(batch.meant[row, place], shown.meant, equal_nan=True)
            np.testing.assert_allclose(batch.rewards[row, place], total, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(batch.discounts[row, place], discount, rtol=1e-6)
            index = int(batch.next_index[row, place])
            assert index == burn_in + place + k
            np.testing.assert_array_equal(batch.images[row, index], pair.image(bootstrap.identity))
            assert np.array_equal(batch.previous[row, index], bootstrap.action_before)
            trained.add(shown.identity)
            shown = shown.following
    return trained


@pytest.mark.parametrize(
    ("n", "length", "burn_in", "stride"),
    [(1, 4, 0, 1), (3, 5, 4, 2), (1, 6, 3, 3), (3, 1, 2, 1), (2, 4, 8, 4), (1, 4, 3, 2), (3, 5, 2, 5)],
)
@pytest.mark.parametrize(
    ("seed", "even"), [(0, True), *(pytest.param(seed, seed == 1, marks=pytest.mark.slow) for seed in (1, 2))]
)
def test_windows_equal_the_naive_store(n, length, burn_in, stride, seed, even):  # noqa: PLR0917
    rng = np.random.default_rng(seed)
    replay = make(int(rng.integers(40, 60)), n, length, burn_in, stride, seed, even)
    pair = Pair(replay, seed, STATE)
    for _ in range(40):
        pair.episode(int(rng.choice([1, 2, 4, 9, 17, 23])), random_end(rng))
        assert len(replay) == len(pair.valid_transitions())
        if replay.can_sample(1):
            batch = replay.sample(20)
            assert batch.images.shape[0] == 20
            trained = check_rows(pair, batch, n, length, burn_in, stride, even)
            assert trained
            assert batch.transitions == int(batch.mask.sum())


@pytest.mark.parametrize("burn_in", [0, 3, 4, 9])
def test_every_transition_of_whole_episodes_is_trained(burn_in):
    replay = make(120, 1, 4, burn_in, 4)
    pair = Pair(replay, 7, STATE)
    for length in (1, 3, 30, 21, 2):
        pair.episode(length, "truncated")
    trained = check_rows(pair, replay.sample(600), 1, 4, burn_in, 4)
    assert trained == pair.valid_transitions()


def test_a_batch_has_as_many_windows_as_asked_for_once_there_are_as_many_transitions():
    replay = make(60, 1, 8, 0, 1)
    pair = Pair(replay, 7, STATE)
    pair.episode(40, "open")
    assert replay.sample(31).actions.shape[:2] == (31, 8)
    assert replay.sample(1).actions.shape[:2] == (1, 8)
    assert replay.can_sample(40)
    assert not replay.can_sample(41)


def test_a_remnant_in_which_no_window_fits_is_not_sampled():
    replay = make(52, 1, 4, 8, 4)
    pair = Pair(replay, 7, STATE)
    pair.episode(30, "terminated")
    pair.episode(42, "discarded")  # overwrites the first 22 of 31 observations
    assert len(replay) == len(pair.valid_transitions()) == 5
    assert not replay.can_sample(1)  # every window would begin 8 observations of burn-in earlier
    pair.episode(1, "terminated")
    assert replay.can_sample(1)


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="state_stride=8"):
        make(100, 1, 4, 8, 8)
    with pytest.raises(ValueError, match="need a memory"):
        FrameReplay(100, vector_size=1, action_size=1, gamma=0.9, n_step=1, sequence_length=3, seed=0)
    replay = make(60, 1, 4, 0, 2)
    observation = {"image": np.zeros((4, *FRAME), np.uint8), "vector": np.zeros(1, np.float32)}
    with pytest.raises(ValueError, match="zero memory"):
        replay.begin(observation, np.ones(STATE, np.float32))
    replay.begin(observation)
    with pytest.raises(ValueError, match="needs the state"):
        replay.add(np.zeros(2), 0.0, False, False, observation)
