"""Target values by hand: TD3's minimum, MPG's averaged difference, discounts, masks."""

import dataclasses

import pytest
import torch
from agents import constant_q, make_agent, make_batch

from td3sweep.agent import MPGTarget, TD3Target
from td3sweep.agent.explore import target_noise

ONES = torch.ones(2, 1)
Q1, Q2 = torch.tensor([[5.0], [1.0]]), torch.tensor([[3.0], [2.0]])


def test_td3_takes_the_smaller():
    assert TD3Target()(Q1, Q2, ONES).flatten().tolist() == [3.0, 1.0]


def test_mpg_raw_by_hand():
    """|Q1-Q2| = 2, 1, mean 1.5. First: max - |d|/2 = 4, 1.5. Then delta_last = 1.5: 5-1.75, 2-1.25."""
    rule = MPGTarget()
    assert rule(Q1, Q2, ONES).flatten().tolist() == [4.0, 1.5]
    assert rule(Q1, Q2, ONES).flatten().tolist() == [3.25, 0.75]  # .75 lies below the minimum of 1
    assert rule.delta_last.item() == 1.5


def test_mpg_ema_by_hand():
    """Carries (delta_last + mean)/2: 0 -> .75 -> 1.125."""
    rule = MPGTarget(delta_state="ema")
    rule(Q1, Q2, ONES)
    assert rule.delta_last.item() == 0.75
    assert rule(Q1, Q2, ONES).flatten().tolist() == [5 - (0.75 + 2) / 2, 2 - (0.75 + 1) / 2]
    assert rule.delta_last.item() == 1.125


def test_mpg_first_batch_starts_from_its_own_mean():
    assert MPGTarget("first_batch")(Q1, Q2, ONES).flatten().tolist() == [3.25, 0.75]


def test_mpg_leaves_padding_out_of_its_mean():
    rule = MPGTarget()
    rule(Q1, Q2, torch.tensor([[1.0], [0.0]]))
    assert rule.delta_last.item() == 2.0


def test_mpg_state_round_trip():
    rule, other = MPGTarget(), MPGTarget()
    rule(Q1, Q2, ONES)
    other.load_state_dict(rule.state_dict())
    assert torch.equal(rule(Q1, Q2, ONES), other(Q1, Q2, ONES))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [(TD3Target(), [1 + 0.9 * 2, 10 + 0.81 * 2, 100]), (MPGTarget(), [1 + 0.9 * 2.5, 10 + 0.81 * 2.5, 100])],
)
def test_bootstrap_and_critic_loss_by_hand(rule, expected):
    """Target Qs 3 and 2; rewards 1, 10, 100; discounts .9, .81 and 0 (terminated); current Qs 1 and -1."""
    agent = make_agent(target_rule=rule)
    constant_q(agent, 3.0, 2.0, target=True)
    constant_q(agent, 1.0, -1.0, target=False)
    batch = dataclasses.replace(
        make_batch(3), rewards=torch.tensor([[1.0], [10.0], [100.0]]), discounts=torch.tensor([[0.9], [0.81], [0.0]])
    )
    metrics = agent.update(batch)
    y = torch.tensor(expected)
    assert metrics["q/target"].item() == pytest.approx(y.mean().item(), rel=1e-5)
    assert metrics["q/target_sd"].item() == pytest.approx(y.std(unbiased=False).item(), rel=1e-5)
    loss = ((1 - y) ** 2).mean() + ((-1 - y) ** 2).mean()
    assert metrics["loss/critic"].item() == pytest.approx(loss.item(), rel=1e-5)
    assert metrics["td_error"].item() == pytest.approx((((1 - y).abs() + (-1 - y).abs()) / 2).mean().item(), rel=1e-5)
    assert (metrics["q/q1"].item(), metrics["q/q2"].item(), metrics["q/twin_gap"].item()) == (1.0, -1.0, 2.0)


def test_huber_by_hand():
    """Errors .5 and 3 (delta 1): .125 and 2.5."""
    agent = make_agent(loss="huber")
    constant_q(agent, 0.5, -2.0, target=False)
    batch = dataclasses.replace(make_batch(2), rewards=torch.ones(2, 1), discounts=torch.zeros(2, 1))
    assert agent.update(batch)["loss/critic"].item() == pytest.approx(0.125 + 2.5)


def test_padding_changes_nothing():
    """A padded transition with absurd numbers leaves losses and steps as they are without it."""
    batch = make_batch(2, length=3, state_size=96)
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    rewards = batch.rewards.clone()
    rewards[:, 2] = 1e6
    agents = [make_agent(memory="gru", memory_size=48, seed=1) for _ in range(2)]
    padded = dataclasses.replace(batch, mask=mask, rewards=rewards)
    shorter = dataclasses.replace(
        batch,
        images=batch.images[:, :3],
        vectors=batch.vectors[:, :3],
        **{name: getattr(batch, name)[:, :2] for name in ("actions", "rewards", "discounts", "next_index", "mask")},
    )
    for agent in agents:
        agent._target_noise = 0.0
    for _ in range(2):
        one, two = agents[0].update(padded), agents[1].update(shorter)
    for key in one:
        assert one[key].item() == pytest.approx(two[key].item(), rel=1e-3, abs=1e-6), key


def test_smoothing_noise_is_clipped():
    drawn = target_noise(torch.zeros(10_000, 1, 2), 0.2, 0.5, torch.Generator().manual_seed(0))
    assert drawn.shape == (10_000, 1, 2)
    assert drawn.abs().max().item() == 0.5
    assert drawn.std().item() == pytest.approx(0.2, rel=0.03)


def test_the_smoothed_action_stays_in_reach():
    agent = make_agent()
    with torch.no_grad():  # a policy that says tanh(2) = .964 to everything
        agent.target_actor.head.mlp[-1].weight.zero_()
        agent.target_actor.head.mlp[-1].bias.fill_(2.0)
    seen = []
    agent.target_critic.head.register_forward_hook(lambda module, inputs, output: seen.append(inputs[2]))
    agent.update(make_batch(32))
    assert seen[0].max().item() == 1.0
    assert seen[0].min().item() >= 0.964 - 0.5 - 1e-3
    assert 0.1 < seen[0].std().item() < 0.2
