"""What trainer and actors say to each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from td3sweep.agent.policy import NetworkPolicy
from td3sweep.collect.demonstrate import Shows
from td3sweep.collect.episode import Observation
from td3sweep.collect.schedule import Acting
from td3sweep.envs.protocol import Env


@dataclass(frozen=True)
class ActorJob:
    """What an actor is told when it starts.

    Attributes:
        make_env: builds the environment.
        make_policy: builds the policy, on the CPU, given the numbers of an observation's vector and of an action.
        bounds: lowest and highest random actions.
        demonstrator: who shows how to drive in the warm-up; None: nobody does.
    """

    make_env: Callable[[], Env]
    make_policy: Callable[[int, int], NetworkPolicy]
    bounds: tuple[tuple[float, ...], tuple[float, ...]]
    demonstrator: Shows | None


@dataclass(frozen=True)
class Begin:
    """Start an episode; its seed and that of its noise. Answered by :class:`Began`."""

    seed: int
    noise_seed: int


@dataclass(frozen=True)
class Go:
    """A permit to take one step: who chooses it, and the policy's noise. Answered by a :class:`Transition`.

    Void where no episode is open: it crossed the news of the end.
    """

    acting: Acting
    noise: float


@dataclass(frozen=True)
class Evaluate:
    """Drive evaluation episodes, and keep the moments of the first if asked. Answered by :class:`Evaluated`."""

    episodes: int
    spread: bool
    film: bool


@dataclass(frozen=True)
class Began:
    """The first observation of an episode."""

    observation: Observation


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found, and its first episode as an observer's arguments."""

    found: dict[str, float]
    film: list[tuple[Any, Any, dict[str, Any]]]
