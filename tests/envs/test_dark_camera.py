"""The camera that goes dark over stretches of the route: where, and that the seed decides."""

import numpy as np
import pytest
from bare_drive import bare

from td3sweep.envs.carla.env import CarlaDriveEnv
from td3sweep.envs.carla.observe import Shutter
from td3sweep.errors import UserError

FRAME = np.full((84, 84), 7, np.uint8)


class Fixed:
    """A generator that draws ``share`` of the way from low to high; of several numbers, low and high in turn."""

    def __init__(self, share):
        self.share = share

    def uniform(self, low, high, size=None):
        return low + self.share * (high - low) if size is None else np.resize([low, high], size)


@pytest.mark.parametrize(
    ("share", "lit"),
    [
        (0.0, [(0.0, True), (29.9, True), (30.0, False), (39.9, False), (40.0, True), (70.0, False)]),
        (1.0, [(0.0, True), (14.9, True), (15.0, False), (24.9, False), (25.0, True), (54.9, True), (55.0, False)]),
    ],
)
def test_ten_metres_of_every_forty_are_dark(share, lit):
    shutter = Shutter([40.0, 10.0])
    shutter.begin(Fixed(share))
    for distance, seen in lit:
        assert shutter(FRAME, distance).any() == seen, distance
    assert (FRAME == 7).all()


def test_lengths_are_drawn_between_two_numbers():
    shutter = Shutter([40.0, 5.0, 10.0])
    shutter.begin(Fixed(0.0))
    lit = [(34.9, True), (35.0, False), (39.9, False), (40.0, True), (69.9, True), (70.0, False), (80.0, True)]
    for distance, seen in lit:
        assert shutter(FRAME, distance).any() == seen, distance
    rng = np.random.default_rng(0)
    for _ in range(20):
        shutter.begin(rng)
        dark = [not shutter(FRAME, distance).any() for distance in np.arange(0.0, 4000.0, 0.1)]
        assert 4000 * 5 / 40 < sum(dark) / 10 < 4000 * 10 / 40
        assert not any(dark[:150])  # half of the thirty metres that are lit at least


def test_equal_lengths_are_always_dark():
    shutter = Shutter([1.0, 1.0])
    shutter.begin(np.random.default_rng(0))
    assert not any(shutter(FRAME, distance).any() for distance in np.linspace(0.0, 5.0, 50))


def test_without_stretches_nothing_is_dark():
    shutter = Shutter([])
    shutter.begin(np.random.default_rng(0))
    assert all(shutter(FRAME, distance).any() for distance in np.linspace(0.0, 5.0, 50))


@pytest.mark.parametrize(
    "dark", [[10.0], [10.0, 0.0], [10.0, 11.0], [10.0, -1.0], [10.0, 6.0, 5.0], [10.0, 5.0, 11.0], [9.0, 1.0, 2.0, 3.0]]
)
def test_impossible_stretches_are_refused(dark):
    with pytest.raises(UserError, match=r"env\.dark=.*EVERY"):
        CarlaDriveEnv(bare(dark=dark))


def test_an_episode_on_the_stand_in():
    pytest.importorskip("carla")
    env = CarlaDriveEnv(bare(dark=[8.0, 4.0], action_repeat=4, spawn_jitter=0.0, heading_jitter=0.0))
    plain = CarlaDriveEnv(bare(action_repeat=4, spawn_jitter=0.0, heading_jitter=0.0))
    try:
        seen = {}
        for name, world in (("dark", env), ("again", env), ("plain", plain)):
            observation, info = world.reset(seed=3)
            found = [(info["position"], observation["image"][-1])]
            for _ in range(16):
                observation, _, _, _, info = world.step(np.array([0.0, 0.6], np.float32))
                found.append((info["position"], observation["image"][-1]))
            seen[name] = found
        lit = [frame.any() for _, frame in seen["dark"]]
        assert lit[0]
        assert 3 < sum(lit) < 14
        for (place, frame), (again, same), (where, clear) in zip(*seen.values(), strict=True):
            assert place == again == where  # the same episode with and without
            assert np.array_equal(frame, same)
            assert np.array_equal(frame, clear) or not frame.any()
    finally:
        env.close()
        plain.close()
