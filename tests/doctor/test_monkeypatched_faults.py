"""Faults patched in under a healthy configuration, in other ways than `fault=` does; one and two at once."""

import ast
from pathlib import Path

import pytest
import torch
from patients import audited, finding, patient
from torch import nn

import td3sweep.doctor
from td3sweep.agent import td3
from td3sweep.agent.gradients import clip_gradients
from td3sweep.assemble.learner import audit_agent, build_agent
from td3sweep.doctor import injected


def never_clip(agent, patch):
    patch.setattr(td3, "clip_gradients", lambda parts, kind, limit, name: clip_gradients(parts, "off", limit, name))


def clip_each_tensor_alone(agent, patch):
    def clip(parts, kind, limit, name):
        metrics = clip_gradients(parts, "off", limit, name)
        for group in parts.values():
            for p in group:
                nn.utils.clip_grad_norm_([p], limit)
        return metrics | clip_gradients(parts, "off", limit, name)

    patch.setattr(td3, "clip_gradients", clip)


def second_optimiser_for_the_cnn(agent, patch):
    """Steps the critic's CNN by itself, unclipped."""
    optimizer = agent.critic_optimizer
    (cnn,) = [group for group in optimizer.param_groups if group["params"][0].dim() == 4]
    optimizer.param_groups.remove(cnn)
    agent.cnn_optimizer = torch.optim.Adam(cnn["params"], lr=cnn["lr"])
    agent._critic_parts = {part: group for part, group in agent._critic_parts.items() if part != "cnn"}
    plain = agent._critic_step

    def step(*arguments):
        agent.cnn_optimizer.zero_grad()
        metrics = plain(*arguments)
        agent.cnn_optimizer.step()
        return metrics

    agent._critic_step = step


def zero_only_once(agent, patch):
    plain, calls = agent.critic_optimizer.zero_grad, []

    def zero_grad(set_to_none=True):
        if not calls:
            plain(set_to_none)
        calls.append(1)

    agent.critic_optimizer.zero_grad = zero_grad


def head_in_two_optimisers(agent, patch):
    agent.extra = torch.optim.Adam(agent.critic.head.parameters(), lr=1e-3)


def mean_of_norms(agent, patch):
    def clip(parts, kind, limit, name):
        metrics = clip_gradients(parts, kind, limit, name)
        norms = torch.stack([p.grad.norm() for group in parts.values() for p in group])
        return metrics | {f"grad/{name}/joint/after": norms.mean()}

    patch.setattr(td3, "clip_gradients", clip)


def half_crossed(agent, patch):
    """The critic reads a blend of its own features and the actor's."""
    plain = agent._actor_loss_features

    def features(batch):
        actor, critic = plain(batch)
        return actor, critic + 0.01 * actor

    agent._actor_loss_features = features


def crossed_without_gradient(agent, patch):
    """No gradient passes, but the actor is still scored on features the critic does not know."""
    plain = agent._actor_loss_features

    def features(batch):
        actor, _ = plain(batch)
        return actor, actor.detach()

    agent._actor_loss_features = features


def target_of_the_critic_alone_follows(agent, patch):
    agent._targets, agent._online = list(agent.target_critic.parameters()), list(agent.critic.parameters())


def target_is_the_network(agent, patch):
    agent.target_critic = agent.critic
    agent._targets, agent._online = list(agent.target_actor.parameters()), list(agent.actor.parameters())


def slow_scheduler(agent, patch):
    """A rate that is lowered at the moment of the step."""
    agent.actor_optimizer.register_step_pre_hook(
        lambda optimizer, *_: [group.update(lr=1e-5) for group in optimizer.param_groups] and None
    )


def features_detached(agent, patch):
    agent.critic.encoder.cnn.register_forward_hook(lambda module, inputs, output: output.detach())


PATCHES = {
    never_clip: "H1",
    clip_each_tensor_alone: "H2",
    second_optimiser_for_the_cnn: "H2",
    zero_only_once: "H3",
    head_in_two_optimisers: "H4",
    mean_of_norms: "H5",
    half_crossed: "H6",
    crossed_without_gradient: "H6",
    target_of_the_critic_alone_follows: "stale_target",
    target_is_the_network: "stale_target",
    slow_scheduler: "learning_rate",
    features_detached: "frozen_encoder",
}


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.__name__)
def test_a_patched_fault_is_named_and_nothing_else(patch, monkeypatch):
    agent = patient()
    patch(agent, monkeypatch)
    assert audited(agent).faults == [PATCHES[patch]]


def test_a_norm_of_another_kind_is_not_taken_for_a_known_one(monkeypatch):
    agent = patient()
    mean_of_norms(agent, monkeypatch)
    assert "2 of 6 metrics log no known norm" in finding(audited(agent), "H5").evidence


@pytest.mark.parametrize(
    "pair",
    [
        (never_clip, half_crossed),
        (second_optimiser_for_the_cnn, zero_only_once),
        (mean_of_norms, target_is_the_network),
        (slow_scheduler, features_detached),
        (clip_each_tensor_alone, crossed_without_gradient),
    ],
    ids=lambda pair: "+".join(patch.__name__ for patch in pair),
)
def test_two_at_once(pair, monkeypatch):
    agent = patient()
    for patch in pair:
        patch(agent, monkeypatch)
    assert sorted(audited(agent).faults) == sorted(PATCHES[patch] for patch in pair)


@pytest.mark.slow
def test_the_audit_judges_the_agent_and_not_what_it_was_called(settings):
    """The labels are swapped: a healthy agent under `fault=h6`, a faulty one under a healthy configuration."""
    healthy, crossed, faulty = settings(), settings("wiring=crossed"), settings("fault=h4")
    sizes = (78, 2)
    assert audit_agent(crossed, build_agent(healthy, *sizes), *sizes).healthy
    assert audit_agent(faulty, build_agent(healthy, *sizes), *sizes).healthy
    assert audit_agent(healthy, build_agent(crossed, *sizes), *sizes).faults == ["H6"]
    assert audit_agent(healthy, build_agent(faulty, *sizes), *sizes).faults == ["H4"]


def test_no_line_of_the_doctor_reads_the_keys():
    for path in set(Path(td3sweep.doctor.__file__).parent.glob("*.py")) - {Path(injected.__file__)}:
        read = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not read & {"fault", "wiring", "_wiring"}, path
