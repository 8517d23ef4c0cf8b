"""Works on one trial of a sweep: ``python -m td3sweep.sweep.worker DIRECTORY NUMBER [--slot K]``.

The sweep's directory and study say all else. A worker tells its own result to the study, so that nothing is lost when
the controller is. The same command again goes on from the trial's newest checkpoint; for a trial that has ended it
does nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from pkgutil import resolve_name

from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from td3sweep.config.failures import refuse
from td3sweep.errors import SimulatorError, UserError
from td3sweep.process.lease import BEAT_S, Lease, is_alive
from td3sweep.process.lease import PATIENCE_S as DEAD_S
from td3sweep.sweep.retry import PATIENCE_S, retry
from td3sweep.sweep.search import build_pruner
from td3sweep.sweep.space import Space, parse_space
from td3sweep.sweep.spec import Spec, load_spec
from td3sweep.sweep.study import FATAL, IMPOSSIBLE, REASON, VERDICT, Ledger, first_of
from td3sweep.sweep.trial import Ending, ImpossiblePointError, Work

SCALE = ("warmup", "eval_every", "steps")  # what a pruner's defaults go by
PREDECESSOR_S = DEAD_S + 2 * BEAT_S  # how long a worker waits for one that still holds its trial, or died elsewhere


def main() -> None:
    """Work, and exit with 0, the code of a fault, or 128 plus a signal's number."""
    parser = argparse.ArgumentParser(prog="python -m td3sweep.sweep.worker", description=__doc__)
    parser.add_argument("directory", type=Path, help="the sweep's directory")
    parser.add_argument("number", type=int, help="the trial's number in the study")
    parser.add_argument("--slot", type=int, default=0, help="which of the sweep's slots it fills")
    options = parser.parse_args()
    try:
        sys.exit(work(options.directory, options.number, options.slot))
    except (UserError, SimulatorError) as error:
        refuse(str(error), error.exit_code)


def work(directory: Path, number: int, slot: int) -> int:
    """Bring a trial to its end.

    Returns:
        0, or 128 plus the number of the signal that interrupted it.

    Raises:
        UserError: what the sweep asks for can't be had here; the trial has failed, the same attempt is queued unless
            its point makes no valid settings.
        SimulatorError: the simulator failed again and again; the trial has failed, another attempt is queued.
    """
    spec = load_spec(directory)
    ledger = Ledger(spec, directory, patience=PATIENCE_S)
    trial = ledger.trial(number)
    if trial.state != TrialState.RUNNING:
        print(f"trial {number} is {trial.state.name}, not RUNNING: nothing to do")
        return 0
    lease = ledger.worker_lease(trial)
    try:
        _wait_for_predecessor(lease)
    except SimulatorError as error:
        ledger.fail(trial.number, str(error), counts=False)
        raise
    with Lease(lease, on_beat=partial(_beat, ledger, trial)):
        return _work(spec, ledger, trial, slot)


def _work(spec: Spec, ledger: Ledger, trial: FrozenTrial, slot: int) -> int:
    space, _ = parse_space(spec.words, [])
    reporter = Reporter(ledger, trial, space)
    job = Work(
        spec=spec,
        directory=ledger.directory / str(first_of(trial)),
        first=first_of(trial),
        overrides=space.overrides(trial.params),
        slot=slot,
        report=reporter.report,
        mark=reporter.mark,
    )
    try:
        ending = resolve_name(spec.task)(job)
    except ImpossiblePointError as error:
        reporter.mark({IMPOSSIBLE: True})
        ledger.fail(trial.number, str(error), again=False)
        raise
    except UserError as error:
        reporter.mark({REASON: str(error), FATAL: True})
        # Not counted: who watches us stops at once, and the same command goes on when the fault is mended.
        ledger.fail(trial.number, str(error), counts=False)
        raise
    except SimulatorError as error:
        ledger.fail(trial.number, str(error))
        raise
    if not isinstance(ending, Ending):
        return int(ending)
    reporter.mark({REASON: ending.reason, VERDICT: ending.verdict})
    state = TrialState.PRUNED if ending.values is None else TrialState.COMPLETE
    ledger.tell(trial.number, state, ending.values)
    return 0


class Reporter:
    """Tells the study how a trial goes. One that others have ended meanwhile is hopeless: its worker lets it be."""

    def __init__(self, ledger: Ledger, trial: FrozenTrial, space: Space) -> None:
        self._ledger, self._number, self._id = ledger, trial.number, trial._trial_id
        self._space, self._params = space, trial.params

    @cached_property
    def _pruner(self) -> BasePruner:
        """Made once there is something to judge: the settings of this point have been found sound by then."""
        spec = self._ledger.spec
        warmup, every, steps = map(int, spec.numbers(self._space, self._params, SCALE).values())
        return build_pruner(spec.search, warmup=warmup, every=every, steps=steps * len(spec.seeds))

    def report(self, step: int, value: float) -> bool:
        """Tell a value; whether the pruner, or whoever ended the trial, says to stop."""
        study, storage = self._ledger.study, self._ledger.storage

        def tell_and_ask() -> bool:
            storage.set_trial_intermediate_value(self._id, step, value)
            return self._pruner.prune(study, self._ledger.trial(self._number))

        try:
            return retry(tell_and_ask)
        except UpdateFinishedTrialError:
            return True

    def mark(self, attributes: dict[str, object]) -> None:
        """Set attributes of the trial."""
        self._ledger.mark(self._number, attributes)


def _beat(ledger: Ledger, trial: FrozenTrial) -> None:
    """A database's own sign of life, which stock Optuna reads as well; a database that is away hears the next one."""
    if isinstance(ledger.storage, RDBStorage):
        with suppress(Exception):
            ledger.storage.record_heartbeat(trial._trial_id)


def _wait_for_predecessor(lease: Path) -> None:
    deadline = time.monotonic() + PREDECESSOR_S
    while is_alive(lease):
        if time.monotonic() > deadline:
            raise SimulatorError(f"another worker holds {lease}; it goes on, this one leaves")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
