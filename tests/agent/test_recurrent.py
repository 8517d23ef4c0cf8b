"""Memory in the agent: feed-forward is the case without state, burn-in and stored states equal a full unroll."""

import dataclasses

import numpy as np
import pytest
import torch
from agents import make_agent, make_batch, parameters

from td3sweep.agent.networks import Encoder
from td3sweep.agent.policy import NetworkPolicy
from td3sweep.nets import Memory
from td3sweep.replay import FrameReplay

KINDS = [("gru", 48, 48), ("lstm", 16, 32)]


class IdentityWithState(Memory):
    """Takes the recurrent path and changes nothing."""

    def __init__(self):
        super().__init__()
        self.state_size, self.features = 1, 512

    def forward(self, x, state):
        return x, state


def test_feed_forward_equals_the_recurrent_path_of_length_one():
    """The same weights, once stateless on compact windows, once through unrolled windows of length 1."""
    plain, unrolled = make_agent(target_noise=0.0), make_agent(target_noise=0.0)
    for network in (unrolled.actor, unrolled.critic, unrolled.target_actor, unrolled.target_critic):
        network.encoder = Encoder(network.encoder.cnn, IdentityWithState())
    unrolled.policy = NetworkPolicy(unrolled.actor, unrolled.critic.encoder, device=unrolled.device, seed=0)
    assert unrolled.state_sizes == (1, 1, 0)
    batch = make_batch(3)
    for _ in range(2):
        one = plain.update(batch)
        two = unrolled.update(dataclasses.replace(batch, states=torch.zeros(3, 2)))
        assert one.keys() == two.keys()
        for key in one:
            assert one[key].item() == pytest.approx(two[key].item(), rel=1e-5, abs=1e-7), key
    for a, b in zip(parameters(plain.actor), parameters(unrolled.actor), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(("memory", "size", "state"), KINDS)
def test_acting_step_by_step_equals_one_unroll(memory, size, state):
    agent = make_agent(memory=memory, memory_size=size)
    batch = make_batch(1, length=5, n_step=1, state_size=2 * state)
    carried = agent.initial_state()
    assert carried.shape == (2 * state,)
    for step in range(6):
        observation = {"image": batch.images[0, step].numpy(), "vector": batch.vectors[0, step].numpy()}
        before = carried
        action, carried = agent.act(observation, carried)
    zero = torch.zeros(1, state)
    with torch.no_grad():
        features, actor_state = agent.actor.encoder(batch.images, zero)
        critic_state = agent.critic.encoder(batch.images, zero)[1]
        expected = torch.tanh(agent.actor.head(features[:, -1], batch.vectors[:, -1]))
    np.testing.assert_allclose(action, expected[0], atol=1e-5)
    np.testing.assert_allclose(carried, torch.cat([actor_state, critic_state], -1)[0], atol=1e-5)
    assert np.abs(carried - before).max() > 0


@pytest.mark.parametrize(("memory", "size", "state"), KINDS)
def test_stored_state_and_burn_in_equal_the_full_unroll(memory, size, state):
    """Play an episode, store it, sample windows: features match those of the episode unrolled from its start."""
    agent = make_agent(memory=memory, memory_size=size)
    rng = np.random.default_rng(0)
    replay = FrameReplay(
        60, vector_size=3, action_size=2, state_sizes=agent.state_sizes, state_stride=2, gamma=0.9, n_step=2,
        sequence_length=3, burn_in=2, seed=0,
    )  # fmt: skip
    frames = [rng.integers(0, 256, (84, 84), dtype=np.uint8) for _ in range(13)]
    stacks = [np.stack([frames[max(t - back, 0)] for back in (3, 2, 1, 0)]) for t in range(13)]
    vectors = [np.full(3, t, np.float32) for t in range(13)]
    carried = agent.initial_state()
    replay.begin({"image": stacks[0], "vector": vectors[0]}, carried)
    for t in range(12):
        action, carried = agent.act({"image": stacks[t], "vector": vectors[t]}, carried, 0.1)
        following = {"image": stacks[t + 1], "vector": vectors[t + 1]}
        replay.add(action, 0.0, t == 11, False, following, carried)
    whole = torch.from_numpy(np.stack(stacks))[None]
    batch = replay.sample(30)
    with torch.no_grad():
        for encoder, part in (
            (agent.actor.encoder, batch.states[:, :state]),
            (agent.critic.encoder, batch.states[:, state:]),
        ):
            full = encoder(whole, torch.zeros(1, state))[0][0]
            current, following = encoder.current(batch, part), encoder.following(batch, part)
            for row in range(30):
                start = int(batch.vectors[row, batch.start, 0])
                for place in range(int(batch.mask[row].sum())):
                    torch.testing.assert_close(current[row, place], full[start + place], atol=1e-5, rtol=1e-4)
                    bootstrap = start + int(batch.next_index[row, place]) - batch.start
                    torch.testing.assert_close(following[row, place], full[bootstrap], atol=1e-5, rtol=1e-4)
    assert set(batch.burn_in.tolist()) == {0, 2}


def test_burn_in_refreshes_the_state_without_gradient():
    agent = make_agent(memory="gru", memory_size=48)
    batch = make_batch(2, length=2, burn_in=3, state_size=96)
    images = batch.images.clone()
    images[:, :3] = 0
    without = dataclasses.replace(batch, burn_in=torch.zeros(2, dtype=torch.int64))
    state = batch.states[:, :48].requires_grad_()
    features = agent.actor.encoder.current(batch, state)
    assert not torch.equal(features, agent.actor.encoder.current(without, state))
    assert not torch.equal(features, agent.actor.encoder.current(dataclasses.replace(batch, images=images), state))
    assert torch.autograd.grad(features.sum(), state, allow_unused=True)[0] is None


@pytest.mark.parametrize(("memory", "size", "state"), KINDS)
def test_every_network_with_memory_trains(memory, size, state):
    agent = make_agent(memory=memory, memory_size=size, trunk=50, feature_norm="layernorm")
    before = [*parameters(agent.actor), *parameters(agent.critic)]
    for seed in range(2):
        metrics = agent.update(make_batch(2, length=2, burn_in=1, n_step=2, state_size=2 * state, seed=seed))
    after = [*parameters(agent.actor), *parameters(agent.critic)]
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert metrics["nonfinite"].item() == 0
    assert metrics["grad/actor/memory/before"] > 0
    assert metrics["grad/critic/memory/before"] > 0


def test_feed_forward_acting_carries_no_state_and_skips_the_critic():
    agent = make_agent()
    agent.critic.encoder.register_forward_hook(lambda *_: pytest.fail("the critic was run"))
    batch = make_batch(1)
    observation = {"image": batch.images[0, 0].numpy(), "vector": batch.vectors[0, 0].numpy()}
    action, state = agent.act(observation, agent.initial_state())
    assert state.shape == (0,)
    assert action.dtype == np.float32
    assert action.shape == (2,)


def test_noise_zero_is_deterministic_and_draws_nothing():
    agent = make_agent()
    batch = make_batch(1)
    observation = {"image": batch.images[0, 0].numpy(), "vector": batch.vectors[0, 0].numpy()}
    drawn = agent.state_dict()["acting_rng"]
    first = agent.act(observation, agent.initial_state())[0]
    np.testing.assert_array_equal(first, agent.act(observation, agent.initial_state())[0])
    assert torch.equal(agent.state_dict()["acting_rng"], drawn)
    noisy = np.stack([agent.act(observation, agent.initial_state(), 5.0)[0] for _ in range(20)])
    assert np.abs(noisy).max() == 1.0
    assert noisy.std() > 0.5


def test_critic_only_with_memory_keeps_one_state():
    agent = make_agent(wiring="critic_only", memory="gru", memory_size=48)
    assert agent.state_sizes == (0, 48, 0)
    batch = make_batch(2, length=2, burn_in=1, state_size=48)
    observation = {"image": batch.images[0, 0].numpy(), "vector": batch.vectors[0, 0].numpy()}
    assert np.abs(agent.act(observation, agent.initial_state())[1]).max() > 0
    agent.update(batch)
    assert agent.update(batch)["nonfinite"].item() == 0
