"""A storage that goes away in the middle of a step, and processes that die there: nothing is lost or doubled."""

import resource
import threading
import time

import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from td3sweep.config.settings import SweepSettings
from td3sweep.process.lease import Lease
from td3sweep.sweep import storage as storage_module
from td3sweep.sweep.controller import Controller
from td3sweep.sweep.space import parse_space
from td3sweep.sweep.spec import Spec
from td3sweep.sweep.storage import JOURNAL, open_storage
from td3sweep.sweep.study import CONTROLLER, Ledger, first_of

SPACE, _ = parse_space({}, ["x=interval(0,1)"])


@pytest.fixture
def ledger(tmp_path):
    numbers = {"steps": 10, "warmup": 0, "eval_every": 5}
    spec = Spec("toy", "none", SPACE.words, [], [0], numbers, SweepSettings())
    spec.save(tmp_path)
    return Ledger(spec, tmp_path, SPACE)


@pytest.fixture
def controller(tmp_path):
    """The lease of a controller that lives."""
    with Lease(tmp_path / "controllers" / "me.json") as lease:
        yield lease.path


def goes_away_once(monkeypatch, owner, name, *, after):
    """The method fails once, before or after it has done its work, as when a connection is lost at the commit."""
    real, failed = getattr(owner, name), []

    def method(*arguments, **named):
        done = real(*arguments, **named) if after or failed else None
        if not failed:
            failed.append(True)
            raise StorageInternalError("server closed the connection")
        return done

    monkeypatch.setattr(owner, name, method)
    return failed


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["create_new_trial", "set_trial_param", "set_trial_user_attr"])
def test_a_storage_that_goes_away_during_a_claim_costs_no_trial_of_the_budget(
    ledger, controller, monkeypatch, step, after
):
    failed = goes_away_once(monkeypatch, ledger.storage, step, after=after)
    claimed = ledger.claim(controller, 1)
    assert failed
    assert claimed.params
    assert ledger.claim(controller, 1) is None
    assert [first_of(trial) for trial in ledger.latest()] == [0]


@pytest.mark.parametrize("after", [False, True])
def test_a_storage_that_goes_away_while_a_retry_is_queued_queues_one(ledger, controller, monkeypatch, after):
    trial = ledger.claim(controller, 1)
    failed = goes_away_once(monkeypatch, ledger.storage, "create_new_trial", after=after)
    ledger.fail(trial.number, "exit code 1")
    assert failed
    assert [trial.state.name for trial in ledger.trials()] == ["FAIL", "WAITING"]


def test_who_dies_between_taking_a_retry_and_naming_its_point_leaves_the_point_with_the_trial(ledger, controller):
    first = ledger.claim(controller, 1)
    ledger.fail(first.number, "exit code 1")
    (retry,) = (trial for trial in ledger.trials() if trial.state == TrialState.WAITING)
    ledger.storage.set_trial_state_values(retry._trial_id, TrialState.RUNNING)  # what Optuna does first; then it dies
    again = ledger.claim(controller, 1)
    assert (again.number, first_of(again), again.params) == (2, 0, first.params)


def test_marking_a_trial_that_has_ended_meanwhile_is_no_fault(ledger, controller):
    trial = ledger.claim(controller, 1)
    ledger.tell(trial.number, TrialState.COMPLETE, [1.0])
    ledger.mark(trial.number, {"job": "77"})
    assert "job" not in ledger.trial(trial.number).user_attrs


class NoJobs:
    """An engine that knows no job of an earlier controller."""

    label = "local"

    def __init__(self):
        self.submitted = []

    def submit(self, job):
        self.submitted.append(job)
        return "1"

    def ended(self, job_id):
        return "exit code 0"

    def stop(self, job_id):
        pass

    def close(self):
        pass


def test_a_controller_does_not_leave_while_an_orphan_is_worked_on(ledger, tmp_path):
    """Its controller died between submitting its job and noting it, so that no other can follow that."""
    orphan = ledger.claim(tmp_path / "controllers" / "dead.json", 1)
    assert CONTROLLER in orphan.user_attrs
    engine = NoJobs()
    ended = []

    def end():
        time.sleep(1.0)
        ended.append(ledger.tell(orphan.number, TrialState.COMPLETE, [1.0]))

    with Lease(ledger.worker_lease(orphan)):
        worker = threading.Thread(target=end)
        worker.start()
        assert Controller(ledger, engine, SPACE, 1).run() == 0
        assert ended == [True]
        worker.join()
    assert engine.submitted == []


def test_a_line_that_a_dying_process_tore_harms_neither_who_lives_nor_who_comes_later(ledger, controller):
    other = Ledger(ledger.spec, ledger.directory, SPACE)
    ledger.claim(controller, 3)
    with (ledger.directory / JOURNAL).open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    assert other.claim(controller, 3).number == 1
    assert ledger.claim(controller, 3).number == 2
    assert len(Ledger(ledger.spec, ledger.directory).trials()) == 3


def test_a_full_disk_leaves_no_half_line(ledger, controller):
    trial = ledger.claim(controller, 2)
    journal = ledger.directory / JOURNAL
    before = journal.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            ledger.tell(trial.number, TrialState.COMPLETE, [1.0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert journal.read_bytes() == before
    assert ledger.tell(trial.number, TrialState.COMPLETE, [1.0])
    assert Ledger(ledger.spec, ledger.directory).study.best_value == 1.0


def test_a_database_that_is_away_for_a_moment_is_waited_for_by_who_only_tells(tmp_path, monkeypatch):
    tries = []

    def connect(*_, **__):
        tries.append(True)
        if len(tries) < 3:
            raise OperationalError("SELECT 1", {}, Exception("connection refused"))
        return "storage"

    monkeypatch.setattr(storage_module, "RDBStorage", connect)
    assert open_storage("postgresql+psycopg://x/y", tmp_path, patience=30.0) == "storage"
    assert len(tries) == 3
