"""The study of a sweep: its storage, and a budget that holds exactly, whoever dies.

A *logical trial* is one point of the space. It may take several attempts, each of which is a trial of Optuna's; a later
attempt goes on in the directory of the first. The budget counts logical trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from td3sweep.errors import UserError
from td3sweep.process.lease import is_alive
from td3sweep.sweep.retry import retry
from td3sweep.sweep.search import build_sampler
from td3sweep.sweep.space import Space, Value
from td3sweep.sweep.spec import Spec
from td3sweep.sweep.storage import JOURNAL, locked, open_storage

# User attributes of a trial.
FIRST, ATTEMPT, RETRY_OF = "first", "attempt", "retry_of"
CONTROLLER, ENGINE, JOB, SLOT = "controller", "engine", "job", "slot"
REASON, VERDICT, RUNS = "reason", "verdict", "runs"
FATAL, IMPOSSIBLE = "fatal", "impossible"  # the request is at fault: anywhere in the space, at this point of it


def _point(trial: FrozenTrial) -> dict[str, Any]:
    """What a trial tries; one that is queued, or died while it was asked for, has it where the queue put it."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def first_of(trial: FrozenTrial) -> int:
    """Number of the first attempt at this logical trial: the name of its directory."""
    return int(trial.user_attrs.get(FIRST, trial.number))


class Ledger:
    """Who has which trial, and how many are left. Several controllers and many workers may hold one each."""

    def __init__(self, spec: Spec, directory: Path, space: Space | None = None, patience: float = 0.0) -> None:
        """
        Args:
            spec: the sweep.
            directory: the sweep's.
            space: what is searched; None for those who only look and tell: they make no study.
            patience: seconds to wait for a database that can't be reached; it was once, for those who only tell.

        Raises:
            UserError: the storage can't be opened, or holds another directory's study, or none to look at.
        """
        self.spec, self.directory = spec, directory
        self._space = space
        self.storage = open_storage(spec.search.storage, directory, patience, create=space is not None)
        if space is None:
            self.study = retry(self._load)
            return
        with locked(directory):
            self.study = retry(
                lambda: optuna.create_study(
                    storage=self.storage, study_name=spec.name, directions=spec.directions, load_if_exists=True
                )
            )
            retry(self._check_home)

    def _load(self) -> optuna.Study:
        try:
            return optuna.load_study(storage=self.storage, study_name=self.spec.name)
        except KeyError:
            place = self.spec.search.storage or self.directory / JOURNAL
            raise UserError(
                f"{self.directory}: the sweep has not begun: no study {self.spec.name} in {place}; repeat its command"
            ) from None

    def _check_home(self) -> None:
        if self.spec.search.storage is None:
            return  # a journal lies in its directory, a copy's in the copy
        home = self.study.user_attrs.get("directory")
        mine = str(self.directory.resolve())
        if home not in (None, mine) and Path(home).is_dir():
            raise UserError(
                f"sweep.storage={self.spec.search.storage}: its study {self.spec.name} belongs to {home}; "
                "give hydra.sweep.dir another last name"
            )
        if home != mine:
            self.study.set_user_attr("directory", mine)

    # Looking

    def trials(self) -> list[FrozenTrial]:
        """Every attempt, in the order of their numbers."""
        return retry(lambda: self.study.get_trials(deepcopy=False))

    def trial(self, number: int) -> FrozenTrial:
        """One attempt."""
        return next(trial for trial in self.trials() if trial.number == number)

    def latest(self) -> list[FrozenTrial]:
        """The newest attempt at each logical trial, in the order of the first ones."""
        newest: dict[int, FrozenTrial] = {}
        for trial in self.trials():
            newest[first_of(trial)] = trial
        return [newest[first] for first in sorted(newest)]

    # Planning

    def plan(self, points: Sequence[Mapping[str, Value]], budget: int) -> None:
        """Queue the points that the sweep begins with, as far as the budget goes; those known before are left.

        A point need not name every key of the space: the sampler chooses the others, and such a trial is that point.
        """
        with locked(self.directory):
            known = [_point(trial).items() for trial in self.latest()]
            new = [point for point in points if not any(point.items() <= trial for trial in known)]
            for point in new[: max(budget - len(known), 0)]:
                retry(partial(self.study.enqueue_trial, dict(point)))

    def claim(self, controller: Path, budget: int) -> FrozenTrial | None:
        """Take the next trial: one to be tried again, one that is queued, or a new one. None when the budget is spent.

        Args:
            controller: the lease of who takes it; the trial is his until it ends or the lease does.
            budget: logical trials in all.
        """
        # As a whole: a storage that went away may have kept half a trial, which is buried first.
        with locked(self.directory):
            return retry(lambda: self._claim(controller, budget))

    def _claim(self, controller: Path, budget: int) -> FrozenTrial | None:
        self._bury_stale()
        trials = self.trials()
        begun = len({first_of(trial) for trial in trials if trial.state != TrialState.WAITING})
        again = (trial for trial in trials if trial.state == TrialState.WAITING and RETRY_OF in trial.user_attrs)
        if begun < budget:
            number = self._ask(len({first_of(trial) for trial in trials}))
        elif retry := next(again, None):
            number = self._ask_again(retry)
        else:
            return None
        self.sign(number, controller)
        return self.trial(number)

    def _ask(self, known: int) -> int:
        """Begin the first trial in the queue or, with none, one that the sampler chooses."""
        assert self._space is not None
        # A fresh sampler each time: what it proposes depends on the study alone, also after a resume.
        self.study.sampler = build_sampler(self.spec.search, known)
        return self.study.ask(self._space.distributions).number

    def _ask_again(self, retry: FrozenTrial) -> int:
        """Begin this trial of the queue, whatever waits before it: a smaller budget may have left points there."""
        assert self._space is not None
        self.storage.set_trial_state_values(retry._trial_id, TrialState.RUNNING)
        trial = optuna.Trial(self.study, retry._trial_id)
        for name, distribution in self._space.distributions.items():
            trial._suggest(name, distribution)
        return trial.number

    def sign(self, number: int, controller: Path) -> None:
        """Make a trial that of the controller with this lease."""
        self.mark(number, {CONTROLLER: str(controller.relative_to(self.directory))})

    def mark(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Set user attributes of a trial, unless it has ended: a quick one does so before its job is noted."""
        trial_id = self.trial(number)._trial_id
        with suppress(UpdateFinishedTrialError):
            for key, value in attributes.items():
                retry(partial(self.storage.set_trial_user_attr, trial_id, key, value))

    def adopt(self, controller: Path, lives: Callable[[FrozenTrial], bool]) -> list[FrozenTrial]:
        """Take over running trials whose controller is dead.

        Args:
            controller: the lease of who takes them over.
            lives: whether the job of such a trial still waits or runs.
        """
        with locked(self.directory):
            taken = [
                trial
                for trial in self.trials()
                if trial.state == TrialState.RUNNING
                and JOB in trial.user_attrs
                and not self._controller_lives(trial)
                and lives(trial)
            ]
            for trial in taken:
                self.sign(trial.number, controller)
            return taken

    # Ending

    def tell(self, number: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """End a trial; False if it had ended already."""

        def end() -> bool:
            trial = self.trial(number)
            if trial.state.is_finished():
                return False
            self.study.tell(number, values=values, state=state)
            return True

        return retry(end)

    def fail(self, number: int, reason: str, *, counts: bool = True, again: bool = True) -> None:
        """Fail a trial that died, and queue another attempt if it has any left.

        Args:
            number: of the trial; one that has ended is left as it is.
            reason: why it died.
            counts: whether this uses up one of its retries; not where the fault was none of its own.
            again: whether trying again makes sense.
        """
        trial = self.trial(number)
        if trial.state.is_finished():
            return
        self.mark(number, {REASON: reason})
        if again:
            self._retry(trial, counts)
        self.tell(number, TrialState.FAIL)

    def _retry(self, trial: FrozenTrial, counts: bool = True) -> None:
        """Queue the next attempt, before the trial fails: if this process dies in between, none is lost or doubled."""
        attempt = int(trial.user_attrs.get(ATTEMPT, 0)) + counts
        if attempt <= self.spec.search.retries:
            retry(partial(self._queue, trial, attempt))

    def _queue(self, trial: FrozenTrial, attempt: int) -> None:
        marks = {FIRST: first_of(trial), ATTEMPT: attempt, RETRY_OF: trial.number}
        if not any(other.user_attrs.get(RETRY_OF) == trial.number for other in self.trials()):
            waits = create_trial(
                state=TrialState.WAITING,
                system_attrs={"fixed_params": _point(trial)},
                user_attrs=marks,
                intermediate_values=trial.intermediate_values,  # what the pruner has heard of the trial so far
            )
            self.study.add_trial(waits)

    def queue_again(self, attempts: Sequence[FrozenTrial]) -> None:
        """Take failed attempts as never made: their logical trials wait in the queue with the retries they had before.

        What others have made of such a trial meanwhile is left to them.
        """
        with locked(self.directory):
            newest = {first_of(trial): trial for trial in self.latest()}
            before: dict[int, int] = {}
            for lost in attempts:
                before.setdefault(first_of(lost), int(lost.user_attrs.get(ATTEMPT, 0)))
            for first, attempt in before.items():
                if newest[first].state == TrialState.WAITING:
                    self.mark(newest[first].number, {ATTEMPT: attempt})
                elif newest[first].state == TrialState.FAIL:
                    retry(partial(self._queue, newest[first], attempt))

    def unwatched(self) -> bool:
        """Whether a trial of a dead controller is still worked on: if its worker dies too, somebody must claim it."""
        return any(trial.state == TrialState.RUNNING and not self._controller_lives(trial) for trial in self.trials())

    def _bury_stale(self) -> None:
        # By the leases alone, not by Optuna's heartbeat: a job that waits in a queue to go on has none, and Optuna
        # fails a trial before it tells us, so that who dies in between would lose it.
        for trial in self.trials():
            if trial.state == TrialState.RUNNING and not self._lives(trial):
                self.fail(trial.number, "its controller died", counts=False)

    def _lives(self, trial: FrozenTrial) -> bool:
        return self._controller_lives(trial) or is_alive(self.worker_lease(trial))

    def _controller_lives(self, trial: FrozenTrial) -> bool:
        name = trial.user_attrs.get(CONTROLLER)  # none: whoever asked for it died before he could sign
        return name is not None and is_alive(self.directory / name)

    def worker_lease(self, trial: FrozenTrial) -> Path:
        """The lease of whoever works on a trial."""
        return self.directory / str(first_of(trial)) / "worker.json"
