"""Priorities, weights and betas by hand; draws in proportion to the priorities."""

import numpy as np
import pytest
import torch
from naive_store import FRAME, Pair
from scipy.stats import chisquare

from td3sweep.replay import LAP, PER, PrioritizedReplay
from td3sweep.replay.priority import window_errors


def make(rule, *, capacity=40, n_step=1, seed=0, **memory):
    return PrioritizedReplay(
        rule,
        capacity,
        frame_shape=FRAME,
        stack=4,
        vector_size=1,
        action_size=2,
        gamma=0.9,
        n_step=n_step,
        seed=seed,
        **memory,
    )


def identities(batch):
    """Who the naive store says was drawn (1, 2, ... in the order of observation)."""
    return batch.vectors[:, batch.start, 0].long()


def give(replay, errors, *, draws=400):
    """Update every transition with the error that its identity has in `errors`."""
    batch = replay.sample(draws)
    assert set(identities(batch).tolist()) == set(errors)
    found = torch.tensor([[errors[key]] for key in identities(batch).tolist()])
    replay.update_priorities(batch, found)


def leaves(pair, replay):
    """Priority by identity."""
    return {identity: replay._tree.leaves[slot] for identity, slot in pair.slot_of().items()}


def test_per_by_hand():
    rule = PER(alpha=0.5, first_beta=0.4, beta_updates=10)
    assert rule.priority(np.array([4.0, 9.0, 0.0])) == pytest.approx([2.0, 3.0, 1e-3], rel=1e-6)
    assert [rule.beta(updates) for updates in (0, 5, 10, 99)] == pytest.approx([0.4, 0.7, 1.0, 1.0])


def test_lap_by_hand():
    rule = LAP(alpha=0.5)
    assert rule.priority(np.array([0.0, 0.2, 1.0, 4.0, 9.0])).tolist() == [1.0, 1.0, 1.0, 2.0, 3.0]
    assert rule.beta(0) == rule.beta(10**6) == 0.0


def test_the_error_of_a_sequence_by_hand():
    """.9 * 6 + .1 * 3 = 5.7; the padded 100 and the padded NaN count for nothing: .9 * 8 + .1 * 6 = 7.8."""
    errors = np.array([[1.0, 2.0, 6.0], [4.0, 8.0, 100.0], [8.0, 4.0, np.nan]])
    mask = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 0]], np.float32)
    assert window_errors(errors, mask) == pytest.approx([5.7, 7.8, 7.8])


def test_a_new_transition_gets_the_largest_priority_so_far():
    pair = Pair(replay := make(PER(alpha=0.5)), 0)
    pair.episode(3, "terminated")  # observations 1 to 4; the last starts no transition
    assert leaves(pair, replay) == {1: 1.0, 2: 1.0, 3: 1.0, 4: 0.0}
    give(replay, {1: 4.0, 2: 9.0, 3: 0.25})
    assert [leaves(pair, replay)[key] for key in (1, 2, 3)] == pytest.approx([2.0, 3.0, 0.5], rel=1e-5)
    give(replay, {1: 0.25, 2: 0.25, 3: 0.25})
    pair.episode(1, "truncated")
    assert leaves(pair, replay) == pytest.approx({1: 0.5, 2: 0.5, 3: 0.5, 4: 0.0, 5: 3.0, 6: 0.0}, rel=1e-5)


def test_weights_by_hand():
    """Priorities 2 and 3: weights 1 and 1.5^-beta with beta .5 after one of two updates from 0."""
    pair = Pair(replay := make(PER(alpha=0.5, first_beta=0.0, beta_updates=2)), 0)
    pair.episode(2, "terminated")
    assert replay.sample(8).weights.tolist() == [1.0] * 8
    give(replay, {1: 4.0, 2: 9.0})
    batch = replay.sample(50)
    expected = {1: 1.0, 2: 1.5**-0.5}
    assert batch.weights.tolist() == pytest.approx([expected[key] for key in identities(batch).tolist()])
    give(replay, {1: 4.0, 2: 9.0})
    batch = replay.sample(50)
    assert batch.weights[identities(batch) == 2].tolist() == pytest.approx([2 / 3] * 30)  # beta 1; 3/5 of the draws


def test_lap_has_no_weights_and_alpha_0_is_uniform():
    for rule in (LAP(), PER(alpha=0.0)):
        pair = Pair(replay := make(rule), 0)
        pair.episode(10, "terminated")
        give(replay, {key: float(key) ** 3 for key in range(1, 11)})
        batch = replay.sample(100)
        assert batch.weights.tolist() == [1.0] * 100
        if isinstance(rule, PER):
            assert torch.bincount(identities(batch)).tolist() == [0] + [10] * 10


@pytest.mark.parametrize("rule", [PER(alpha=0.6), LAP(alpha=0.4)])
def test_draws_are_in_proportion_to_the_priorities(rule):
    pair = Pair(replay := make(rule), 0)
    pair.episode(7, "terminated")
    pair.episode(5, "truncated")
    errors = {key: 0.3 * key**2 for key in [*range(1, 8), *range(9, 14)]}
    give(replay, errors)
    shares = rule.priority(np.array(list(errors.values())))
    shares /= shares.sum()
    # A batch spreads over equal shares of the sum: every count is within two of its expectation.
    counts = torch.bincount(identities(replay.sample(1000)), minlength=14).numpy()[list(errors)]
    assert np.abs(counts - 1000 * shares).max() < 2
    # Single draws are independent.
    single = np.zeros(14)
    for _ in range(3000):
        single[identities(replay.sample(1))] += 1
    assert single.sum() == single[list(errors)].sum() == 3000
    assert chisquare(single[list(errors)], 3000 * shares).pvalue > 0.01
    assert chisquare(single[list(errors)], np.full(12, 250)).pvalue < 1e-6  # and they are not uniform


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_errors_of_broken_networks_count_as_the_largest(bad):
    pair = Pair(replay := make(PER(alpha=0.5)), 0)
    pair.episode(2, "terminated")
    give(replay, {1: bad, 2: 9.0})
    assert leaves(pair, replay)[1] == pytest.approx(1.0)  # the largest of the updates before
    give(replay, {1: bad, 2: 0.25})
    assert leaves(pair, replay) == pytest.approx({1: 3.0, 2: 0.5, 3: 0.0}, rel=1e-5)


def test_sequences_take_the_error_of_their_real_transitions():
    memory = {"state_sizes": (2,), "state_stride": 2, "sequence_length": 4, "burn_in": 2}
    pair = Pair(replay := make(PER(alpha=1.0), **memory), 0, 2)
    pair.episode(5, "terminated")  # starts at 1, 3 and 5 (kept states); 3 real transitions from 3 on, 1 from 5
    assert {key for key, value in leaves(pair, replay).items() if value > 0} == {1, 3, 5}
    batch = replay.sample(30)
    errors = torch.tensor([[1.0, 2.0, 3.0, 10.0]]).expand(30, 4)
    replay.update_priorities(batch, errors)
    found = leaves(pair, replay)
    assert [found[1], found[3], found[5]] == pytest.approx([0.9 * 10 + 0.4, 0.9 * 3 + 0.2, 1.0], rel=1e-5)
