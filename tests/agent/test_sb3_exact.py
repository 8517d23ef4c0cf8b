"""Exactness against stable-baselines3: same weights, batches and noise in float64 give the same training."""

import numpy as np
import pytest
import torch
from agents import make_batch

from td3sweep.agent import Clip, build_td3

gymnasium = pytest.importorskip("gymnasium")
sb3 = pytest.importorskip("stable_baselines3")

GAMMA, TAU, RATE = 0.97, 0.01, 1e-3


class Images(gymnasium.Env):
    """Only the spaces matter."""

    observation_space = gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)


class Fixed:
    """A replay buffer that hands out what it is given."""

    def __init__(self):
        self.samples = None

    def sample(self, *args, **kwargs):
        return self.samples


def sb3_agent():
    from stable_baselines3.common.logger import Logger

    agent = sb3.TD3(
        "CnnPolicy",
        Images(),
        learning_rate=RATE,
        gamma=GAMMA,
        tau=TAU,
        buffer_size=10,
        device="cpu",
        seed=0,
    )
    agent.policy.double()
    agent.replay_buffer = Fixed()
    agent.set_logger(Logger(None, []))
    return agent


def our_agent():
    agent = build_td3(
        vector_size=0, action_size=2, activation="relu", scale="unit", tau=TAU, actor_lr=RATE, critic_lr=RATE,
        clip=Clip("off"), seed=0,
    )  # fmt: skip
    for network in (agent.actor, agent.critic, agent.target_actor, agent.target_critic):
        network.double()
    return agent


def paired(ours, theirs, *, critic):
    """Parameters that mean the same, ours and SB3's."""
    extractor = theirs.features_extractor
    modules = [(ours.encoder.cnn.convolutions, extractor.cnn), (ours.encoder.cnn.linear, extractor.linear)]
    if critic:
        modules += [(ours.head.mlp1, theirs.qf0), (ours.head.mlp2, theirs.qf1)]
    else:
        modules += [(ours.head.mlp, theirs.mu)]
    for a, b in modules:
        yield from zip(a.parameters(), b.parameters(), strict=True)


def all_pairs(ours, theirs):
    yield from paired(ours.actor, theirs.actor, critic=False)
    yield from paired(ours.target_actor, theirs.actor_target, critic=False)
    yield from paired(ours.critic, theirs.critic, critic=True)
    yield from paired(ours.target_critic, theirs.critic_target, critic=True)


@pytest.mark.parametrize("updates", [10, pytest.param(50, marks=pytest.mark.slow)])
def test_losses_and_parameters_follow_sb3(monkeypatch, updates):
    # SB3's own preprocessing with one change: its division by 255 happens in float64.
    monkeypatch.setattr("stable_baselines3.common.policies.preprocess_obs", lambda obs, *_, **__: obs.double() / 255)
    from stable_baselines3.common.type_aliases import ReplayBufferSamples

    ours, theirs = our_agent(), sb3_agent()
    with torch.no_grad():
        for mine, other in all_pairs(ours, theirs):
            mine.copy_(other)
    assert sum(1 for _ in ours.actor.parameters()) == sum(1 for _ in theirs.actor.parameters())
    assert sum(1 for _ in ours.critic.parameters()) == sum(1 for _ in theirs.critic.parameters())
    for update in range(updates):
        batch = make_batch(4, vector_size=0, seed=update)
        done = (torch.rand(4, 1, generator=torch.Generator().manual_seed(update)) < 0.2).double()
        batch = type(batch)(
            **{
                **vars(batch),
                "vectors": batch.vectors.double(),
                "actions": batch.actions.double(),
                "rewards": batch.rewards.double(),
                "discounts": GAMMA * (1 - done),
                "mask": batch.mask.double(),
            }
        )
        theirs.replay_buffer.samples = ReplayBufferSamples(
            observations=batch.images[:, 0],
            actions=batch.actions[:, 0],
            next_observations=batch.images[:, 1],
            dones=done,
            rewards=batch.rewards,
        )
        torch.manual_seed(1000 + update)
        theirs.train(gradient_steps=1, batch_size=4)
        ours._update_rng.manual_seed(1000 + update)
        metrics = ours.update(batch)
        logged = theirs.logger.name_to_value
        assert metrics["loss/critic"].item() == pytest.approx(logged["train/critic_loss"], rel=1e-9, abs=1e-9)
        if update % 2 == 1:
            assert metrics["loss/actor"].item() == pytest.approx(logged["train/actor_loss"], rel=1e-9, abs=1e-9)
    for mine, other in all_pairs(ours, theirs):
        assert (mine - other).abs().max().item() <= 1e-9
    untouched = sb3_agent()
    moved = [
        (a - b).abs().max().item()
        for a, b in zip(theirs.policy.parameters(), untouched.policy.parameters(), strict=True)
    ]
    assert min(moved) > 2e-6 * updates  # all of it was trained
