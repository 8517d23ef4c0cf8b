"""Watch one update from outside: what reached each parameter, what was stepped, what the critic read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn

from td3sweep.doctor.learner import ACTOR, CRITIC, Learner, network_of

CHANGED = 1e-3  # relative change by which a gradient counts as touched


@dataclass
class SpiedStep:
    """One parameter in one optimiser step.

    Attributes:
        optimiser: its name.
        lr: rate that the optimiser held.
        delivered: gradient [as the parameter] after the last backward pass, None where none reached it.
        gradient: gradient that was stepped, None for none.
        moved: largest change of a weight.
    """

    optimiser: str
    lr: float
    delivered: torch.Tensor | None
    gradient: torch.Tensor | None
    moved: float = 0.0

    @cached_property
    def touched(self) -> bool:
        """Whether something changed the gradient between the backward pass and the step."""
        if self.delivered is None or self.gradient is None:
            return False
        change = (self.gradient - self.delivered).norm() / self.delivered.norm().clamp(min=1e-38)
        return bool(change > CHANGED)


@dataclass
class Trace:
    """What one update did.

    Attributes:
        events: (`zero_grad` | `backward` | `clip` | `step`, network), in order, repetitions left out.
        steps: the last step of each parameter that an optimiser holds.
        unstepped: the same for parameters that no optimiser holds, when their network was stepped.
        pending: gradients delivered after a parameter's last step, or without one.
        leftover: gradients that stand when the update is over.
        metrics: what the update logged.
        critic_inputs: (module, norm, sum) of every tensor that a module inside the critic read.
        actions: what the policy module gave.
        targets_read: networks whose target copy was read.
    """

    events: list[tuple[str, str]] = field(default_factory=list)
    steps: dict[str, SpiedStep] = field(default_factory=dict)
    unstepped: dict[str, SpiedStep] = field(default_factory=dict)
    pending: dict[str, torch.Tensor] = field(default_factory=dict)
    leftover: dict[str, torch.Tensor] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    critic_inputs: list[tuple[str, float, float]] = field(default_factory=list)
    actions: list[torch.Tensor] = field(default_factory=list)
    targets_read: set[str] = field(default_factory=set)

    def note(self, event: str, network: str) -> None:
        """Append an event unless it repeats the last one."""
        if not self.events or self.events[-1] != (event, network):
            self.events.append((event, network))

    def order(self, network: str) -> str:
        """A network's calls up to its step, such as `zero_grad > backward > clip > step`."""
        calls = [event for event, of in self.events if of == network]
        return " > ".join(calls[: calls.index("step") + 1] if "step" in calls else calls) or "nothing"

    def delivered(self, name: str) -> torch.Tensor | None:
        """The gradient that a backward pass brought to a parameter."""
        step = self.steps.get(name)
        if step is not None and step.delivered is not None:
            return step.delivered
        return self.pending.get(name)

    def stepped(self, network: str) -> dict[str, SpiedStep]:
        """Steps of a network's parameters that a gradient other than 0 reached."""
        return {
            name: step
            for name, step in self.steps.items()
            if network_of(name) == network and step.delivered is not None and bool(step.delivered.any())
        }


def observe(
    learner: Learner,
    *,
    amplify: Mapping[str, float] | None = None,
    held: Sequence[torch.Tensor] | None = None,
    cut_critic: bool = False,
) -> Trace:
    """Run one update and watch it.

    Args:
        learner: whose update.
        amplify: factors on the gradients that reach parameters, as a larger loss would have.
        held: actions that the policy gives instead of its own, without passing a gradient on: what still reaches
            the actor's parameters came past the action.
        cut_critic: let no gradient pass out of the critic.
    """
    trace, parameters = Trace(), learner.parameters()
    with ExitStack() as spies:
        for name, parameter in parameters.items():
            if parameter.requires_grad:
                _spy_parameter(spies, trace, name, parameter, (amplify or {}).get(name))
        for name, optimiser in learner.optimisers.items():
            _spy_optimiser(spies, trace, name, optimiser, parameters)
        _hook(spies, learner.policy.register_forward_hook, _policy_hook(trace, held))
        for name, module in learner.networks[CRITIC].named_modules():
            _hook(spies, module.register_forward_pre_hook, _input_hook(trace, name))
            if cut_critic:
                _hook(spies, module.register_forward_hook, _cut)
        for network, target in (learner.targets or {}).items():
            for module in target.modules():
                _hook(spies, module.register_forward_pre_hook, _reading_hook(trace, network))
        trace.metrics = dict(learner.update() or {})
    trace.leftover = {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}
    return trace


def _hook(spies: ExitStack, register: Callable[..., Any], hook: Callable[..., Any]) -> None:
    spies.callback(register(hook).remove)


def _spy_parameter(spies: ExitStack, trace: Trace, name: str, parameter: nn.Parameter, factor: float | None) -> None:
    def delivered(p: torch.Tensor) -> None:
        assert p.grad is not None
        trace.pending[name] = p.grad.detach().clone()
        trace.note("backward", network_of(name))

    if factor is not None:
        _hook(spies, parameter.register_hook, lambda gradient: gradient * factor)
    _hook(spies, parameter.register_post_accumulate_grad_hook, delivered)


def _spy_optimiser(
    spies: ExitStack,
    trace: Trace,
    label: str,
    optimiser: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
) -> None:
    names = {id(p): name for name, p in parameters.items()}
    weights: dict[str, torch.Tensor] = {}

    def held() -> list[tuple[str, nn.Parameter, float]]:
        groups = optimiser.param_groups
        return [(names[id(p)], p, float(group["lr"])) for group in groups for p in group["params"] if id(p) in names]

    def before(*_: Any) -> None:
        networks = set()
        for name, p, lr in held():
            gradient = None if p.grad is None else p.grad.detach().clone()
            step = trace.steps[name] = SpiedStep(label, lr, trace.pending.pop(name, None), gradient)
            weights[name] = p.detach().clone()
            networks.add(network_of(name))
            if step.touched:
                trace.note("clip", network_of(name))
        for network in networks:
            trace.note("step", network)
        for name, p in parameters.items():
            if network_of(name) in networks and name not in trace.steps and p.grad is not None:
                trace.unstepped[name] = SpiedStep("", 0.0, trace.pending.get(name), p.grad.detach().clone())

    def after(*_: Any) -> None:
        for name, p, _lr in held():
            if name in weights:
                trace.steps[name].moved = float((p.detach() - weights.pop(name)).abs().max())

    def zero_grad(*arguments: Any, _zero: Any = optimiser.zero_grad, **options: Any) -> None:
        for network in sorted({network_of(name) for name, _, _ in held()}):
            trace.note("zero_grad", network)
        _zero(*arguments, **options)

    _hook(spies, optimiser.register_step_pre_hook, before)
    _hook(spies, optimiser.register_step_post_hook, after)
    own = vars(optimiser).get("zero_grad")
    vars(optimiser)["zero_grad"] = zero_grad
    spies.callback(lambda: vars(optimiser).update(zero_grad=own) if own else vars(optimiser).pop("zero_grad"))


def _policy_hook(trace: Trace, held: Sequence[torch.Tensor] | None) -> Callable[..., torch.Tensor]:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> torch.Tensor:
        if not isinstance(output, torch.Tensor):
            raise TypeError(f"{ACTOR}: `policy` must be a module that gives one tensor, not {type(output).__name__}")
        place = len(trace.actions)
        trace.actions.append(output.detach().clone())
        if held is None:
            return output
        action: torch.Tensor = output
        if place < len(held) and held[place].shape == output.shape:
            action = output + (held[place] - output).detach()
        _cut(_module, _inputs, action)
        return action

    return hook


def _input_hook(trace: Trace, name: str) -> Callable[..., None]:
    def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        for value in inputs:
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                read = value.detach().float()
                trace.critic_inputs.append((name, float(read.norm()), float(read.sum())))

    return hook


def _reading_hook(trace: Trace, network: str) -> Callable[..., None]:
    def hook(*_: Any) -> None:
        trace.targets_read.add(network)

    return hook


def _cut(_module: nn.Module, _inputs: Any, output: Any) -> None:
    if isinstance(output, torch.Tensor) and output.requires_grad:
        output.register_hook(torch.zeros_like)  # type: ignore[no-untyped-call]
