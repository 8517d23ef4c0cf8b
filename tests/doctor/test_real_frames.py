"""Frames of the simulator lead the audit to the same findings as the random ones it makes for itself."""

import numpy as np
import pytest

from td3sweep.assemble.environment import build_env, random_bounds
from td3sweep.assemble.learner import audit_agent, build_agent, build_replay
from td3sweep.doctor.injected import FAULTS

pytestmark = pytest.mark.slow
STEPS = 60


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    """Random driving on the stand-in, as (observation, action, reward, terminated, truncated, next observation)."""
    from hydra import compose, initialize_config_dir

    from td3sweep.config.compose import register, to_settings
    from td3sweep.config.presets import config_directory

    register()
    with initialize_config_dir(config_directory(), version_base="1.3"):
        settings = to_settings(compose("config", overrides=["env.max_episode_steps=20"]))
    env, random = build_env(settings, tmp_path_factory.mktemp("env")), np.random.default_rng(0)
    low, high = random_bounds(settings, env.action_size)
    seen, observation = [], None
    try:
        for step in range(STEPS):
            if observation is None:
                observation, _ = env.reset(seed=step)
            action = random.uniform(low, high).astype(np.float32)
            following, reward, terminated, truncated, _ = env.step(action)
            seen.append((observation, action, float(reward), terminated, truncated, following))
            observation = None if terminated or truncated else following
        return seen, (env.vector_size, env.action_size)
    finally:
        env.close()


def batch_of(seen, settings, agent, sizes):
    replay, begin = build_replay(settings, agent, *sizes), True
    for observation, action, reward, terminated, truncated, following in seen:
        if begin:
            replay.begin(observation, agent.initial_state())
        replay.add(action, reward, terminated, truncated, following, agent.initial_state())
        begin = terminated or truncated
    return replay.sample(8)


@pytest.mark.parametrize("fault", ["none", *FAULTS])
def test_the_findings_are_those_on_random_frames(fault, episodes, settings, monkeypatch):
    seen, sizes = episodes
    chosen = settings(f"fault={fault}", "clip=joint", "replay.capacity=1000")
    agent = build_agent(chosen, *sizes)
    batch = batch_of(seen, chosen, agent, sizes)
    assert batch.rewards.abs().sum() > 0
    random_findings = audit_agent(chosen, agent, *sizes).faults
    monkeypatch.setattr("td3sweep.doctor.td3.small_batch", lambda *_, **__: batch)
    expected = [] if fault == "none" else [FAULTS[fault][0]]
    assert audit_agent(chosen, agent, *sizes).faults == random_findings == expected
