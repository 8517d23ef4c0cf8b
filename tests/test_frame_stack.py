"""``frame_stack`` reaches every part that must agree on it: environment, networks, replay, audit."""

import numpy as np
import pytest
from bare_drive import bare

from td3sweep.assemble.learner import audit_agent, build_agent, build_replay
from td3sweep.envs.carla.env import CarlaDriveEnv
from td3sweep.envs.gym import GymImageEnv
from td3sweep.errors import UserError


@pytest.mark.parametrize("recurrent", ["none", "gru48"])
@pytest.mark.parametrize("frames", [1, 3])
def test_an_episode_of_smaller_stacks_is_stored_drawn_and_learnt(frames, recurrent, settings):
    s = settings(f"frame_stack={frames}", f"recurrent={recurrent}", "hyperparams.batch_size=20", "trunk=8")
    agent = build_agent(s, vector_size=1, action_size=2)
    replay = build_replay(s, agent, vector_size=1, action_size=2)
    shown = [np.full((84, 84), value, np.uint8) for value in range(41)]

    def observation(step):
        image = np.stack([shown[max(step - back, 0)] for back in reversed(range(frames))])
        return {"image": image, "vector": np.full(1, step / 40, np.float32)}

    state = agent.initial_state()
    replay.begin(observation(0), state)
    for step in range(40):
        action, state = agent.act(observation(step), state, noise=0.1)
        replay.add(action, 1.0, False, step == 39, observation(step + 1), state)
    batch = replay.sample(20)
    assert batch.images.shape[2:] == (frames, 84, 84)
    newest = batch.images[..., -1, 0, 0]
    if frames > 1:  # a stack's older frames are those of the steps before, the first one repeated
        assert (batch.images[..., 0, 0, 0] == (newest.int() - frames + 1).clamp(min=0)).all()
    assert np.isfinite(agent.update(batch)["loss/critic"].item())
    assert audit_agent(s, agent, 1, 2).faults == []


def test_environments_show_as_many_frames_as_asked_for():
    env = CarlaDriveEnv(bare(frame_stack=1))  # nothing is started
    assert env.observation_space["image"].shape == (1, 84, 84)
    with pytest.raises(UserError, match=r"^frame_stack=0: must lie between 1 and 16"):
        CarlaDriveEnv(bare(frame_stack=0))
    with pytest.raises(UserError, match=r"^frame_stack=0: must lie between 1 and 16"):
        GymImageEnv("CartPole-v1", frame_stack=0)
