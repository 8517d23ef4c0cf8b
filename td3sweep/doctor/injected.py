"""Known faults, put into a healthy agent on purpose: to test the doctor and the monitor, and to study the damage.

Nothing here is ever active unless a run asks for it by name; every output of such a run says so. The doctor does not
read which fault was asked for: it has to find it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.utils import get_total_norm

from td3sweep.agent.gradients import Clip, Metrics, clip_gradients
from td3sweep.agent.td3 import TD3

LR_FACTOR = 100.0


def inject(agent: TD3, fault: str) -> None:
    """Put one of :data:`FAULTS` into a built agent, in place; `none` leaves it alone.

    Raises:
        KeyError: no such fault.
    """
    if fault != "none":
        FAULTS[fault][1](agent)


def _clip_before_backward(agent: TD3) -> None:
    """Clips what the step before left behind, and steps what comes after unclipped."""
    clip, agent._clip = agent._clip, Clip("off", agent._clip.actor, agent._clip.critic)
    for optimizer, parts, limit, name in (
        (agent.actor_optimizer, agent._actor_parts, clip.actor, "actor"),
        (agent.critic_optimizer, agent._critic_parts, clip.critic, "critic"),
    ):

        def zero_grad(
            set_to_none: bool = True,
            *,
            _zero: Any = optimizer.zero_grad,
            _parts: Any = parts,
            _limit: float = limit,
            _name: str = name,
        ) -> None:
            if any(p.grad is not None for part in _parts.values() for p in part):
                clip_gradients(_parts, clip.kind, _limit, _name)
            _zero(set_to_none)

        vars(optimizer)["zero_grad"] = zero_grad


def _unclipped_cnn(agent: TD3) -> None:
    """The clip sees memory and head; the CNN is stepped as it comes."""
    agent._actor_parts = {part: group for part, group in agent._actor_parts.items() if part != "cnn"}
    agent._critic_parts = {part: group for part, group in agent._critic_parts.items() if part != "cnn"}


def _accumulate(agent: TD3) -> None:
    """Gradients are never zeroed."""
    for optimizer in (agent.actor_optimizer, agent.critic_optimizer):
        vars(optimizer)["zero_grad"] = lambda set_to_none=True: None


def _missing_parameters(agent: TD3) -> None:
    """The policy's first hidden layer is in no optimiser."""
    left_out = {id(p) for p in agent.actor.head.mlp[0].parameters()}
    for group in agent.actor_optimizer.param_groups:
        group["params"] = [p for p in group["params"] if id(p) not in left_out]


def _before_logged_as_after(agent: TD3) -> None:
    """Logs the norm that clipping returns, which is the one before it, as the norm after it."""

    def relabel(metrics: Metrics, name: str) -> Metrics:
        return {key: metrics[_before(key)] if _is_norm(key, name) else value for key, value in metrics.items()}

    _rewrite_metrics(agent, relabel)


def _sum_of_norms(agent: TD3) -> None:
    """Logs the sum of per-tensor norms as the norm after clipping, as the described system did."""

    def add_up(metrics: Metrics, name: str) -> Metrics:
        parts = agent._actor_parts if name == "actor" else agent._critic_parts
        sums = {
            part: torch.stack([get_total_norm([p.grad]) for p in group if p.grad is not None]).sum()
            for part, group in parts.items()
        }
        sums["joint"] = torch.stack(list(sums.values())).sum()
        return metrics | {f"grad/{name}/{part}/after": total for part, total in sums.items()}

    _rewrite_metrics(agent, add_up)


def _crossed_features(agent: TD3) -> None:
    """The actor's loss feeds the actor's features to the critic's head; the same as `wiring=crossed`."""
    agent._wiring = "crossed"


def _stale_target(agent: TD3) -> None:
    """Targets never follow."""
    vars(agent)["_soft_update"] = lambda: None


def _hundredfold_rates(agent: TD3) -> None:
    """Every learning rate is a hundred times what was asked for."""
    for optimizer in (agent.actor_optimizer, agent.critic_optimizer):
        for group in optimizer.param_groups:
            group["lr"] *= LR_FACTOR
            group["initial_lr"] *= LR_FACTOR


def _frozen_encoder(agent: TD3) -> None:
    """No gradient passes the critic's CNN's output."""

    def cut(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
        if output.requires_grad:
            output.register_hook(torch.zeros_like)  # type: ignore[no-untyped-call]

    agent.critic.encoder.cnn.register_forward_hook(cut)


def _rewrite_metrics(agent: TD3, rewrite: Callable[[Metrics, str], Metrics]) -> None:
    for method, name in (("_actor_step", "actor"), ("_critic_step", "critic")):
        plain = getattr(agent, method)

        def step(*arguments: Any, _plain: Any = plain, _name: str = name) -> Metrics:
            return rewrite(_plain(*arguments), _name)

        vars(agent)[method] = step


def _is_norm(key: str, name: str) -> bool:
    return key.startswith(f"grad/{name}/") and key.endswith("/after") and not key.endswith("/max/after")


def _before(key: str) -> str:
    return key.removesuffix("/after") + "/before"


# By the name it is asked for: the finding that the doctor must come to, and how it is put in.
FAULTS: dict[str, tuple[str, Callable[[TD3], None]]] = {
    "h1": ("H1", _clip_before_backward),
    "h2": ("H2", _unclipped_cnn),
    "h3": ("H3", _accumulate),
    "h4": ("H4", _missing_parameters),
    "h5": ("H5", _before_logged_as_after),
    "h6": ("H6", _crossed_features),
    "sum_of_norms": ("H5", _sum_of_norms),
    "stale_target": ("stale_target", _stale_target),
    "lr_x100": ("learning_rate", _hundredfold_rates),
    "frozen_encoder": ("frozen_encoder", _frozen_encoder),
}
