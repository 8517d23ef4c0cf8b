"""A demonstrator's disturbance, and who is asked for an action."""

from types import SimpleNamespace

import numpy as np
import pytest
from shown import Homing, homing, shows

from td3sweep.agent.build import build_td3
from td3sweep.collect.demonstrate import Demonstrator
from td3sweep.collect.episode import Chooser
from td3sweep.collect.schedule import Acting

OBSERVATION = {"image": np.full((4, 84, 84), 90, np.uint8), "vector": np.array([38 / 84, 0.0], np.float32)}
BOUNDS = ((-1.0, -0.3), (1.0, 1.0))


class Still:
    """Means (0, .1), whatever it sees."""

    def begin(self, seed, info):
        self.seed = seed

    def act(self, observation, info):
        return np.array([0.0, 0.1], np.float32)


def episode(demonstrator, seed, steps=400):
    """Disturbances of an episode, [steps, 2]."""
    demonstrator.begin(seed, {})
    done, meant = zip(*(demonstrator.act(OBSERVATION, {}) for _ in range(steps)), strict=True)
    assert np.array_equal(meant, [np.array([0.0, 0.1], np.float32)] * steps)
    assert {action.dtype for action in done} == {np.dtype(np.float32)}
    return np.array(done) - np.array(meant)


def test_an_episode_has_one_standard_deviation_of_those_that_are_told():
    demonstrator = Demonstrator(Still(), (0.0, 0.05, 0.2))
    found = [episode(demonstrator, seed).std() for seed in range(40)]
    nearest = [min((0.0, 0.05, 0.2), key=lambda sd, one=one: abs(sd - one)) for one in found]
    assert found == pytest.approx(nearest, rel=0.12)  # 800 draws: four and a half standard deviations
    assert min(nearest.count(sd) for sd in (0.0, 0.05, 0.2)) >= 5


def test_the_disturbance_is_the_seeds():
    one, other = Demonstrator(Still(), (0.1, 0.3)), Demonstrator(Still(), (0.1, 0.3))
    episode(other, 3)
    assert np.array_equal(episode(one, 7), episode(other, 7))
    assert not np.array_equal(episode(one, 7)[:, 0], episode(one, 8)[:, 0])
    world = np.random.default_rng(7)  # what the environment draws, from the same seed
    world.choice((0.1, 0.3))
    assert abs(np.corrcoef(episode(one, 7).ravel(), world.standard_normal(800))[0, 1]) < 0.2


def test_without_noise_nothing_is_disturbed():
    for none in ((), (0.0,)):
        assert not episode(Demonstrator(Still(), none), 5).any()


def test_what_is_done_stays_within_bounds_and_what_is_meant_as_it_was():
    demonstrator = Demonstrator(Still(), (3.0,))
    demonstrator.begin(1, {})
    done = np.array([demonstrator.act(OBSERVATION, {})[0] for _ in range(200)])
    assert (done.min(), done.max()) == (-1.0, 1.0)


def test_the_driver_is_told_what_the_reset_and_every_step_told():
    demonstrator = shows()
    demonstrator.begin(4, {"told": 7})
    _, meant = demonstrator.act(OBSERVATION | {"vector": np.array([0.3, 0.0])}, {"told": 5})
    assert np.array_equal(meant, homing({"vector": np.array([0.3, 0.0])}, 12))


@pytest.mark.parametrize("context", [False, True])
def test_whoever_acts_the_memory_has_seen_the_observation_and_the_action_that_was_taken(context):
    agent = build_td3(
        memory="gru", memory_size=8, memory_context=context, vector_size=2, action_size=2, seed=1, tau=0.01,
        actor_lr=1e-3, critic_lr=1e-3,
    )  # fmt: skip
    chooser = Chooser(agent, BOUNDS, np.random.default_rng(5), Demonstrator(Homing(), (0.2,)))
    chooser.begin(3, {})
    before = np.linspace(-1, 1, agent.state_size, dtype=np.float32)
    _, seen = agent.act(OBSERVATION, before)
    for acting in Acting:
        chosen = taken(chooser, acting, 0.1, before)
        assert chosen.acting is acting
        assert np.array_equal(chosen.state[:16], seen[:16])
        assert chosen.state[16:].tolist() == (chosen.action.tolist() if context else [])
        assert (chosen.meant is not None) is (acting is Acting.DEMONSTRATOR)
    assert np.array_equal(
        taken(chooser, Acting.RANDOM, 0.0, before).action,
        np.random.default_rng(5).uniform(*BOUNDS, (2, 2)).astype(np.float32)[1],  # none but random actions draw of it
    )


def taken(chooser, acting, noise, state):
    """The choice of one step in an environment that nothing happens in."""
    still = SimpleNamespace(step=lambda action: (OBSERVATION, 0.0, False, False, {}))
    return chooser.step(still, acting, noise, observation=OBSERVATION, info={}, state=state, updates=0).chosen
