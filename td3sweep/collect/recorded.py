"""Recorded episodes in place of a simulator and of whoever drove it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3sweep.collect.demonstrate import Floats
from td3sweep.collect.tapes import Tape, Tapes
from td3sweep.envs.carla.observe import FrameStack
from td3sweep.errors import UserError


class Recorded:
    """Plays recorded episodes one after the other.

    It is an environment that shows and pays what was recorded, whatever is done, and the demonstrator who does in it
    what was done.

    Args:
        tapes: the episodes.
        stack: frames in an image stack.
    """

    def __init__(self, tapes: Tapes, stack: int) -> None:
        self.vector_size, self.action_size = tapes.about["vector_size"], tapes.about["action_size"]
        self._tapes, self._stack = tapes, FrameStack(stack)
        self._begins = np.cumsum([0, *tapes.steps])  # recorded steps before each episode
        self._number, self._place = 0, 0  # of the episode, and steps of it that were played
        self._tape: Tape | None = None

    @property
    def digest(self) -> str:
        """Tells one recording from another."""
        return self._tapes.digest

    @property
    def line(self) -> str:
        """What is shown, for people."""
        return self._tapes.line

    def changed(self) -> UserError:
        """The refusal to go on with another recording than before."""
        return UserError(
            f"demonstrations.path={self._tapes.directory}: the run was begun with another recording; put that one back "
            f"there, or start anew in another directory (hydra.run.dir=)"
        )

    # As an environment

    def seek(self, step: int) -> int:
        """Make the next episode the one that begins after ``step`` recorded steps; returns its seed."""
        self._number = int(np.searchsorted(self._begins, step, side="right")) - 1
        return int(self._tapes.about["episodes"][self._number].get("seed", 0))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The first observation of the episode.

        Raises:
            UserError: it cannot be read.
        """
        self._tape, self._place = self._tapes.read(self._number), 0
        self._stack.restart(self._tape.frames[0])
        return self._observation(self._tape), {}

    def step(self, action: Any) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """What followed."""
        tape = self._open
        info: dict[str, Any] = {"unlearnt": float(tape.unlearnt[self._place])}
        reward = float(tape.rewards[self._place])
        self._place += 1
        self._stack.push(tape.frames[self._place])
        last = self._place == tape.steps
        if last:
            told = self._tapes.about["episodes"][self._number]
            info |= {"success": told.get("success", False), "end": told.get("end", "")}
        return self._observation(tape), reward, last and tape.terminated, last and tape.truncated, info

    def close(self) -> None:
        """Nothing to give back."""

    def _observation(self, tape: Tape) -> dict[str, NDArray[Any]]:
        return {"image": self._stack.array(), "vector": tape.vectors[self._place]}

    @property
    def _open(self) -> Tape:
        if self._tape is None:
            raise RuntimeError("call reset() before step()")
        return self._tape

    # As a demonstrator

    def begin(self, seed: int, info: Mapping[str, Any]) -> None:
        """Nothing to take up."""

    def act(self, observation: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> tuple[Floats, Floats]:
        """What was done next, and what was meant by it."""
        done, meant = self._open.actions[self._place], self._open.meant[self._place]
        return done, np.where(np.isnan(meant), done, meant)
