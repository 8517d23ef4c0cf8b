"""Norms of features and weights, and learning rates as the optimisers hold them, by hand-computed numbers."""

import pytest
import torch
from agents import make_agent, make_batch

from td3sweep.agent.networks import parts


def filled(agent, value):
    with torch.no_grad():
        for network in (agent.actor, agent.critic):
            for parameter in network.parameters():
                parameter.fill_(value)


def test_weight_norms_are_l2_and_joint_is_that_of_all_parts():
    agent = make_agent(memory="gru", memory_size=8)
    filled(agent, 0.5)
    found = agent.weight_norms()
    for name, network in (("actor", agent.actor), ("critic", agent.critic)):
        sizes = {part: sum(p.numel() for p in group) for part, group in parts(network).items()}
        assert set(sizes) == {"cnn", "memory", "head"}
        sizes["joint"] = sum(sizes.values())
        for part, size in sizes.items():  # n numbers of .5 each
            assert found.pop(f"weight/{name}/{part}").item() == pytest.approx(0.5 * size**0.5, rel=1e-5)
    assert found == {}


def test_learning_rates_are_what_the_optimisers_hold():
    agent = make_agent(actor_lr=1e-3, critic_lr=2e-3, critic_cnn_lr=3e-4)
    assert agent.learning_rates() == {
        "lr/actor/cnn": 1e-3, "lr/actor/head": 1e-3, "lr/critic/cnn": 3e-4, "lr/critic/head": 2e-3
    }  # fmt: skip
    agent.actor_optimizer.param_groups[1]["lr"] = 0.5  # a scheduler's doing, or somebody else's
    assert agent.learning_rates()["lr/actor/head"] == 0.5


def test_an_actor_without_encoder_has_no_cnn_of_its_own():
    agent = make_agent(wiring="critic_only")
    assert set(agent.learning_rates()) == {"lr/actor/head", "lr/critic/cnn", "lr/critic/head"}
    assert "weight/actor/cnn" not in agent.weight_norms()


def test_feature_norms_are_means_of_l2_norms():
    agent = make_agent()
    with torch.no_grad():
        for network, value in ((agent.actor, 2.0), (agent.critic, 3.0)):
            network.encoder.cnn.linear.weight.zero_()
            network.encoder.cnn.linear.bias.fill_(value)  # 512 features of that value
    agent.update(make_batch())
    metrics = agent.update(make_batch())
    assert metrics["feature/actor"].item() == pytest.approx(2.0 * 512**0.5, rel=1e-3)
    assert metrics["feature/critic"].item() == pytest.approx(3.0 * 512**0.5, rel=1e-2)  # one step of 1e-3 on
