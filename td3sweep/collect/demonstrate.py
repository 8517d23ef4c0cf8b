"""Somebody who can drive shows it: warm-up actions, and what was meant by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from td3sweep.collect.drivers import Driver

Floats = NDArray[np.float32]
NOISE_STREAM = 1  # beside the environment's own draws from an episode's seed


class Shows(Protocol):
    """Somebody who can drive."""

    def begin(self, seed: int, info: Mapping[str, Any]) -> None: ...
    def act(
        self, observation: Mapping[str, NDArray[Any]], info: Mapping[str, Any]
    ) -> tuple[Floats, Floats] | tuple[None, None]: ...


class Demonstrator:
    """A driver whose actions are disturbed, so that what is shown covers more than its own path.

    What it meant is kept beside what was done: cloning learns from the one, the critic from the other (DART, Laskey et
    al., 2017).

    Args:
        driver: who drives.
        noise: standard deviations of the disturbance, of which an episode's seed draws one; none: undisturbed.
    """

    def __init__(self, driver: Driver, noise: Sequence[float]) -> None:
        self._driver, self._noise = driver, tuple(noise) or (0.0,)
        self._sd = 0.0
        self._rng = np.random.default_rng()

    def begin(self, seed: int, info: Mapping[str, Any]) -> None:
        """Take up the episode of ``seed``; ``info`` is what its reset told."""
        self._rng = np.random.default_rng([seed, NOISE_STREAM])
        self._sd = float(self._rng.choice(self._noise))
        self._driver.begin(seed, info)

    def act(
        self, observation: Mapping[str, NDArray[Any]], info: Mapping[str, Any]
    ) -> tuple[Floats, Floats] | tuple[None, None]:
        """The next action as it is done and as it was meant, each in [-1, 1].

        None where the environment's autopilot drives: what that does cannot be disturbed, and is known afterwards.
        """
        meant = self._driver.act(observation, info)
        if meant is None:
            return None, None
        disturbed = meant + self._sd * self._rng.standard_normal(meant.shape)
        return np.clip(disturbed, -1.0, 1.0).astype(np.float32), meant
