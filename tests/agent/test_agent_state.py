"""Saving and loading an agent: complete to the bit, or refused before anything changes."""

import copy
import io

import numpy as np
import pytest
import torch
from agents import make_agent, make_batch, parameters, same

from td3sweep.agent import MPGTarget
from td3sweep.errors import UserError


def through_disk(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def batches(count, memory):
    if memory == "none":
        return [make_batch(2, seed=seed) for seed in range(count)]
    return [make_batch(2, length=2, burn_in=1, state_size=32, seed=seed) for seed in range(count)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("memory", ["none", "lstm"])
def test_a_loaded_agent_goes_on_bit_for_bit(memory, precision):
    def fresh(seed):
        return make_agent(
            memory=memory, memory_size=8, target_rule=MPGTarget(), precision=precision, aug="shift4",
            actor_cnn_lr=1e-4, weight_decay=0.01, seed=seed,
        )  # fmt: skip

    original, loaded = fresh(0), fresh(99)
    todo = batches(6, memory)
    observation = {"image": todo[0].images[0, 0].numpy(), "vector": todo[0].vectors[0, 0].numpy()}
    for batch in todo[:3]:
        original.update(batch)
        original.act(observation, original.initial_state(), 0.2)
    loaded.load_state_dict(through_disk(original.state_dict()))
    for batch in todo[3:]:
        one, two = original.update(batch), loaded.update(batch)
        assert {k: v.item() for k, v in one.items()} == {k: v.item() for k, v in two.items()}
        a = original.act(observation, original.initial_state(), 0.2)
        b = loaded.act(observation, loaded.initial_state(), 0.2)
        np.testing.assert_array_equal(a[0], b[0])
    for name in ("actor", "critic", "target_actor", "target_critic"):
        assert same(parameters(getattr(original, name)), parameters(getattr(loaded, name)))
    assert loaded.updates == 6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trunk": 50}, r"actor\.head\.trunk\.0\.weight has shape None"),
        ({"hidden": (32, 16)}, r"actor\.head\.mlp\.2\.weight has shape \(32, 32\)"),
        ({"memory": "gru", "memory_size": 8}, r"actor\.encoder\.memory\.gru\.weight_ih_l0 has shape None"),
        ({"wiring": "critic_only"}, r"actor\.encoder\.cnn\.convolutions\.0\.weight has shape \(32, 4, 8, 8\)"),
    ],
)
def test_another_architecture_is_refused_and_nothing_changes(changes, words):
    agent = make_agent(**changes)
    kept = parameters(agent.actor)
    with pytest.raises(UserError, match=words):
        agent.load_state_dict(make_agent(seed=5).state_dict())
    assert same(parameters(agent.actor), kept)


def test_a_state_without_an_agent_is_refused():
    with pytest.raises(UserError, match="actor is missing"):
        make_agent().load_state_dict({})


def test_moments_of_another_memory_layout_are_laid_out_anew():
    """Fused kernels read raw memory; a state saved from contiguous weights must not be taken as it is."""
    original, loaded = make_agent(seed=0), make_agent(seed=1)
    original.update(make_batch(seed=0))
    state = copy.deepcopy(original.state_dict())
    for moments in state["critic_optimizer"]["state"].values():
        for key in ("exp_avg", "exp_avg_sq"):
            moments[key] = moments[key].clone(memory_format=torch.contiguous_format)
    loaded.load_state_dict(state)
    for agent in (original, loaded):
        agent.update(make_batch(seed=1))
    assert same(parameters(original.critic), parameters(loaded.critic))
