"""A worker whose predecessor is not gone yet: it waits until that can be told from afar, and loses nothing."""

import json
import os
import time

import pytest
from sweeps import make_ledger

from td3sweep.errors import SimulatorError
from td3sweep.process.lease import BEAT_S, Lease
from td3sweep.sweep import worker as module
from td3sweep.sweep.study import ATTEMPT
from td3sweep.sweep.worker import work


class Clock:
    """Time passes by sleeping only; with it ages a lease whose holder, on another machine, beats until ``dies``."""

    def __init__(self, lease, dies):
        self.now, self.dies, self.lease = 0.0, dies, lease
        lease.parent.mkdir()
        lease.write_text(json.dumps({"host": "another", "pid": 1, "start": "1"}))

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        beat = time.time() - max(self.now - self.dies, 0.0)
        os.utime(self.lease, (beat, beat))


@pytest.fixture
def claimed(tmp_path):
    """A ledger with a claimed trial."""
    ledger = make_ledger(tmp_path, retries=0)
    with Lease(tmp_path / "controllers" / "me.json") as mine:
        yield ledger, ledger.claim(mine.path, 1)


def test_one_that_died_on_another_node_is_waited_for_until_it_counts_as_dead(claimed, monkeypatch):
    ledger, trial = claimed
    monkeypatch.setattr(module, "time", Clock(ledger.worker_lease(trial), dies=BEAT_S))
    assert work(ledger.directory, trial.number, 0) == 0
    assert [one.state.name for one in ledger.trials()] == ["COMPLETE"]


def test_one_that_lives_costs_its_successor_no_retry(claimed, monkeypatch):
    ledger, trial = claimed
    monkeypatch.setattr(module, "time", Clock(ledger.worker_lease(trial), dies=float("inf")))
    with pytest.raises(SimulatorError, match="another worker holds"):
        work(ledger.directory, trial.number, 0)
    attempts = [(one.state.name, one.user_attrs.get(ATTEMPT, 0)) for one in ledger.trials()]
    assert attempts == [("FAIL", 0), ("WAITING", 0)]
