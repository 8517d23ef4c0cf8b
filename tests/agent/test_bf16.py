"""bfloat16 against the float32 reference, and the probe that says which is faster."""

import pytest
import torch
from agents import make_agent, make_batch, parameters, same

from td3sweep.agent.compiled import bf16_speed_up


@pytest.mark.parametrize(("cnn", "updates"), [("nature", 20), ("pooled", 4)])
def test_losses_stay_within_tolerance_of_float32(cnn, updates):
    agents = [make_agent(cnn=cnn, actor_lr=1e-4, critic_lr=1e-4, precision=p) for p in ("fp32", "bf16")]
    batches = [make_batch(4, seed=seed) for seed in range(4)]
    for step in range(updates):
        exact, rough = (agent.update(batches[step % 4]) for agent in agents)
        assert rough["loss/critic"].item() == pytest.approx(exact["loss/critic"].item(), rel=0.05)
        assert rough["q/target"].item() == pytest.approx(exact["q/target"].item(), abs=0.02)
    assert exact["loss/critic"].item() != rough["loss/critic"].item()
    assert rough["q/actor"].item() == pytest.approx(exact["q/actor"].item(), abs=0.05)
    assert all(p.dtype == torch.float32 for p in agents[1].critic.parameters())


def test_the_probe_answers_and_leaves_the_network_alone():
    cnn = make_agent().critic.encoder.cnn
    before = parameters(cnn)
    assert bf16_speed_up(cnn, torch.device("cpu"), batch=2, repeats=1) > 0
    assert cnn.bf16 is False
    assert same(parameters(cnn), before)
    assert all(p.grad is None for p in cnn.parameters())
