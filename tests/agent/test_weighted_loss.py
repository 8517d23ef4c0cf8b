"""Importance weights in the critic's loss, and the errors that replay takes back, by hand."""

import dataclasses

import pytest
import torch
from agents import constant_q, make_agent, make_batch, parameters, same

REWARDS = torch.tensor([[1.0], [10.0], [100.0]])


def constant_agent(**changes):
    agent = make_agent(**changes)
    constant_q(agent, 2.0, -1.0, target=False)
    return agent


def three_rows(weights):
    return dataclasses.replace(
        make_batch(3), rewards=REWARDS, discounts=torch.zeros(3, 1), weights=torch.tensor(weights)
    )


@pytest.mark.parametrize(
    ("loss", "elements"),
    [
        ("mse", (1 + 4, 64 + 121, 98**2 + 101**2)),  # errors 1, 8, 98 of the first and 2, 11, 101 of the second
        ("huber", (0.5 + 1.5, 7.5 + 10.5, 97.5 + 100.5)),
    ],
)
def test_a_rows_weight_multiplies_its_losses_and_no_metric(loss, elements):
    metrics = constant_agent(loss=loss).update(three_rows([1.0, 0.5, 0.25]))
    assert metrics["loss/critic"].item() == pytest.approx((elements[0] + elements[1] / 2 + elements[2] / 4) / 3)
    assert metrics["td_error"].item() == pytest.approx((1.5 + 9.5 + 99.5) / 3)
    assert metrics["q/target"].item() == pytest.approx(37.0)
    assert (metrics["q/q1"].item(), metrics["q/q2"].item()) == (2.0, -1.0)


def test_the_larger_error_of_both_critics_is_kept():
    agent = constant_agent()
    agent.update(three_rows([1.0, 0.5, 0.25]))
    assert agent.td_errors.tolist() == [[2.0], [11.0], [101.0]]
    assert not agent.td_errors.requires_grad


def test_a_row_of_weight_0_trains_nothing():
    """Whatever rewards they have, two rows that weigh nothing leave the step as it is."""
    batch = make_batch(4)
    none = dataclasses.replace(batch, weights=torch.tensor([1.0, 1.0, 0.0, 0.0]))
    other = {**vars(none), "rewards": torch.cat([batch.rewards[:2], torch.full((2, 1), 1e3)])}
    agents = [make_agent(target_noise=0.0) for _ in range(2)]
    agents[0].update(none)
    agents[1].update(type(batch)(**other))
    assert same(parameters(agents[0].critic), parameters(agents[1].critic))
    assert not torch.equal(agents[0].td_errors, agents[1].td_errors)


def test_the_actors_loss_is_not_weighted():
    agent, batch = make_agent(), make_batch(3)
    weighted = dataclasses.replace(batch, weights=torch.tensor([1.0, 0.1, 0.0]))
    assert agent.actor_loss(batch)[0].item() == agent.actor_loss(weighted)[0].item()


def test_a_sequences_weight_counts_for_all_its_transitions_and_padding_for_none():
    """Rewards 1, 2 | 3 (then padding), Q 0: errors 1, 2, 3; weights .5 and 1: (.5 * 2 (1 + 4) + 2 * 9) / 3."""
    agent = make_agent(memory="gru", memory_size=48)
    constant_q(agent, 0.0, 0.0, target=False)
    batch = dataclasses.replace(
        make_batch(2, length=2, state_size=96),
        rewards=torch.tensor([[1.0, 2.0], [3.0, 1e6]]),
        discounts=torch.zeros(2, 2),
        mask=torch.tensor([[1.0, 1.0], [1.0, 0.0]]),
        weights=torch.tensor([0.5, 1.0]),
    )
    assert agent.update(batch)["loss/critic"].item() == pytest.approx((5 + 18) / 3)
    assert agent.td_errors.shape == (2, 2)
