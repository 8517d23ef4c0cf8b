"""Which algorithm wrote a log, by its other series: what an actor's loss is depends on it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from statistics import median

from td3sweep.logs.log import Row
from td3sweep.logs.names import squeeze

SAC = {
    "entcoef",
    "entcoefloss",
    "alpha",
    "alphaloss",
    "temperature",
    "temperatureloss",
    "logalpha",
    "temp",
    "entropycoef",
}
PPO = {"approxkl", "clipfraction", "cliprange", "policygradientloss", "explainedvariance", "oldapproxkl"}
BC = {"bcloss", "lmbda", "bc", "behaviorcloning", "cloningloss"}
DQN = {"tdloss", "explorationrate", "epsilon"}
FEW = 5  # rows that hold both Qs, before they are compared


def algorithm_of(tags: Iterable[str]) -> str:
    """``SAC``, ``PPO``, ``TD3+BC``, ``DQN``, or empty: an actor and critics that may be TD3's or DDPG's."""
    tails = {squeeze(re.split("[/.]", tag)[-1]) for tag in tags}
    for name, marks in (("PPO", PPO), ("SAC", SAC), ("TD3+BC", BC)):
        if tails & marks:
            return name
    return "DQN" if tails & DQN and not any("actor" in tail or "policy" in tail for tail in tails) else ""


def is_minus_q(rows: Sequence[Row]) -> tuple[bool, str]:
    """Whether the negative of the actor's loss can be its Q, and why not: it stays far below the critic's own."""
    both = [
        (-row.values["loss/actor"], row.values["q/q1"]) for row in rows if {"loss/actor", "q/q1"} <= row.values.keys()
    ]
    if len(both) < FEW:
        return True, ""
    actor, critic = median(abs(pair[0]) for pair in both), median(abs(pair[1]) for pair in both)
    if critic > 10.0 and max(abs(pair[0]) for pair in both) < 0.2 * critic:
        return False, (
            f"the actor's loss of about {actor:.3g} is far below the critic's own Q of {critic:.3g}: it is not -Q "
            "(normalised, as in TD3+BC, or another loss)"
        )
    return True, ""
