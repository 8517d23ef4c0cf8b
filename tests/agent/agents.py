"""Small agents and random batches for the tests of this folder."""

import torch

from td3sweep.agent import TD3, Clip, build_td3
from td3sweep.replay import Batch


def make_agent(*, seed=0, **changes) -> TD3:
    arguments = {
        "cnn": "nature",
        "vector_size": 3,
        "action_size": 2,
        "hidden": (32, 32),
        "tau": 0.01,
        "actor_lr": 1e-3,
        "critic_lr": 1e-3,
        "clip": Clip("off"),
    }
    return build_td3(**{**arguments, **changes}, seed=seed)


def make_batch(rows=3, *, length=1, burn_in=0, n_step=1, vector_size=3, state_size=0, seed=0) -> Batch:
    """Random windows without padding; feed-forward where `state_size` is 0."""
    g = torch.Generator().manual_seed(seed)
    window = burn_in + length + n_step if state_size else 2
    place = torch.arange(length).expand(rows, length)
    return Batch(
        images=torch.randint(0, 256, (rows, window, 4, 84, 84), dtype=torch.uint8, generator=g),
        vectors=torch.randn(rows, window, vector_size, generator=g),
        previous=torch.rand(rows, window, 2, generator=torch.Generator().manual_seed(seed + 1000)) * 2 - 1,
        actions=torch.rand(rows, length, 2, generator=g) * 2 - 1,
        meant=torch.full((rows, length, 2), float("nan")),
        rewards=torch.randn(rows, length, generator=g),
        discounts=torch.full((rows, length), 0.9),
        next_index=burn_in + place + n_step if state_size else torch.ones(rows, 1, dtype=torch.int64),
        mask=torch.ones(rows, length),
        states=torch.randn(rows, state_size, generator=g),
        burn_in=torch.full((rows,), burn_in),
        weights=torch.ones(rows),
        index=torch.arange(rows),
        start=burn_in,
    )


def parameters(module) -> list[torch.Tensor]:
    """Detached copies."""
    return [p.detach().clone() for p in module.parameters()]


def same(first, second) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def constant_q(agent: TD3, q1: float, q2: float, *, target: bool) -> None:
    """Make a critic answer two constants everywhere."""
    head = (agent.target_critic if target else agent.critic).head
    with torch.no_grad():
        for mlp, value in ((head.mlp1, q1), (head.mlp2, q2)):
            mlp[-1].weight.zero_()
            mlp[-1].bias.fill_(value)
