"""Fixed routes on the stand-in, by the seed and by their number."""

import numpy as np
import pytest
from bare_drive import bare

from td3sweep.envs.carla.env import CarlaDriveEnv
from td3sweep.errors import UserError

pytest.importorskip("carla")
ROUTES = [[1, 11], [20, 8]]  # even numbers lie on one side of the road, odd ones on the other


@pytest.fixture(scope="module")
def env():
    env = CarlaDriveEnv(bare(routes=ROUTES, spawn_jitter=0.5, heading_jitter=0.05))
    yield env
    env.close()


def place(env, number):
    location = env._simulation.places[number].location
    return location.x, location.y


def test_the_seed_draws_a_route_and_a_start_with_jitter(env):
    drawn = {}
    for seed in range(8):
        _, info = env.reset(seed=seed)
        first, last = (info["route"][k] for k in (0, -1))
        pair = next(pair for pair in ROUTES if np.hypot(*(first - place(env, pair[0]))) < 1.0)
        assert np.hypot(*(last - place(env, pair[1]))) < 1.0
        assert 0.0 < abs(info["lateral"]) <= 0.51
        drawn[seed] = (pair, info["position"])
    assert sorted({tuple(pair) for pair, _ in drawn.values()}) == [tuple(pair) for pair in ROUTES]
    assert len({position for _, position in drawn.values()}) == 8
    _, info = env.reset(seed=5)
    assert info["position"] == drawn[5][1]


def test_by_number_and_without_jitter(env):
    for number, (first, last) in enumerate(ROUTES):
        _, info = env.reset(seed=0, options={"route": number})
        assert info["lateral"] == pytest.approx(0.0, abs=0.02)
        for at, spawn in ((0, first), (-1, last)):
            assert info["route"][at] == pytest.approx(place(env, spawn), abs=1.0)


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ([[1, 3], [0, 9999]], r"env\.routes: \[0, 9999\]: the map has no spawn point 9999, only 0 to \d+"),
        ([[-1, 3]], r"env\.routes=\[-1, 3\]: give pairs of spawn points"),
        ([[0, 1]], r"env\.routes: \[0, 1\]: no lane leads from spawn point 0 to 1"),
    ],
)
def test_routes_that_the_map_lacks_are_refused(routes, message):
    with pytest.raises(UserError, match=message), CarlaDriveEnv(bare(routes=routes)) as env:
        env.reset(seed=0)
