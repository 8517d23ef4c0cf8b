"""How often a memory's windows train each transition: equally often, or an episode's first ones less."""

import numpy as np
import pytest
from naive_store import FRAME, Pair

from td3sweep.replay import FrameReplay

STACK, STATE, WINDOWS = 4, 3, 60_000


def played(capacity, lengths, *, length, burn_in, stride, even=True, end="truncated"):
    replay = FrameReplay(
        capacity, frame_shape=FRAME, stack=STACK, vector_size=1, action_size=2, state_sizes=(1, 2), state_stride=stride,
        even=even, gamma=0.9, n_step=2, sequence_length=length, burn_in=burn_in, seed=1,
    )  # fmt: skip
    pair = Pair(replay, 3, STATE)
    for steps in lengths:
        pair.episode(steps, end)
    return pair


def trained(pair):
    """How often each identity was trained in so many windows."""
    counts = np.zeros(pair.count + 1, int)
    for _ in range(WINDOWS // 2000):
        batch = pair.replay.sample(2000)
        shown = batch.vectors[:, batch.start : batch.start + batch.length, 0]
        counts += np.bincount(shown[batch.mask > 0].long().numpy(), minlength=len(counts))
    return counts


def sds(counts, expected):
    """Largest distance from what is expected, in standard deviations of so many draws."""
    return np.max(np.abs(counts - expected) / np.sqrt(expected * (1 - expected / WINDOWS)))


@pytest.mark.parametrize(
    ("length", "burn_in", "stride"), [(4, 0, 1), (5, 2, 1), (6, 3, 3), (4, 3, 2), (8, 13, 4), (1, 2, 1)]
)
def test_every_transition_is_trained_equally_often(length, burn_in, stride):
    pair = played(200, (1, 30, 2, 3, 40, 5, 1, 17, 9), length=length, burn_in=burn_in, stride=stride)
    counts = trained(pair)
    inside = sorted(pair.valid_transitions())
    assert len(inside) == 108
    assert counts.sum() == counts[inside].sum()
    assert sds(counts[inside], counts[inside].mean()) < 4.5


def test_also_where_the_ring_has_wrapped_but_for_those_that_lost_their_windows():
    pair = played(91, (11, 30, 2, 3, 40, 5, 1, 17, 9), length=4, burn_in=2, stride=2)
    pair.episode(14, "open")
    counts = trained(pair)
    edge = pair.count - pair.replay.capacity + 2 + 4 + STACK  # burn-in, a window and frames behind the oldest
    inside = sorted(identity for identity in pair.valid_transitions() if identity > edge)
    assert len(inside) > 60
    assert sds(counts[inside], counts[inside].mean()) < 4.5


def test_by_the_old_rule_an_episodes_first_ones_stand_in_fewer_windows():
    """One transition in one window, the next in two, three and, from the fourth on, four."""
    pair = played(200, (9, 2, 30, 3, 12), length=4, burn_in=0, stride=1, even=False)
    counts, inside = trained(pair), sorted(pair.valid_transitions())
    windows = np.array([min(pair.records[identity].index + 1, 4) for identity in inside])
    assert len(inside) == 56  # as many starts, each of which is drawn equally often
    assert sds(counts[inside], WINDOWS * windows / 56) < 4.5
