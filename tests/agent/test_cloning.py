"""The cloning term of the actor's loss: by hand, of demonstrated transitions only, and alone where its share is 1."""

import dataclasses
import math

import pytest
import torch
from agents import make_agent, make_batch, parameters, same

from td3sweep.agent.networks import current_vectors

NAN = math.nan


def constant_policy(**changes):
    """Acts (.5, 0) everywhere and learns nothing; every update steps the actor."""
    agent = make_agent(policy_delay=1, actor_lr=0.0, **changes)
    with torch.no_grad():
        agent.actor.head.mlp[-1].weight.zero_()
        agent.actor.head.mlp[-1].bias.copy_(torch.tensor([math.atanh(0.5), 0.0]))
    return agent


def shown(*meant, **changes):
    """A batch of transitions where this was meant; None: nobody showed."""
    rows = [[[NAN, NAN] if what is None else list(what)] for what in meant]
    return dataclasses.replace(make_batch(len(rows)), meant=torch.tensor(rows), **changes)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_loss_by_hand(share):
    """Mean squares (0 + 1) / 2, (1 + .25) / 2 and 0 of three that were shown: .375; the penalty is .15 of z^2 / 2."""
    agent = constant_policy(cloning=2.0, pre_tanh_penalty=0.15)
    metrics = agent.update(shown((0.5, 1.0), None, (-0.5, 0.5), (0.5, 0.0)), share=share)
    td3 = -metrics["q/actor"].item() + 0.15 * math.atanh(0.5) ** 2 / 2
    assert metrics["cloning/distance"].item() == pytest.approx(0.375, rel=1e-6)
    assert metrics["cloning/share"].item() == share
    assert metrics["loss/actor"].item() == pytest.approx(share * 2.0 * 0.375 + (1.0 - share) * td3, rel=1e-5)


def test_padding_was_not_shown():
    batch = shown((0.5, 1.0), (-0.5, 0.5), mask=torch.tensor([[1.0], [0.0]]))
    assert constant_policy(cloning=1.0).update(batch, share=0.5)["cloning/distance"].item() == pytest.approx(0.5)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_batch_that_shows_nothing_has_no_distance_and_no_nan(share):
    agent = make_agent(cloning=1.0, policy_delay=1)
    metrics = agent.update(shown(None, None), share=share)
    assert metrics["cloning/distance"].item() == 0.0
    assert metrics["nonfinite"].item() == 0
    assert metrics["loss/actor"].item() == pytest.approx(-(1.0 - share) * metrics["q/actor"].item())
    gradients = [p.grad for p in agent.actor.parameters()]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients) is (share < 1.0)


def test_at_share_1_the_gradients_are_those_of_cloning():
    agent = make_agent(cloning=2.0, pre_tanh_penalty=0.5, policy_delay=1)
    batch = shown((0.5, 1.0), None, (-0.5, 0.5))
    features = agent.actor.encoder.current(batch, batch.states)
    action = torch.tanh(agent.actor.head(features, current_vectors(batch)))[[0, 2], 0]
    distance = (action - torch.tensor([[0.5, 1.0], [-0.5, 0.5]])).square().mean()
    expected = torch.autograd.grad(2.0 * distance, list(agent.actor.parameters()))
    agent.update(batch, share=1.0)
    for parameter, gradient in zip(agent.actor.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-7)


def test_at_share_0_it_is_td3_and_without_a_weight_nothing_tells_of_it():
    batch = shown((0.5, 1.0), None, (-0.5, 0.5))
    one, other = make_agent(cloning=1.0, policy_delay=1), make_agent(policy_delay=1)
    told, silent = one.update(batch), other.update(batch)
    assert same(parameters(one.actor), parameters(other.actor))
    assert told.keys() - silent.keys() == {"cloning/distance", "cloning/share"}
