"""The audit D0: a few real updates under observation, then a finding for every hypothesis."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from td3sweep.doctor.checks import (
    Finding,
    accumulation,
    clip_before_backward,
    crossed_features,
    loudness,
    lying_metric,
    missing_parameters,
    unclipped_parameters,
)
from td3sweep.doctor.further import followed, frozen_encoder, learning_rate, stale_target
from td3sweep.doctor.learner import ACTOR, CRITIC, Learner, Limit, Snapshot, network_of, parts_by_child
from td3sweep.doctor.spies import observe

OTHER_WEIGHTS = 1.5  # factor on the actor's weights while its actions are held


@dataclass(frozen=True)
class Audit:
    """What an audit found, in the order H1 to H6, then the further faults."""

    findings: tuple[Finding, ...]
    seconds: float

    @property
    def faults(self) -> list[str]:
        """Names of the hypotheses that hold."""
        return [finding.name for finding in self.findings if finding.holds]

    @property
    def evidence(self) -> list[str]:
        """The evidence of each of :attr:`faults`."""
        return [f"{finding.question}: {finding.evidence}" for finding in self.findings if finding.holds]

    @property
    def healthy(self) -> bool:
        """Whether no hypothesis holds."""
        return not self.faults

    @property
    def line(self) -> str:
        """The audit in one line."""
        if self.healthy:
            unmeasured = [finding.name for finding in self.findings if finding.holds is None]
            rest = f"; not measured: {', '.join(unmeasured)}" if unmeasured else ""
            return f"wiring audit: healthy, {len(self.findings)} faults looked for in {self.seconds:.1f} s{rest}"
        return f"wiring audit: {', '.join(self.faults)} in {self.seconds:.1f} s"

    def as_dict(self) -> dict[str, Any]:
        """Plain values: `healthy` and, by hypothesis, `holds` (null: not measured) and `evidence`."""
        return {
            "healthy": self.healthy,
            "hypotheses": {
                finding.name: {"question": finding.question, "holds": finding.holds, "evidence": finding.evidence}
                for finding in self.findings
            },
        }


def audit(
    *,
    actor: nn.Module,
    critic: nn.Module,
    optimisers: Mapping[str, torch.optim.Optimizer],
    update: Callable[[], Mapping[str, float] | None],
    policy: nn.Module | None = None,
    target_actor: nn.Module | None = None,
    target_critic: nn.Module | None = None,
    limits: Mapping[str, Limit] | None = None,
    learning_rates: Mapping[str, float] | None = None,
    tau: float | None = None,
    norms: Mapping[str, Sequence[nn.Parameter]] | None = None,
    stateful: Sequence[Any] = (),
) -> Audit:
    """Audit anybody's TD3 or DDPG learner; it is left exactly as it was.

    Args:
        actor: policy network.
        critic: Q network or networks in one module.
        optimisers: every optimiser, by a name of your choice.
        update: runs one whole update on one fixed batch, actor step and target update included, and may return the
            metrics it logs. It must do the same each time: draw noise from torch's global generator, which the
            audit rewinds, or from one inside `stateful`.
        policy: module whose output is the action, or from which alone the action is made; `actor` if left out.
            It must be called as a module (`policy(x)`), as the audit listens there.
        target_actor: target copy of the actor; without either target they are not judged.
        target_critic: target copy of the critic.
        limits: gradient limits asked for, by `actor` and `critic`; without them H1 can hardly be measured.
        learning_rates: rates asked for, by `actor` and `critic`.
        tau: share that targets take over in an update.
        norms: for each logged metric that claims to be an L2 norm of stepped gradients, their parameters.
        stateful: other things an update changes (scheduler, scaler), with `state_dict` and `load_state_dict`.

    Raises:
        TypeError: the policy module gives something other than one tensor.
    """
    networks = {ACTOR: actor, CRITIC: critic}
    given = {ACTOR: target_actor, CRITIC: target_critic}
    targets = {network: target for network, target in given.items() if target is not None}
    learner = Learner(
        networks,
        optimisers,
        update,
        policy=actor if policy is None else policy,
        targets=targets or None,
        parts=parts_by_child(networks),
        limits=limits or {},
        learning_rates=learning_rates or {},
        tau=tau,
        stateful=stateful,
    )
    names = {id(parameter): name for name, parameter in learner.parameters().items()}
    claims = {metric: [names[id(p)] for p in group] for metric, group in (norms or {}).items()}
    return examine(Learner(**{**vars(learner), "norms": claims}))


def examine(learner: Learner) -> Audit:
    """Audit a learner: six updates or seven, each from the same state, which is put back in the end."""
    started = time.perf_counter()
    snapshot = Snapshot(learner)
    try:
        first = observe(learner)
        snapshot.restore(gradients=False)
        repeat = observe(learner)
        snapshot.restore()
        loud = observe(learner, amplify=loudness(learner, first))
        snapshot.restore()
        _other_actor(learner)
        blind = observe(learner, held=first.actions)
        deaf = None
        if any(g is not None and g.any() for g in map(blind.delivered, _own(learner))):
            snapshot.restore()
            _other_actor(learner)
            deaf = observe(learner, held=first.actions, cut_critic=True)
        snapshot.restore()
        shares = followed(learner)
    finally:
        snapshot.restore()
    findings = (
        clip_before_backward(learner, loud),
        unclipped_parameters(learner, loud),
        accumulation(learner, first, repeat),
        missing_parameters(learner),
        lying_metric(learner, loud),
        crossed_features(learner, first, blind, deaf),
        stale_target(learner, first, shares),
        learning_rate(learner, first),
        frozen_encoder(learner, first),
    )
    return Audit(findings, time.perf_counter() - started)


def _own(learner: Learner) -> list[str]:
    """Names of parameters that the actor alone has."""
    return [name for name in learner.parameters() if network_of(name) == ACTOR]


@torch.no_grad()
def _other_actor(learner: Learner) -> None:
    parameters = learner.parameters()
    for name in _own(learner):
        parameters[name].mul_(OTHER_WEIGHTS)
