"""What squeue's answers mean, without a Slurm: a stand-in squeue prints or fails."""

import pytest

from td3sweep.sweep.engines import slurm_queue
from td3sweep.sweep.engines.slurm_queue import SlurmQueue


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Set what `squeue` does; `squeue.asked()` counts its calls."""
    calls = tmp_path / "calls"

    def does(script):
        program = tmp_path / "squeue"
        program.write_text(f"#!/bin/sh\necho >>{calls}\n{script}\n")
        program.chmod(0o755)

    does.asked = lambda: len(calls.read_text().splitlines()) if calls.exists() else 0
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return does


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved on."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(slurm_queue.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.mark.parametrize(
    "state",
    ["PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SIGNALING", "NEW"],
)
def test_a_job_that_may_go_on_has_not_ended(squeue, state):
    squeue(f"echo '12|{state}'")
    assert SlurmQueue().final("12") is None


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED"])
def test_final_states(squeue, state):
    squeue(f"echo '7|RUNNING'; echo '12|{state}'")
    queue = SlurmQueue()
    assert (queue.final("12"), queue.final("7")) == (state, None)


def test_jobs_that_squeue_would_leave_out_are_asked_for(squeue, monkeypatch):
    """Those of a hidden partition without --all, and those of others than SQUEUE_PARTITION names."""
    monkeypatch.setenv("SQUEUE_PARTITION", "debug")
    squeue('case " $* " in *" --all "*) [ -n "$SQUEUE_PARTITION" ] || echo "12|RUNNING";; esac')
    assert SlurmQueue().final("12") is None


def test_a_forgotten_job_is_gone_also_from_an_empty_queue(squeue):
    squeue("true")
    assert SlurmQueue().final("12") == "gone"


def test_one_call_serves_all_jobs_for_two_seconds(squeue, clock):
    squeue("echo '1|RUNNING'; echo '2|RUNNING'")
    queue = SlurmQueue()
    assert [queue.final(job) for job in ("1", "2", "1")] == [None, None, None]
    assert squeue.asked() == 1
    clock.now += 1.9
    queue.final("1")
    assert squeue.asked() == 1
    clock.now += 0.2
    queue.final("1")
    assert squeue.asked() == 2


def test_a_job_submitted_since_is_looked_for_anew(squeue, clock):
    squeue("echo '1|RUNNING'")
    queue = SlurmQueue()
    assert queue.final("1") is None
    squeue("echo '1|RUNNING'; echo '2|PENDING'")
    queue.changed()
    assert queue.final("2") is None


def test_no_answer_means_not_known_and_is_said_once(squeue, clock, caplog):
    squeue("echo '1|RUNNING'")
    queue = SlurmQueue()
    assert queue.final("1") is None
    squeue("echo 'squeue: error: Unable to contact' >&2; exit 1")
    for _ in range(3):
        clock.now += 11
        assert queue.final("1") is None
    assert squeue.asked() == 4
    assert [record.message for record in caplog.records] == [
        "squeue does not answer (squeue: error: Unable to contact); asking on"
    ]
    queue.changed()
    assert queue.final("1") is None
    assert squeue.asked() == 4, "a silent controller is asked every ten seconds only"
    squeue("true")
    clock.now += 11
    assert queue.final("1") == "gone"
