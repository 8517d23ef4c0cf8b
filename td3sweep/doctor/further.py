"""Faults beside the six hypotheses: targets that do not follow, learning rates, parts that do not train."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from td3sweep.doctor.checks import Finding, square
from td3sweep.doctor.learner import Learner, network_of
from td3sweep.doctor.spies import Trace, observe

LAG = 1.5  # factor on the trained weights that leaves a target behind by half of each
SLACK = 0.1  # relative tolerance on tau
ROUNDING = 2.5e-7  # what float32 resolves of tau when a weight is to move by tau times half of itself


def followed(learner: Learner) -> dict[str, dict[str, float]]:
    """Share of the way to its network that each target tensor went in one update, by network and tensor.

    The trained weights are scaled first, so that the way is far longer than one step of an optimiser.
    """
    pairs = _pairs(learner)
    with torch.no_grad():
        for parameter in learner.parameters().values():
            parameter.mul_(LAG)
        before = {key: copy.detach().clone() for key, (_, copy) in pairs.items()}
    observe(learner)
    shares: dict[str, dict[str, float]] = {network: {} for network in learner.networks}
    for (network, name), (online, copy) in pairs.items():
        way = (online.detach() - before[network, name]).double()
        length = float(way.square().sum())
        if length > 0.0:
            went = (copy.detach() - before[network, name]).double()
            shares[network][name] = float((went * way).sum()) / length
    return shares


def stale_target(learner: Learner, first: Trace, shares: Mapping[str, Mapping[str, float]]) -> Finding:
    """A target is missing, shares storage with its network, is never read, or does not follow by tau.

    Args:
        learner: audited.
        first: an ordinary update.
        shares: what :func:`followed` measured.
    """
    question = "targets are stale"
    if learner.targets is None:
        return Finding("stale_target", question, None, "no targets were named to the audit")
    faults, fine = [], []
    pairs = _pairs(learner)
    for network in learner.networks:
        owned = [name for name in learner.parameters() if network_of(name) == network]
        missing = [name for name in owned if (network, name.partition(".")[2]) not in pairs]
        shared = [name for (of, name), (online, copy) in pairs.items() if of == network and _same(online, copy)]
        if missing:
            faults.append(f"{len(missing)} of {len(owned)} {network} tensors have no target, such as {missing[0]}")
        if shared:
            faults.append(
                f"{network}: {len(shared)} target tensors share storage with the network, such as {shared[0]}"
            )
        if network in learner.targets and network not in first.targets_read:
            faults.append(f"{network}: the target is never read")
        taus = {name: tau for name, tau in shares[network].items() if name not in shared}
        wrong = [name for name, tau in taus.items() if not _follows(tau, learner.tau)]
        asked = "" if learner.tau is None else f" (asked {learner.tau:g})"
        if wrong:
            faults.append(
                f"{network}: an update moves {wrong[0]} {taus[wrong[0]]:.4g} of the way{asked}, "
                f"{len(wrong)} of {len(taus)} tensors so"
            )
        elif taus:
            low, high = min(taus.values()), max(taus.values())
            fine.append(f"{network}: {len(taus)} tensors with storage of their own move {low:.4g} to {high:.4g}{asked}")
    return Finding("stale_target", question, bool(faults), "; ".join(faults or fine))


def learning_rate(learner: Learner, first: Trace) -> Finding:
    """The rate that an optimiser holds when it steps is not the rate asked for."""
    question = "learning rates are not those asked for"
    rates: dict[tuple[str, float], set[float]] = {}
    for name, step in first.steps.items():
        for part in (learner.part_of(name), network_of(name)):
            if part in learner.learning_rates:
                rates.setdefault((part, learner.learning_rates[part]), set()).add(step.lr)
                break
    if not rates:
        held = sorted({step.lr for step in first.steps.values()})
        return Finding("learning_rate", question, None, f"held {_list(held)}; none was named to the audit")
    faults: list[str] = []
    fine: list[str] = []
    for (part, asked), held_by in rates.items():
        wrong = sorted(lr for lr in held_by if abs(lr - asked) > 1e-6 * asked)
        factor = f", x{wrong[0] / asked:.4g}" if wrong and asked > 0.0 else ""
        (faults if wrong else fine).append(f"{part} {_list(sorted(held_by))} (asked {asked:g}{factor})")
    return Finding("learning_rate", question, bool(faults), "; ".join(faults or fine))


def frozen_encoder(learner: Learner, first: Trace) -> Finding:
    """A part of a network gets no gradient, or gets one and is not stepped."""
    faults: list[str] = []
    fine: list[str] = []
    parameters = learner.parameters()
    for part, listed in learner.parts.items():
        names = [name for name in listed if name in parameters]
        if not names:  # shared with another network, where it is judged
            continue
        gradients = [first.delivered(name) for name in names]
        norm = sum(square(g) for g in gradients if g is not None) ** 0.5
        steps = [first.steps[name] for name in names if name in first.steps]
        moved = max((step.moved for step in steps), default=0.0)
        asked = learner.learning_rates.get(part, learner.learning_rates.get(network_of(names[0])))
        if norm == 0.0:
            fixed = sum(not parameters[name].requires_grad for name in names)
            why = f" ({fixed} of {len(names)} tensors have requires_grad off)" if fixed else ""
            faults.append(f"{part} gets no gradient{why}")
        elif steps and moved == 0.0 and asked != 0.0:
            faults.append(f"{part} gets a gradient (L2 {norm:.3g}) and does not move")
        else:
            fine.append(f"{part} {norm:.3g} -> {moved:.2g}")
    text = "; ".join(faults) if faults else f"gradient L2 -> largest step: {', '.join(fine)}"
    return Finding("frozen_encoder", "a part does not train", bool(faults), text)


def _pairs(learner: Learner) -> dict[tuple[str, str], tuple[torch.Tensor, torch.Tensor]]:
    """Trained tensors with their target copies, by network and name."""
    pairs: dict[tuple[str, str], tuple[torch.Tensor, torch.Tensor]] = {}
    for network, target in (learner.targets or {}).items():
        copies = dict(target.named_parameters())
        for name, online in learner.networks[network].named_parameters():
            if name in copies:
                pairs[network, name] = (online, copies[name])
    return pairs


def _same(online: torch.Tensor, copy: torch.Tensor) -> bool:
    return online.untyped_storage().data_ptr() == copy.untyped_storage().data_ptr()


def _follows(share: float, tau: float | None) -> bool:
    return share > 0.0 and (tau is None or abs(share - tau) <= SLACK * tau + ROUNDING)


def _list(rates: list[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)
