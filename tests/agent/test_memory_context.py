"""A memory that is fed the vector and the previous action: it reads them, and acting feeds it what replay does."""

import dataclasses

import numpy as np
import pytest
import torch
from agents import make_agent, make_batch

from td3sweep.agent.networks import current_vectors
from td3sweep.replay import FrameReplay

KINDS = [{"memory": "gru"}, {"memory": "lstm", "trunk": 50}, {"memory": "gru", "trunk": 50, "memory_skip": True}]
KINDS = [kind | {"memory_size": 8} for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["previous", "vectors"])
@pytest.mark.parametrize("context", [True, False])
def test_features_depend_on_the_context_that_is_fed(kind, name, context):
    agent = make_agent(memory_context=context, **kind)
    batch = make_batch(2, length=2, burn_in=2, state_size=agent.state_size)
    assert agent.state_sizes[2] == (2 if context else 0)
    for encoder, state in zip((agent.actor.encoder, agent.critic.encoder), agent._split(batch.states), strict=True):
        before = encoder.current(batch, state)
        for place in (1, 2):  # in the burn-in and in the trained part
            changed = getattr(batch, name).clone()
            changed[:, place] += 1.0
            after = encoder.current(dataclasses.replace(batch, **{name: changed}), state)
            assert torch.equal(before, after) is not context


def test_a_trunk_squeezes_the_features_alone():
    agent = make_agent(memory="gru", memory_size=8, trunk=50, memory_context=True)
    memory = agent.critic.encoder.memory
    assert memory.trunk[0].in_features == 512
    assert memory.memory.gru.input_size == 50 + 3 + 2


def test_without_a_memory_nothing_is_kept():
    assert make_agent(memory_context=True).state_sizes == (0, 0, 0)


def test_the_state_ends_with_the_action_that_was_taken():
    agent = make_agent(memory="gru", memory_size=8, memory_context=True)
    batch = make_batch(1)
    observation = {"image": batch.images[0, 0].numpy(), "vector": batch.vectors[0, 0].numpy()}
    action, state = agent.act(observation, agent.initial_state(), 0.5)
    assert state[-2:].tolist() == action.tolist()
    other = agent.after(state, np.array([0.25, -1.0]))
    assert other[-2:].tolist() == [0.25, -1.0]
    assert other[:-2].tolist() == state[:-2].tolist()
    assert other.dtype == np.float32


@pytest.mark.parametrize("wiring", ["separate", "critic_only"])
@pytest.mark.parametrize("kind", KINDS)
def test_acting_step_by_step_equals_one_unroll_of_what_replay_gives(kind, wiring):
    """Every other action is somebody else's; the policy's own and the values are found again in the windows."""
    agent = make_agent(memory_context=True, wiring=wiring, **kind)
    rng = np.random.default_rng(0)
    replay = FrameReplay(
        60, vector_size=3, action_size=2, state_sizes=agent.state_sizes, state_stride=2, gamma=0.9, n_step=2,
        sequence_length=4, burn_in=2, seed=0,
    )  # fmt: skip
    frames = rng.integers(0, 256, (13, 84, 84), dtype=np.uint8)
    observations = [
        {"image": frames[[max(t - back, 0) for back in (3, 2, 1, 0)]], "vector": np.full(3, t / 12, np.float32)}
        for t in range(13)
    ]
    state, wanted, values = agent.initial_state(), [], []
    replay.begin(observations[0], state)
    for t in range(12):
        action = rng.uniform(-1, 1, 2).astype(np.float32)
        values.append(agent.value(observations[t], state, action))
        own, state = agent.act(observations[t], state)
        wanted.append(own)
        state = agent.after(state, action)
        replay.add(action, 0.0, t == 11, False, observations[t + 1], state)
    batch = replay.sample(40)
    actor_state, critic_state = agent._split(batch.states)
    with torch.no_grad():
        critic_features = agent.critic.encoder.current(batch, critic_state)
        own = agent.actor.encoder
        features = critic_features if own is None else own.current(batch, actor_state)
        found = torch.tanh(agent.actor.head(features, current_vectors(batch)))
        q = agent.critic.head.first(critic_features, current_vectors(batch), batch.actions)
    times = (current_vectors(batch)[..., 0] * 12).round().long()
    real = batch.mask > 0
    assert set(times[real].tolist()) == set(range(12))
    torch.testing.assert_close(found[real], torch.tensor(np.array(wanted))[times[real]], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(q[real], torch.tensor(values)[times[real]], atol=1e-5, rtol=1e-4)
