"""Who trains whom: the one difference between correct wiring and the crossed fault."""

import pytest
import torch
from agents import make_agent, make_batch, parameters, same


def gradients(loss, module):
    return torch.autograd.grad(loss, list(module.parameters()), retain_graph=True, allow_unused=True)


def total(found):
    return sum(float(g.abs().sum()) for g in found if g is not None)


def test_separate_the_actor_loss_reaches_its_encoder_only_through_the_action():
    agent = make_agent()
    loss, _ = agent.actor_loss(make_batch())
    assert total(gradients(loss, agent.actor.encoder)) > 0
    assert total(gradients(loss, agent.actor.head)) > 0
    assert all(g is None for g in gradients(loss, agent.critic.encoder))
    # Cut the action and nothing is left to train the actor by.
    agent.actor.head.register_forward_hook(lambda module, inputs, output: output.detach())
    cut, _ = agent.actor_loss(make_batch())
    assert not cut.requires_grad or total(gradients(cut, agent.actor.encoder)) == 0


def test_crossed_trains_the_actor_encoder_past_the_action():
    agent = make_agent(wiring="crossed")
    agent.actor.head.register_forward_hook(lambda module, inputs, output: output.detach())
    loss, _ = agent.actor_loss(make_batch())
    assert total(gradients(loss, agent.actor.encoder)) > 0
    assert all(g is None for g in gradients(loss, agent.critic.encoder))


def test_crossed_changes_the_actor_loss_and_nothing_else():
    right, wrong = make_agent(), make_agent(wiring="crossed")
    assert same(parameters(right.actor), parameters(wrong.actor))
    one, two = right.update(make_batch()), wrong.update(make_batch())
    assert {k: v.item() for k, v in one.items()} == {k: v.item() for k, v in two.items()}
    one, two = right.update(make_batch(seed=1)), wrong.update(make_batch(seed=1))
    assert one["loss/critic"].item() == two["loss/critic"].item()
    assert one["loss/actor"].item() != two["loss/actor"].item()


@pytest.mark.parametrize("wiring", ["separate", "critic_only", "crossed"])
def test_the_actor_step_changes_no_critic_parameter_or_gradient(wiring):
    agent = make_agent(wiring=wiring)
    agent.update(make_batch())
    critic = parameters(agent.critic)
    kept = [p.grad.clone() for p in agent.critic.parameters()]
    actor = parameters(agent.actor)
    agent._actor_step(make_batch(seed=1))
    assert same(parameters(agent.critic), critic)
    assert same([p.grad for p in agent.critic.parameters()], kept)
    assert sum(float(g.abs().sum()) for g in kept) > 0
    assert not same(parameters(agent.actor), actor)


def test_critic_only_has_one_encoder_trained_by_the_critic():
    agent = make_agent(wiring="critic_only")
    assert agent.actor.encoder is None
    encoder = parameters(agent.critic.encoder)
    loss, _ = agent.actor_loss(make_batch())
    assert all(g is None for g in gradients(loss, agent.critic.encoder))
    assert total(gradients(loss, agent.actor.head)) > 0
    agent.update(make_batch())
    assert not same(parameters(agent.critic.encoder), encoder)


def test_critic_only_the_target_actor_reads_the_target_critics_encoder():
    agent = make_agent(wiring="critic_only", target_noise=0.0)
    reference = make_agent(wiring="critic_only", target_noise=0.0)
    with torch.no_grad():
        for p in agent.target_critic.encoder.parameters():
            p.add_(0.01)
    seen = []
    agent.target_actor.head.register_forward_hook(lambda m, inputs, o: seen.append(inputs[0]))
    reference.target_actor.head.register_forward_hook(lambda m, inputs, o: seen.append(inputs[0]))
    agent.update(make_batch())
    reference.update(make_batch())
    assert not torch.allclose(seen[0], seen[1])


def test_the_target_action_comes_from_the_target_actors_own_encoder():
    agents = [make_agent(target_noise=0.0) for _ in range(2)]
    with torch.no_grad():
        for p in agents[1].target_actor.encoder.parameters():
            p.mul_(2.0)
    one, two = (agent.update(make_batch()) for agent in agents)
    assert one["q/target"].item() != two["q/target"].item()
    assert one["q/q1"].item() == two["q/q1"].item()


def test_an_actor_that_does_not_fit_the_wiring_is_refused():
    from td3sweep.agent import TD3

    agent = make_agent()
    with pytest.raises(ValueError, match="critic_only"):
        TD3(agent.actor, agent.critic, tau=0.1, actor_lr=1.0, critic_lr=1.0, wiring="critic_only", seed=0)


def test_crossed_wiring_makes_the_gap_explode_and_correct_wiring_does_not():
    """The user's fault in small: the actor's CNN learns to fool the critic's head."""
    gaps = {}
    for wiring in ("separate", "crossed"):
        agent = make_agent(wiring=wiring)
        batches = [make_batch(4, seed=seed) for seed in range(4)]
        for step in range(30):
            metrics = agent.update(batches[step % 4])
        gaps[wiring] = metrics["q/gap"].item()
    assert gaps["separate"] < 1.0
    assert gaps["crossed"] > 10 * gaps["separate"]
