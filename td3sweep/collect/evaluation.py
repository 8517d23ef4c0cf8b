"""Episodes on fixed seeds, no exploration noise, undiscounted returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from td3sweep.agent.policy import Policy
from td3sweep.collect.drivers import Driver, Trained
from td3sweep.envs.protocol import Env, executed

FIRST_SEED = 2**31  # of the protocol; training episodes draw their seeds below this, so that the two never meet
RUN_SEED = FIRST_SEED + 2**30  # of evaluations within a run: what they choose as its best is tested on other starts
RECORD_SEED = FIRST_SEED + 2**29  # of recorded episodes: a training that is shown them is tested on others

Observer = Callable[[dict[str, Any], Any, dict[str, Any]], None]


@dataclass(frozen=True)
class EpisodeOutcome:
    """How an episode went: undiscounted return without shaping, agent steps, and the last step's info."""

    total: float
    length: int
    info: dict[str, Any]


def evaluate(
    env: Env,
    policy: Policy,
    *,
    episodes: int,
    spread: bool = True,
    interrupted: Callable[[], bool] = lambda: False,
    observer: Observer | None = None,
) -> dict[str, float] | None:
    """Drive ``episodes`` episodes with the policy alone, in the given environment.

    Args:
        env: the environment, between two episodes.
        policy: who drives, without exploration noise.
        episodes: how many, on seeds that neither training nor the protocol draws.
        spread: start on every lane about equally often, rather than by chance.
        interrupted: asked at every step.
        observer: told of every moment of the first episode: observation, the action before it (or None), info.

    Returns:
        ``eval/return`` (undiscounted, without shaping), ``eval/length`` (agent steps), ``eval/success`` (share),
        ``eval/episodes`` and, where the environment reports it, ``eval/route_fraction``; None when interrupted.
    """
    results = []
    for number in range(episodes):
        seed, watched = RUN_SEED + number, observer if number == 0 else None
        outcome = drive(
            env, Trained(policy), seed, interrupted, watched, options={"spread": number} if spread else None
        )
        if outcome is None:
            return None
        results.append(_result(outcome))
    keys: Iterable[str] = results[0]
    means = {f"eval/{key}": float(np.mean([result[key] for result in results])) for key in keys}
    return means | {"eval/episodes": float(episodes)}


def drive(
    env: Env,
    driver: Driver,
    seed: int,
    interrupted: Callable[[], bool] = lambda: False,
    observer: Observer | None = None,
    *,
    options: dict[str, Any] | None = None,
) -> EpisodeOutcome | None:
    """One episode from its seed, and options of its reset, to its end; None when interrupted."""
    observation, info = env.reset(seed=seed, options=options)
    if observer is not None:
        observer(observation, None, info)
    driver.begin(seed, info)
    total, length, ended = 0.0, 0, False
    while not ended:
        if interrupted():
            return None
        action = driver.act(observation, info)
        observation, reward, terminated, truncated, info = env.step(action)
        if observer is not None:
            observer(observation, executed(action, info), info)
        # Shaping depends on the learner's gamma: with it, returns of a sweep's trials would not compare.
        total += float(reward) - float(info.get("shaping", 0.0))
        length, ended = length + 1, terminated or truncated
    return EpisodeOutcome(total, length, info)


def _result(outcome: EpisodeOutcome) -> dict[str, float]:
    info = outcome.info
    result = {"return": outcome.total, "length": float(outcome.length), "success": float(info.get("success", False))}
    if "route_fraction" in info:
        result["route_fraction"] = float(info["route_fraction"])
    return result
