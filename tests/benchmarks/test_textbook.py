"""The naive form trains what ours trains: else a ratio of the two would compare two things."""

import pytest
import torch

from benchmarks.performance.learners import our_replay
from benchmarks.performance.textbook import TextbookTD3
from td3sweep.agent import Clip, build_td3

TAU, RATE = 0.005, 3e-4


def pairs(ours, naive):
    """Parameters that mean the same."""
    for mine, theirs, critic in (
        (ours.actor, naive.actor, False),
        (ours.target_actor, naive.target_actor, False),
        (ours.critic, naive.critic, True),
        (ours.target_critic, naive.target_critic, True),
    ):
        heads = [mine.head.mlp1, mine.head.mlp2] if critic else [mine.head.mlp]
        modules = [mine.encoder.cnn.convolutions, mine.encoder.cnn.linear, *heads]
        yield from zip((p for module in modules for p in module.parameters()), theirs.parameters(), strict=True)


def test_two_updates_give_the_numbers_of_ours():
    ours = build_td3(
        cnn="pooled", vector_size=0, action_size=2, activation="relu", scale="unit", tau=TAU, actor_lr=RATE,
        critic_lr=RATE, clip=Clip("off"), seed=0,
    )  # fmt: skip
    naive = TextbookTD3(tau=TAU, rate=RATE)
    for network in (ours.actor, ours.critic, ours.target_actor, ours.target_critic):
        network.double()
    for network in (naive.actor, naive.critic, naive.target_actor, naive.target_critic):
        network.double()
    with torch.no_grad():
        for mine, theirs in pairs(ours, naive):
            theirs.copy_(mine)
    before = [theirs.detach().clone() for _, theirs in pairs(ours, naive)]
    replay = our_replay(50)
    for update in range(2):
        batch = replay.sample(2)
        batch = type(batch)(
            **{
                k: v.double() if isinstance(v, torch.Tensor) and v.is_floating_point() else v
                for k, v in vars(batch).items()
            }
        )
        ours._update_rng.manual_seed(update)
        naive.noise.manual_seed(update)
        metrics = ours.update(batch)
        critic_loss, actor_loss = naive.update(batch)
        assert critic_loss == pytest.approx(metrics["loss/critic"].item(), rel=1e-9)
    assert actor_loss == pytest.approx(metrics["loss/actor"].item(), rel=1e-9)
    for old, (mine, theirs) in zip(before, pairs(ours, naive), strict=True):
        assert (mine - theirs).abs().max().item() < 1e-9
        assert (theirs - old).abs().max().item() > 0  # it moved, targets included
