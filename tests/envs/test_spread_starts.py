"""Starts that are spread: a few evaluation episodes try every lane, and so both directions."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from td3sweep.envs.carla.starts import Starts

LANES = [1] * 7 + [-1] * 2 + [2]  # of ten spawn points


class OneLane:
    """A route is the place that it starts from."""

    def is_endless(self, start):
        return True

    def plan(self, start, length, rng):
        return SimpleNamespace(start=(float(start.place), 0.0, 0.0, 0.0))

    def between(self, first, last):
        return SimpleNamespace(start=(float(first.place), 0.0, 0.0, 0.0))


def starts(pairs=()):
    points = [SimpleNamespace(place=number, lane_id=lane) for number, lane in enumerate(LANES)]
    places = [SimpleNamespace(location=SimpleNamespace(z=0.0))] * len(LANES)
    return Starts(OneLane(), places, points, length=(10.0, 20.0), pairs=pairs, jitter=(0.0, 0.0))


def lanes_of(spread):
    drawn = []
    for seed in range(30):
        route, _, _ = starts().draw(np.random.default_rng(seed), seed if spread else None)
        drawn.append(LANES[int(route.start[0])])
    return Counter(drawn)


def test_every_lane_is_started_on_equally_often():
    assert lanes_of(spread=True) == {1: 10, -1: 10, 2: 10}


def test_without_it_chance_decides_by_place():
    drawn = lanes_of(spread=False)
    assert drawn[1] > 15 > drawn[2]


def test_fixed_routes_take_turns():
    fixed = starts(pairs=[[0, 1], [7, 8], [9, 0]])
    first = [int(fixed.draw(np.random.default_rng(0), spread)[0].start[0]) for spread in range(6)]
    assert first == [0, 7, 9, 0, 7, 9]


@pytest.mark.parametrize("spread", [None, 0, 4])
def test_the_seed_still_decides(spread):
    one, two = (starts().draw(np.random.default_rng(3), spread)[0].start for _ in range(2))
    assert one == two
