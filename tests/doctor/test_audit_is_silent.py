"""An audit leaves no trace: the training that follows is the same to the bit."""

import random

import numpy as np
import pytest
import torch
from patients import audited, batch_for, patient


def same(one, two):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


@pytest.mark.parametrize("changes", [{}, {"memory": "gru"}, {"aug": "shift4", "wiring": "crossed"}], ids=str)
def test_training_after_an_audit_is_bitwise_the_same(changes):
    memory = changes.get("memory", "none")
    plain, examined = patient(**changes), patient(**changes)
    hooks = [len(module._forward_hooks) for module in examined.actor.modules()]
    audited(examined, memory=memory)
    assert same(plain.state_dict(), examined.state_dict())
    assert all(p.grad is None for p in [*examined.actor.parameters(), *examined.critic.parameters()])
    assert [len(module._forward_hooks) for module in examined.actor.modules()] == hooks
    assert "zero_grad" not in vars(examined.actor_optimizer)
    batch = batch_for(plain, memory)
    for _ in range(4):
        one, two = plain.update(batch), examined.update(batch)
        assert same(one, two)
    assert same(plain.state_dict(), examined.state_dict())


def test_an_agent_in_the_middle_of_training_is_put_back_too():
    plain, examined = patient(), patient()
    batch = batch_for(plain)
    for agent in (plain, examined):
        for _ in range(3):
            agent.update(batch)
    audited(examined)
    assert examined.updates == 3
    assert same([p.grad for p in plain.critic.parameters()], [p.grad for p in examined.critic.parameters()])
    for _ in range(2):
        assert same(plain.update(batch), examined.update(batch))
    assert same(plain.state_dict(), examined.state_dict())


def test_global_generators_are_put_back():
    agent = patient()
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    audited(agent)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert before[2] == random.getstate()


def test_an_update_that_raises_leaves_everything_as_it_was():
    plain, broken = patient(), patient()
    calls = []

    def failing(batch, *, train_actor=True):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of memory")
        return type(broken).update(broken, batch, train_actor=train_actor)

    broken.update = failing
    with pytest.raises(RuntimeError, match="out of memory"):
        audited(broken)
    assert same(plain.state_dict(), broken.state_dict())
    assert all(not p._backward_hooks for p in broken.actor.parameters())


def test_the_audit_is_cheap():
    assert audited(patient()).seconds < 10.0  # about .6 s on one core of a laptop
