"""The described document's six hypotheses on clipping and wiring, each proved or refuted by what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from td3sweep.doctor.learner import ACTOR, Learner, Limit, network_of
from td3sweep.doctor.spies import Trace

TOLERANCE = 1e-3  # relative; of norms and limits
LOUD = 100.0  # times its limit: the norm that a tensor's gradient is brought to, so that the clip must bind
UNLIMITED = 1e4  # and where no limit is known


@dataclass(frozen=True)
class Finding:
    """One hypothesis.

    Attributes:
        name: `H1` to `H6`, or the name of a further fault.
        question: what it claims.
        holds: True where the fault is there; None where it could not be measured.
        evidence: the numbers, in words.
    """

    name: str
    question: str
    holds: bool | None
    evidence: str


def loudness(learner: Learner, first: Trace) -> dict[str, float]:
    """Factor for every parameter's gradient that takes it far beyond its limit."""
    factors = {}
    for name in learner.parameters():
        gradient = first.delivered(name)
        limit = learner.limits.get(network_of(name), Limit("off"))
        goal = UNLIMITED if limit.kind == "off" else LOUD * limit.value
        size = 0.0 if gradient is None else _size([gradient], limit.kind)
        if 0.0 < size < float("inf"):
            factors[name] = goal / size
    return factors


def clip_before_backward(learner: Learner, loud: Trace) -> Finding:
    """H1: no clip acts between the backward pass and the step, though one was asked for."""
    holds, evidence = False, []
    unknown = not learner.limits
    for network in learner.networks:
        steps, limit = loud.stepped(network), learner.limits.get(network)
        order = loud.order(network)
        late = [name for name, g in loud.pending.items() if network_of(name) == network and bool(g.any())]
        lost = [name for name, step in steps.items() if step.gradient is None or not bool(step.gradient.any())]
        if (not steps and late) or lost:
            holds = True
            evidence.append(f"{network}: {order}: the gradient does not reach the step")
            continue
        if limit is None:
            evidence.append(f"{network}: {order}, no limit is known")
            continue
        before = _size([s.delivered for s in steps.values()], "joint")
        after = _size([s.gradient for s in steps.values()], "joint")
        if limit.kind == "off":
            evidence.append(f"{network}: {order}, no clip asked for")
            continue
        untouched = bool(steps) and not any(step.touched for step in steps.values())
        holds |= untouched
        evidence.append(
            f"{network}: {order}, L2 {before:.4g} after an amplified backward, {after:.4g} stepped "
            f"({limit.kind} limit {limit.value:g})" + (", no clip in between" if untouched else "")
        )
    return Finding("H1", "clip before backward", None if unknown and not holds else holds, "; ".join(evidence))


def unclipped_parameters(learner: Learner, loud: Trace) -> Finding:
    """H2: something is stepped that the clip left out, or the clipped sets are not those asked for."""
    faults, fine = [], []
    for network in learner.networks:
        steps = loud.stepped(network)
        limit = learner.limits.get(network)
        clipped = [name for name, step in steps.items() if step.touched]
        missed = [name for name, step in steps.items() if not step.touched]
        optimisers = ", ".join(sorted({step.optimiser for step in steps.values()})) or "none"
        if limit is not None and limit.kind == "off":
            if clipped:
                faults.append(f"{network}: {len(clipped)} of {len(steps)} tensors are changed, though clip is off")
            continue
        if clipped and missed:
            norm = _size([steps[name].gradient for name in missed], "joint")
            faults.append(
                f"{network}: {len(missed)} of {len(steps)} stepped tensors are not clipped "
                f"({_parts(learner, missed)}, optimiser {optimisers}), stepped with L2 {norm:.4g}"
            )
        elif clipped:
            worst = _worst(learner, limit, {name: steps[name].gradient for name in steps})
            if limit is not None and worst > limit.value * (1 + TOLERANCE):
                faults.append(
                    f"{network}: all {len(steps)} tensors are clipped, but not as one set: "
                    f"{worst:.4g} is stepped, the {limit.kind} limit is {limit.value:g}"
                )
            else:
                fine.append(f"{network}: {len(clipped)} of {len(steps)} stepped tensors clipped, {worst:.4g} stepped")
    if not faults and not fine and any(limit.kind == "off" for limit in learner.limits.values()):
        fine.append("no clip asked for, none seen")
    unknown = not learner.limits and not faults
    text = "; ".join(faults or fine) or "nothing was clipped"
    return Finding("H2", "stepped but not clipped", None if unknown and not fine else bool(faults), text)


def accumulation(learner: Learner, first: Trace, repeat: Trace) -> Finding:
    """H3: a second, identical update finds the gradient of the first still there."""
    holds, evidence = False, []
    for network in learner.networks:
        carried, left, norms = 0.0, 0.0, (0.0, 0.0)
        for name in first.stepped(network):
            one, two, old = first.delivered(name), repeat.delivered(name), first.leftover.get(name)
            assert one is not None
            norms = (norms[0] + square(one), norms[1] + (0.0 if two is None else square(two)))
            if two is not None and old is not None:
                carried += float(((two - one) * old).sum())
                left += square(old)
        share = carried / left if left > 0.0 else 0.0
        holds |= share > 0.5
        evidence.append(
            f"{network}: gradient L2 {norms[0] ** 0.5:.4g}, in an identical second step {norms[1] ** 0.5:.4g}, "
            f"{abs(share):.3g} of what the first left carried over"
        )
    return Finding("H3", "gradients accumulate", holds, "; ".join(evidence))


def missing_parameters(learner: Learner) -> Finding:
    """H4: a trainable parameter is in no optimiser, or in two."""
    homes: dict[int, list[str]] = {}
    for label, optimiser in learner.optimisers.items():
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                homes.setdefault(id(parameter), []).append(label)
    trainable = {name: p for name, p in learner.parameters().items() if p.requires_grad}
    missing = [name for name, p in trainable.items() if id(p) not in homes]
    twice = [name for name, p in trainable.items() if len(homes.get(id(p), ())) > 1]
    faults = []
    if missing:
        faults.append(f"{len(missing)} of {len(trainable)} trainable tensors in no optimiser: {_some(missing)}")
    if twice:
        faults.append(f"{len(twice)} in more than one: {_some(twice)}")
    counts = ", ".join(
        f"{label} {sum(len(group['params']) for group in optimiser.param_groups)}"
        for label, optimiser in learner.optimisers.items()
    )
    fine = f"{len(trainable)} trainable tensors, each in exactly one optimiser ({counts})"
    return Finding("H4", "parameters missing", bool(faults), "; ".join(faults) or fine)


def lying_metric(learner: Learner, loud: Trace) -> Finding:
    """H5: the norm that is logged as the one after clipping is not the L2 norm of what was stepped.

    The evidence says which of the two known artefacts it is: the sum of per-tensor norms, which the described system
    logged, or the norm before clipping, which `clip_grad_norm_` returns.
    """
    question = "the logged norm is not L2"
    lies: dict[str, list[str]] = {}
    shown = ""
    logged = {metric: names for metric, names in learner.norms.items() if metric in loud.metrics}
    for metric, names in logged.items():
        known = loud.unstepped | loud.steps
        steps = [known[name] for name in names if name in known]
        clipped = [step.gradient for step in steps if step.touched]
        stepped = [step.gradient for step in steps if step.gradient is not None]
        value, norm = loud.metrics[metric], _size(stepped, "joint")
        total = sum(_size([g], "joint") for g in stepped)
        before = _size([loud.delivered(name) for name in names], "joint")
        text = f"{metric} logs {value:.4g}: L2 {norm:.4g}, sum of norms {total:.4g}, L2 before clipping {before:.4g}"
        # Where only a part was clipped, the norm of that part is no lie: H2 tells of the rest.
        if not any(_close(value, honest) for honest in (norm, _size(clipped, "joint"))):
            known_lies = {"the sum of per-tensor norms": total, "the norm before clipping": before}
            kind = next((kind for kind, size in known_lies.items() if _close(value, size)), "no known norm")
            lies.setdefault(kind, []).append(text)
        shown = text if metric.endswith("joint/after") or not shown else shown
    if not logged:
        return Finding("H5", question, None, "the update logs no norm that was named to the audit")
    told = [f"{len(texts)} of {len(logged)} metrics log {kind}; {texts[-1]}" for kind, texts in lies.items()]
    honest = f"{len(logged)} metrics are L2 norms of what is stepped; {shown}"
    return Finding("H5", question, bool(lies), "; ".join(told) or honest)


def crossed_features(learner: Learner, first: Trace, blind: Trace, deaf: Trace | None) -> Finding:
    """H6: the critic reads, in the actor's loss, features that the actor's parameters make.

    In `blind` the actions were held and the actor's own weights changed: nothing that the critic reads may move, and
    no gradient may reach the actor's parameters. `deaf` also cut the critic's outputs: a gradient that remains comes
    from the loss directly (a weight penalty) and is no crossing.
    """
    own = [name for name in learner.parameters() if network_of(name) == ACTOR]
    through = _size([first.delivered(name) for name in own], "joint")
    past: dict[str, float] = {}
    for name in own:
        gradient, beside = blind.delivered(name), None if deaf is None else deaf.delivered(name)
        if gradient is not None:
            rest = gradient if beside is None else gradient - beside
            past[learner.part_of(name)] = past.get(learner.part_of(name), 0.0) + square(rest)
    reached = {part: square**0.5 for part, square in past.items() if square > 0.0}
    calls = [(name, *ab) for name, *ab in first.critic_inputs], [(name, *ab) for name, *ab in blind.critic_inputs]
    comparable = [name for name, *_ in calls[0]] == [name for name, *_ in calls[1]]
    moved = max((_moved(a, b) for a, b in zip(first.critic_inputs, blind.critic_inputs, strict=False)), default=0.0)
    read = (
        f"the critic's inputs move by {moved:.2g} with the actor's weights" if comparable else "inputs not comparable"
    )
    holds = bool(reached) or (comparable and moved > TOLERANCE)
    found = ", ".join(f"{part} {norm:.4g}" for part, norm in reached.items()) or "0"
    if not first.actions:
        return Finding("H6", "crossed features", None, "the policy module was not called: name it with policy=")
    evidence = f"gradient past the action: {found} (must be exactly 0, through it {through:.4g}); {read}, action held"
    return Finding("H6", "crossed features", holds, evidence)


def _worst(learner: Learner, limit: Limit | None, gradients: Mapping[str, torch.Tensor | None]) -> float:
    """The size that a limit is compared with: of the whole, of the largest part, of the largest number."""
    if limit is None or limit.kind != "per_module":
        return _size(gradients.values(), "joint" if limit is None else limit.kind)
    parts: dict[str, list[torch.Tensor | None]] = {}
    for name, gradient in gradients.items():
        parts.setdefault(learner.part_of(name), []).append(gradient)
    return max((_size(group, "joint") for group in parts.values()), default=0.0)


def _size(gradients: Iterable[torch.Tensor | None], kind: str) -> float:
    """L2 norm of all together, or with `value` the largest magnitude."""
    found = [g for g in gradients if g is not None]
    if kind == "value":
        return max((float(g.abs().max()) for g in found), default=0.0)
    return math.sqrt(sum(square(g) for g in found))


def square(gradient: torch.Tensor) -> float:
    """Squared L2 norm."""
    return float(torch.linalg.vector_norm(gradient)) ** 2


def _close(value: float, other: float) -> bool:
    return abs(value - other) <= TOLERANCE * max(abs(other), 1e-12)


def _moved(one: tuple[str, float, float], two: tuple[str, float, float]) -> float:
    scale = max(one[1], 1e-12)
    return max(abs(one[1] - two[1]), abs(one[2] - two[2])) / scale


def _parts(learner: Learner, names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(learner.part_of(name) for name in names))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
