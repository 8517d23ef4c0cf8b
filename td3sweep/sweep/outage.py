"""Trials in a row that fail before they save anything: the machine or the simulator is to blame, not their points."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

from optuna.trial import FrozenTrial

from td3sweep.sweep.study import first_of

IN_A_ROW = 3


def checkpoints_in(directory: Path) -> frozenset[str]:
    """Checkpoints of all runs of a logical trial, by their paths."""
    return frozenset(str(path) for path in directory.glob("seed-*/checkpoints/step-*.pt"))


class Outage:
    """Watches how one trial after the other ends.

    Attributes:
        lost: attempts that failed since one last got anywhere, oldest first.
    """

    def __init__(self) -> None:
        self.lost: list[FrozenTrial] = []
        self._begun: list[bool] = []

    def failed(self, trial: FrozenTrial, directory: Path, before: frozenset[str]) -> None:
        """An attempt failed.

        Args:
            trial: the attempt.
            directory: of its logical trial.
            before: checkpoints that were there when it started.
        """
        if checkpoints_in(directory) - before:
            self.over()
            return
        self.lost.append(trial)
        self._begun.append(any(directory.glob("seed-*")))

    def over(self) -> None:
        """A trial got somewhere."""
        self.lost.clear()
        self._begun.clear()

    @property
    def is_on(self) -> bool:
        """Whether to go on makes no sense: one trial that fails again and again may be to blame itself, three are not.

        Of attempts that did not even begin a run, three are enough, whosever they are.
        """
        unbegun = sum(1 for _ in takewhile(lambda begun: not begun, reversed(self._begun)))
        return unbegun >= IN_A_ROW or len({first_of(trial) for trial in self.lost}) >= IN_A_ROW
