"""What is audited: networks, optimisers and one update, and how to put all of it back as it was."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

ACTOR, CRITIC = "actor", "critic"
LimitKind = Literal["joint", "per_module", "value", "off"]


@dataclass(frozen=True)
class Limit:
    """A gradient limit asked for: on the L2 norm of a network (`joint`), of each part, on each number, or none."""

    kind: LimitKind
    value: float = 0.0


@dataclass(frozen=True)
class Learner:
    """Somebody's TD3, as the audit sees it.

    Attributes:
        networks: the trained networks, `actor` and `critic`.
        optimisers: every optimiser by name.
        update: one whole update on one fixed batch, actor step and target update included; returns the metrics it
            logs. Random numbers come from generators that `stateful` or torch's global state hold.
        policy: module inside the actor whose output is the action, or from which alone the action is made.
        targets: target copies by network; None where the learner gave none.
        parts: parameter names by `network/part`.
        limits: gradient limits asked for, by network.
        learning_rates: rates asked for, by `network/part` or network.
        tau: share a target is asked to take over in one update; None if unknown.
        norms: parameter names by the metric that claims to be the L2 norm of their gradients as they are stepped.
        stateful: whatever else an update changes, with `state_dict` and `load_state_dict`.
    """

    networks: Mapping[str, nn.Module]
    optimisers: Mapping[str, torch.optim.Optimizer]
    update: Callable[[], Mapping[str, float] | None]
    policy: nn.Module
    targets: Mapping[str, nn.Module] | None = None
    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    limits: Mapping[str, Limit] = field(default_factory=dict)
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    tau: float | None = None
    norms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    stateful: Sequence[Any] = ()

    def parameters(self) -> dict[str, nn.Parameter]:
        """Every parameter of the trained networks once, as `network.name`; a shared one belongs to the critic."""
        found: dict[str, nn.Parameter] = {}
        seen: set[int] = set()
        for network in sorted(self.networks, reverse=True):  # the critic comes first
            for name, parameter in self.networks[network].named_parameters():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    found[f"{network}.{name}"] = parameter
        return found

    def part_of(self, name: str) -> str:
        """The part that a parameter belongs to."""
        return next((part for part, names in self.parts.items() if name in names), network_of(name))


def network_of(name: str) -> str:
    """`critic` of `critic.head.mlp1.0.weight`."""
    return name.partition(".")[0]


def parts_by_child(networks: Mapping[str, nn.Module]) -> dict[str, list[str]]:
    """Parts of networks nobody described: their direct children."""
    parts: dict[str, list[str]] = {}
    for network, module in networks.items():
        for name, _ in module.named_parameters():
            child, _, rest = name.partition(".")
            parts.setdefault(f"{network}/{child}" if rest else network, []).append(f"{network}.{name}")
    return parts


class Snapshot:
    """Everything an update may change, to be put back exactly: weights, moments, gradients, generators."""

    def __init__(self, learner: Learner) -> None:
        modules = [*learner.networks.values(), *(learner.targets or {}).values()]
        objects = [*modules, *learner.optimisers.values(), *learner.stateful]
        self._states = [(item, copy.deepcopy(item.state_dict())) for item in objects]
        parameters = [p for module in modules for p in module.parameters()]
        self._gradients = [(p, None if p.grad is None else p.grad.clone()) for p in parameters]
        self._torch, self._numpy, self._python = torch.get_rng_state(), np.random.get_state(), random.getstate()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None

    def restore(self, *, gradients: bool = True) -> None:
        """Put everything back; `gradients=False` leaves those as they are."""
        for item, state in self._states:
            # A module copies what it loads; an optimiser may take the saved tensors for its own.
            item.load_state_dict(state if isinstance(item, nn.Module) else copy.deepcopy(state))
        if gradients:
            for parameter, gradient in self._gradients:
                parameter.grad = None if gradient is None else gradient.clone()
        torch.set_rng_state(self._torch)
        np.random.set_state(self._numpy)
        random.setstate(self._python)
        if self._cuda is not None:
            torch.cuda.set_rng_state_all(self._cuda)
