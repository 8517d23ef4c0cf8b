"""Keeps the slots of a sweep full until its budget is spent. One thread, one loop; workers tell their own results."""

from __future__ import annotations

import itertools
import logging
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from td3sweep.errors import SimulatorError, UserError
from td3sweep.process.lease import Lease
from td3sweep.process.signals import caught_signals
from td3sweep.sweep import results
from td3sweep.sweep.engines import Engine, Job
from td3sweep.sweep.outage import Outage, checkpoints_in
from td3sweep.sweep.space import Space
from td3sweep.sweep.study import ENGINE, FATAL, IMPOSSIBLE, JOB, REASON, SLOT, Ledger, first_of
from td3sweep.sweep.view import SlotView, SweepView

log = logging.getLogger(__name__)
POLL_S = 0.25
CLOSED_S = 15.0
IDLE_S = 2.0
LOG = "worker.log"


@dataclass
class Slot:
    """A trial that an engine runs for us; ``saved`` are the checkpoints that it began with."""

    number: int
    first: int
    job_id: str
    since: float
    saved: frozenset[str]
    stopped: bool = False


class Controller:
    """Asks, submits, and buries what dies untold. Several may work on one sweep at the same time."""

    def __init__(self, ledger: Ledger, engine: Engine, space: Space, budget: int) -> None:
        self._ledger, self._engine, self._space, self._budget = ledger, engine, space, budget
        self._search = ledger.spec.search
        self._slots: dict[int, Slot] = {}
        self._received: list[int] = []
        self._begun = time.monotonic()
        self._fatal: str | None = None
        self._outage = Outage()
        self._spent = False  # whether nothing was left when we asked last
        self._idle_until = 0.0  # when to ask again
        self._closed_until = 0.0  # an engine that took no job is left alone so long
        directory = ledger.directory / "controllers"
        self._lease = Lease(directory / f"{os.uname().nodename}-{os.getpid()}-{time.time_ns()}.json")

    def run(self) -> int:
        """Work until the budget is spent or something ends it.

        Returns:
            0, or 128 plus the number of the signal that ended it; every trial has saved by then.

        Raises:
            UserError: a trial said that what the sweep asks for can't be had.
            SimulatorError: one trial after the other failed.
        """
        view = SweepView(self._ledger.directory, self._engine.label)
        with self._lease, caught_signals() as self._received, view:
            self._adopt()
            try:
                while True:
                    ended = self._collect()
                    if ended:
                        self._idle_until = 0.0
                    started = self._refill()
                    found = self._summary() if ended or started or view.due else None
                    view.show(found, self._shown(), ended)
                    if not self._slots and not started and self._over():
                        break
                    time.sleep(POLL_S)
            finally:
                self._engine.close()
        all_failed = self._failures() if self._outage.is_on or not self._received else ""
        if all_failed:
            self._ledger.queue_again(self._outage.lost)
        found = self._summary()
        view.close(found, elsewhere=found["states"].get("RUNNING", 0), why=self._why())
        if self._fatal is not None:
            raise UserError(self._fatal)
        if all_failed:
            raise SimulatorError(all_failed)
        return 128 + self._received[0] if self._received else 0

    def _failures(self) -> str:
        """Why nothing comes of the sweep: an outage, or no trial that ended did so otherwise; empty if it goes well."""
        if self._outage.is_on:
            attempts = self._outage.lost
            said = f"{len(attempts)} trials in a row failed before they saved anything"
        else:
            attempts = [trial for trial in self._ledger.latest() if trial.state != TrialState.WAITING]
            if not attempts or any(trial.state != TrialState.FAIL for trial in attempts):
                return ""
            said = "every trial failed"
        return f"{said}; the last one: {attempts[-1].user_attrs.get(REASON, 'no reason given')}"

    def _over(self) -> bool:
        """With no trial of ours left: whether nothing remains to wait for, be it an engine or an orphan."""
        return self._ending or (self._spent and not self._ledger.unwatched())

    def _adopt(self) -> None:
        """Follow the jobs of a dead controller that still wait or run, as far as the engine knows them."""
        label, engine = self._engine.label, self._engine
        for trial in self._ledger.adopt(
            self._lease.path,
            lambda trial: trial.user_attrs.get(ENGINE) == label and engine.ended(str(trial.user_attrs[JOB])) is None,
        ):
            # Its own, since its server's port goes by the slot; two dead controllers may have used one number.
            own = int(trial.user_attrs.get(SLOT, 0))
            slot = next(slot for slot in itertools.chain([own], itertools.count()) if slot not in self._slots)
            self._slots[slot] = self._slot(trial, str(trial.user_attrs[JOB]))

    def _slot(self, trial: FrozenTrial, job_id: str) -> Slot:
        first = first_of(trial)
        return Slot(trial.number, first, job_id, time.monotonic(), checkpoints_in(self._ledger.directory / str(first)))

    def _collect(self) -> list[int]:
        """Numbers of the trials whose jobs have ended; those that did not tell are buried."""
        over = []
        for slot, held in list(self._slots.items()):
            how = self._engine.ended(held.job_id)
            if how is None:
                continue
            del self._slots[slot]
            over.append(held.number)
            trial = self._ledger.trial(held.number)
            if trial.user_attrs.get(FATAL):
                self._fatal = self._fatal or f"trial {held.number}: {trial.user_attrs[REASON]}"
            if not trial.state.is_finished():
                self._bury(trial, how)
            self._judge(held)
        return over

    def _bury(self, trial: FrozenTrial, how: str) -> None:
        """Fail a trial whose process ended without a word; one that we asked to save goes on in a later session."""
        last = _last_line(self._log_of(first_of(trial)))
        self._ledger.fail(trial.number, f"{how}; {last}" if last else how, counts=not self._stopping)

    def _judge(self, held: Slot) -> None:
        """Note whether a trial that has ended got anywhere; one that was asked to leave says nothing about that."""
        trial = self._ledger.trial(held.number)
        if trial.state != TrialState.FAIL:
            self._outage.over()
        elif not (held.stopped or self._received or {FATAL, IMPOSSIBLE} & trial.user_attrs.keys()):
            self._outage.failed(trial, self._ledger.directory / str(held.first), held.saved)

    def _refill(self) -> bool:
        """Start trials in free slots; whether one was started."""
        if self._ending:
            for held in self._slots.values():
                if self._stopping and not held.stopped:
                    held.stopped = True
                    self._engine.stop(held.job_id)
            return False
        now = time.monotonic()
        if now < max(self._closed_until, self._idle_until):
            return False
        started = False
        for slot in range(self._search.width):
            if len(self._slots) >= self._search.width:
                break  # adopted trials may hold slots above the width
            if slot in self._slots:
                continue
            trial = self._ledger.claim(self._lease.path, self._budget)
            self._spent = trial is None
            if trial is None:
                self._idle_until = now + IDLE_S
                break
            if not self._start(trial, slot):  # it waits for its turn again
                break
            started = True
        return started

    def _start(self, trial: FrozenTrial, slot: int) -> bool:
        """Submit a trial; False if the engine takes none at present: it is queued again."""
        directory = self._ledger.directory
        worker = [sys.executable, "-m", "td3sweep.sweep.worker", str(directory), str(trial.number), "--slot", str(slot)]
        job = Job(f"{directory.name}-{trial.number}", worker, self._log_of(first_of(trial)), slot)
        try:
            job_id = self._engine.submit(job)
        except SimulatorError as error:
            log.warning("%s; trying again in %.0f s", error, CLOSED_S)
            self._closed_until = time.monotonic() + CLOSED_S
            self._ledger.fail(trial.number, str(error), counts=False)
            return False
        self._ledger.mark(trial.number, {ENGINE: self._engine.label, JOB: job_id, SLOT: slot})
        self._slots[slot] = self._slot(trial, job_id)
        return True

    @property
    def _stopping(self) -> bool:
        """Whether what runs is asked to save and leave."""
        return bool(self._received) or self._fatal is not None or self._outage.is_on

    @property
    def _ending(self) -> bool:
        return bool(self._received) or self._why() != ""

    def _why(self) -> str:
        """What ends the sweep before its budget is spent, in words."""
        search = self._search
        if self._fatal is not None:
            return "a trial can't be run"
        if self._outage.is_on:
            return "one trial after the other fails"
        if search.hours is not None and time.monotonic() - self._begun > 3600 * search.hours:
            return f"sweep.hours={search.hours:g} are over"
        if search.patience is not None and self._without_better() >= search.patience:
            return f"sweep.patience={search.patience}: so many trials without a better one"
        return ""

    def _without_better(self) -> int:
        """Finished logical trials since the best one ended."""
        done = [trial for trial in self._ledger.latest() if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        done.sort(key=lambda trial: trial.datetime_complete or trial.datetime_start)  # type: ignore[arg-type, return-value]
        best, since = -math.inf, 0
        for trial in done:
            value = trial.values[0] if trial.state == TrialState.COMPLETE else -math.inf
            since = 0 if value > best else since + 1
            best = max(best, value)
        return since

    def _summary(self) -> dict[str, Any]:
        found = results.summarise(self._ledger, self._space, self._budget)
        results.write(self._ledger.directory, found)
        return found

    def _shown(self) -> list[SlotView]:
        return [
            SlotView(slot, held.number, self._ledger.directory / str(held.first), time.monotonic() - held.since)
            for slot, held in sorted(self._slots.items())
        ]

    def _log_of(self, first: int) -> Path:
        return self._ledger.directory / str(first) / LOG


def _last_line(path: Path) -> str:
    """The last line of a worker's log; it says more than an exit code."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""
