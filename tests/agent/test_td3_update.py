"""The order and rhythm of an update: delayed actor, soft targets, optimiser groups, metrics."""

import pytest
import torch
from agents import make_agent, make_batch, parameters, same

from td3sweep.agent import Clip


def test_actor_and_targets_move_every_second_update():
    agent = make_agent()
    actor, target = parameters(agent.actor), parameters(agent.target_critic)
    critic = parameters(agent.critic)
    metrics = agent.update(make_batch(seed=1))
    assert same(parameters(agent.actor), actor)
    assert same(parameters(agent.target_critic), target)
    assert not any(torch.equal(a, b) for a, b in zip(parameters(agent.critic), critic, strict=True))
    assert not any(key.startswith(("loss/actor", "grad/actor", "q/actor", "action/")) for key in metrics)
    metrics = agent.update(make_batch(seed=2))
    assert not any(torch.equal(a, b) for a, b in zip(parameters(agent.actor), actor, strict=True))
    assert not same(parameters(agent.target_critic), target)
    assert metrics["q/actor"].item() == pytest.approx(-metrics["loss/actor"].item())
    assert metrics["q/actor_max"] >= metrics["q/actor"]
    assert agent.updates == 2


def test_soft_update_by_hand():
    agent = make_agent(tau=0.25)
    agent.update(make_batch(seed=1))
    before = [*parameters(agent.target_actor), *parameters(agent.target_critic)]
    agent.update(make_batch(seed=2))
    online = [*parameters(agent.actor), *parameters(agent.critic)]
    after = [*parameters(agent.target_actor), *parameters(agent.target_critic)]
    for old, new, now in zip(before, online, after, strict=True):
        assert torch.allclose(now, 0.75 * old + 0.25 * new, atol=1e-7)


def test_targets_copy_every_network_and_share_no_storage():
    agent = make_agent(memory="gru", memory_size=8)
    for online, target in ((agent.actor, agent.target_actor), (agent.critic, agent.target_critic)):
        assert same(parameters(online), parameters(target))
        own = {p.data_ptr() for p in online.parameters()}
        assert not own & {p.data_ptr() for p in target.parameters()}
        assert not any(p.requires_grad for p in target.parameters())
        names = {name.split(".")[1] for name, _ in target.named_parameters() if name.startswith("encoder")}
        assert names == {"cnn", "memory"}


def test_critic_only_updates_leave_the_actor_alone():
    agent = make_agent()
    actor, target = parameters(agent.actor), parameters(agent.target_critic)
    for seed in range(2):
        metrics = agent.update(make_batch(seed=seed), train_actor=False)
        assert "loss/actor" not in metrics
    assert same(parameters(agent.actor), actor)
    assert same(parameters(agent.target_actor), actor)
    assert not same(parameters(agent.target_critic), target)


def test_every_parameter_is_in_one_optimiser_group_with_its_rate():
    agent = make_agent(actor_cnn_lr=1e-5, critic_cnn_lr=2e-5, memory="gru", memory_size=8)
    for network, optimizer, cnn_lr in (
        (agent.actor, agent.actor_optimizer, 1e-5),
        (agent.critic, agent.critic_optimizer, 2e-5),
    ):
        held = [p for group in optimizer.param_groups for p in group["params"]]
        assert len(held) == len({id(p) for p in held})
        assert {id(p) for p in held} == {id(p) for p in network.parameters()}
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        cnn = {id(p) for p in network.encoder.cnn.parameters()}
        assert all(rate == (cnn_lr if key in cnn else 1e-3) for key, rate in rates.items())


def test_weight_decay_is_decoupled():
    """With a zero gradient Adam stands still; AdamW shrinks by lr * decay: .1 * .5 and, in the CNN, .02 * .5."""
    for decay, head, cnn in ((0.0, 1.0, 1.0), (0.5, 0.95, 0.99)):
        agent = make_agent(critic_lr=0.1, critic_cnn_lr=0.02, weight_decay=decay)
        before = parameters(agent.critic)
        for p in agent.critic.parameters():
            p.grad = torch.zeros_like(p)
        agent.critic_optimizer.step()
        convolutional = {id(p) for p in agent.critic.encoder.cnn.parameters()}
        for p, old in zip(agent.critic.parameters(), before, strict=True):
            assert torch.allclose(p, old * (cnn if id(p) in convolutional else head), rtol=1e-6, atol=0)


def test_clipped_norms_are_measured_after_the_clip():
    agent = make_agent(clip=Clip("joint", actor=1e-4, critic=1e-3))
    agent.update(make_batch(seed=0))
    metrics = agent.update(make_batch(seed=1))
    for name, limit in (("actor", 1e-4), ("critic", 1e-3)):
        assert metrics[f"grad/{name}/joint/before"] > 2 * limit
        assert metrics[f"grad/{name}/joint/after"].item() == pytest.approx(limit, rel=1e-2)
        assert metrics[f"clip/{name}/binding"].item() == 1.0
        network = getattr(agent, name)
        joint = sum(p.grad.square().sum() for p in network.parameters()).sqrt()
        assert joint.item() == pytest.approx(metrics[f"grad/{name}/joint/after"].item(), rel=1e-5)
    assert "grad/actor/memory/before" not in metrics


def test_metrics_are_scalars_on_the_device_without_a_graph():
    agent = make_agent(memory="gru", memory_size=8)
    agent.update(make_batch(length=2, state_size=16))
    metrics = agent.update(make_batch(length=2, state_size=16))
    assert {"grad/actor/memory/after", "q/gap", "action/saturation", "nonfinite"} <= set(metrics)
    assert all(value.dim() == 0 and not value.requires_grad for value in metrics.values())
    gap = abs(metrics["q/actor"] - metrics["q/q1"])
    assert metrics["q/gap"].item() == pytest.approx(gap.item())


def test_nonfinite_values_are_counted_and_named():
    agent = make_agent()
    assert agent.update(make_batch())["nonfinite"].item() == 0
    assert agent.nonfinite_tensors() == []
    with torch.no_grad():
        agent.critic.head.mlp2[0].bias[0] = float("inf")
    assert agent.update(make_batch())["nonfinite"].item() > 0
    assert "critic.head.mlp2.0.bias" in agent.nonfinite_tensors()


def test_pre_tanh_penalty_by_hand():
    """A policy with pre-tanh (2, 0): mean square 2, times .5 is 1 on top of -Q; mean magnitude 1; tanh(2) < .99."""
    agent = make_agent(pre_tanh_penalty=0.5, actor_lr=0.0)
    with torch.no_grad():
        agent.actor.head.mlp[-1].weight.zero_()
        agent.actor.head.mlp[-1].bias.copy_(torch.tensor([2.0, 0.0]))
    agent.update(make_batch())
    metrics = agent.update(make_batch())
    assert (metrics["loss/actor"] + metrics["q/actor"]).item() == pytest.approx(1.0, abs=1e-6)
    assert metrics["action/pre_tanh"].item() == pytest.approx(1.0)
    assert metrics["action/saturation"].item() == 0.0
    with torch.no_grad():
        agent.actor.head.mlp[-1].bias[0] = 3.0  # tanh(3) = .9951
    agent.update(make_batch())
    assert agent.update(make_batch())["action/saturation"].item() == 0.5


def test_same_seed_same_weights_and_the_global_generator_stays():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, two = make_agent(seed=7), make_agent(seed=7)
    assert torch.equal(torch.rand(1), expected)
    assert same(parameters(one.actor), parameters(two.actor))
    assert not same(parameters(one.actor), parameters(make_agent(seed=8).actor))


def test_the_fused_optimiser_on_channels_last_weights_equals_a_plain_one():
    """Fused kernels walk raw memory: weights, gradients and moments must share their layout."""
    agent = make_agent()
    weights = agent.critic.encoder.cnn.convolutions[0].weight
    assert weights.is_contiguous(memory_format=torch.channels_last)
    copies = [p.detach().clone().contiguous().requires_grad_() for p in agent.critic.parameters()]
    plain = torch.optim.Adam(copies, lr=1e-3, foreach=False, fused=False)
    for seed in range(3):
        agent.update(make_batch(seed=seed))
        for copy, p in zip(copies, agent.critic.parameters(), strict=True):
            copy.grad = p.grad.detach().clone().contiguous()
        plain.step()
    for copy, p in zip(copies, agent.critic.parameters(), strict=True):
        assert torch.allclose(copy, p, atol=1e-6)
