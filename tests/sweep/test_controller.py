"""The controller keeps slots full, retries what died, and ends when it should; with trials in this process."""

import json
import os
import re
import signal

import pytest
from optuna.trial import TrialState
from sweeps import SPACE, make_ledger, quick, reopened

from td3sweep.errors import SimulatorError, UserError
from td3sweep.process.lease import Lease
from td3sweep.sweep import controller as module
from td3sweep.sweep.controller import Controller
from td3sweep.sweep.study import ATTEMPT
from td3sweep.sweep.trial import settings_of
from td3sweep.sweep.worker import work


class InProcess:
    """An engine whose jobs run when they are asked for; ``deaths`` maps a submission's order to how it dies."""

    label = "toy"

    def __init__(self, deaths=(), closed=0):
        self.deaths, self.closed = dict(deaths), closed
        self.submitted, self.stopped, self.most = [], [], 0
        self.open = {}

    def submit(self, job):
        if self.closed:
            self.closed -= 1
            raise SimulatorError("no job just now")
        job_id = str(len(self.submitted))
        self.submitted.append(job)
        self.open[job_id] = job
        self.most = max(self.most, len(self.open))
        return job_id

    def ended(self, job_id):
        job = self.open.get(job_id)
        if job is None:
            return "gone"
        if len(self.open) == 2 and job_id == min(self.open):
            return None  # the later one ends first
        del self.open[job_id]
        if int(job_id) in self.deaths:
            return self.deaths[int(job_id)]
        number, slot = int(job.command[4]), int(job.command[6])
        try:
            work(module.Path(job.command[3]), number, slot)
        except (UserError, SimulatorError) as error:
            return f"exit code {error.exit_code}"
        return "exit code 0"

    def stop(self, job_id):
        self.stopped.append(job_id)

    def close(self):
        pass


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(module, "POLL_S", 0.0)
    monkeypatch.setattr(module, "CLOSED_S", 0.05)
    monkeypatch.setattr(module, "IDLE_S", 0.0)


def sweep(ledger, engine, budget):
    return Controller(ledger, engine, SPACE, budget).run()


def finished(ledger):
    return [trial.state for trial in ledger.latest()]


def test_the_budget_is_met_and_every_directory_is_its_trials(tmp_path, capsys):
    ledger, engine = make_ledger(tmp_path, width=2, trials=5), InProcess()
    assert sweep(ledger, engine, 5) == 0
    assert finished(ledger) == [TrialState.COMPLETE] * 5
    assert engine.most == 2
    for trial in ledger.trials():
        attempts = (tmp_path / str(trial.number) / "attempts.jsonl").read_text().splitlines()
        assert [json.loads(line)["x"] for line in attempts] == [trial.params["x"]]
        assert trial.value == trial.params["x"]
    found = json.loads((tmp_path / "sweep.json").read_text())
    assert found["states"] == {"COMPLETE": 5}
    assert found["best"]["value"] == max(trial.value for trial in ledger.trials())
    assert f"x={found['best']['value']!r}" in found["best"]["command"]
    said = capsys.readouterr().out
    assert "5 of 5 trials ended: 5 complete" in said
    assert said.count("COMPLETE return") == 5


def test_the_same_command_again_starts_nothing_and_a_larger_budget_the_rest(tmp_path):
    ledger = make_ledger(tmp_path)
    sweep(ledger, InProcess(), 3)
    again = InProcess()
    sweep(reopened(ledger), again, 3)
    assert again.submitted == []
    sweep(reopened(ledger), again, 5)
    assert len(again.submitted) == 2


def test_a_trial_that_died_goes_on_in_its_directory(tmp_path):
    ledger, engine = make_ledger(tmp_path, width=1), InProcess(deaths={1: "ended by SIGKILL"})
    assert sweep(ledger, engine, 3) == 0
    assert finished(ledger) == [TrialState.COMPLETE] * 3
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.isdigit()) == ["0", "1", "3"]
    assert [trial.user_attrs.get("reason") for trial in ledger.trials()][1] == "ended by SIGKILL"
    assert engine.submitted[2].log == tmp_path / "1" / "worker.log"


def test_a_sweep_whose_trials_die_before_they_begin_ends_with_the_reason(tmp_path):
    ledger, engine = make_ledger(tmp_path), InProcess(deaths=dict.fromkeys(range(99), "exit code 127"))
    with pytest.raises(SimulatorError, match=r"3 trials in a row failed before they saved anything; .*: exit code 127"):
        sweep(ledger, engine, 9)
    assert len(engine.submitted) == 3
    assert ledger.latest()[0].user_attrs[ATTEMPT] == 0  # its retries are untouched


def test_a_fault_of_the_request_ends_the_sweep_and_the_same_command_goes_on_once_it_is_mended(tmp_path, capsys):
    ledger, engine = make_ledger(tmp_path, task="test_controller:refuse_while_broken", retries=0), InProcess()
    ledger.plan([{"x": 0.25}, {"x": 0.75}], 3)
    (tmp_path / "broken").touch()
    with pytest.raises(UserError, match=r"trial 0: env.path=/x: no such file"):
        sweep(ledger, engine, 3)
    assert len(engine.submitted) == 1
    assert "env.path" not in capsys.readouterr().out  # whoever catches the error says it, once
    (tmp_path / "broken").unlink()
    assert sweep(reopened(ledger), InProcess(), 3) == 0
    assert finished(ledger) == [TrialState.COMPLETE] * 3
    assert [trial.params["x"] for trial in ledger.latest()][:2] == [0.25, 0.75]


def refuse_while_broken(work):
    if (work.directory.parent / "broken").exists():
        raise UserError("env.path=/x: no such file")
    return quick(work)


def test_every_detached_controller_stops_at_its_first_fault_of_the_request(tmp_path):
    """Each takes up what the last one queued again: that must not go round for ever, nor use up a retry."""
    ledger = make_ledger(tmp_path, task="test_controller:refuse_while_broken", retries=0)
    (tmp_path / "broken").touch()
    for _ in range(5):
        engine = InProcess()
        with pytest.raises(UserError, match="no such file"):
            sweep(reopened(ledger), engine, 1)
        assert len(engine.submitted) == 1
    assert [trial.state.name for trial in ledger.trials()] == ["FAIL"] * 5 + ["WAITING"]


def test_a_trial_that_is_stopped_by_anothers_fault_loses_nothing(tmp_path):
    class Stopping(InProcess):
        def ended(self, job_id):
            if job_id == "0":  # runs until it is told to save and leave
                return "exit code 143" if job_id in self.stopped else None
            return super().ended(job_id)

    ledger, engine = make_ledger(tmp_path, task="test_controller:refuse_while_broken", retries=0, width=2), Stopping()
    (tmp_path / "broken").touch()
    with pytest.raises(UserError, match="no such file"):
        sweep(ledger, engine, 2)
    (tmp_path / "broken").unlink()
    assert sweep(reopened(ledger), InProcess(), 2) == 0
    assert finished(ledger) == [TrialState.COMPLETE] * 2


def test_points_that_make_no_valid_settings_fail_by_themselves(tmp_path):
    """They lie within a space whose corners are sound: no reason to stop a sweep hours later, and no outage."""
    ledger = make_ledger(tmp_path, task="test_controller:refuse_the_first_three")
    assert sweep(ledger, InProcess(), 5) == 0
    assert finished(ledger) == [TrialState.FAIL] * 3 + [TrialState.COMPLETE] * 2
    assert re.match(r"warmup=150 with steps=100: .* \(at steps=100\)$", ledger.trials()[0].user_attrs["reason"])
    assert len(ledger.trials()) == 5  # none is tried again


def refuse_the_first_three(work):
    if work.first < 3:
        work.spec.words.clear()
        work.spec.words["steps"] = "choice(900,100)"  # its first corner is sound
        work.spec.base.extend(["demonstrations=none", "warmup=150"])
        work.overrides[:] = ["steps=100"]
        return settings_of(work, 0)
    return quick(work)


def test_settings_that_no_point_makes_any_more_stop_the_sweep_and_cost_nothing(tmp_path):
    """A slip in conf/ while it runs: else every trial that is left would be called impossible within seconds."""
    ledger = make_ledger(tmp_path, task="test_controller:refuse_all", retries=0)
    with pytest.raises(UserError, match=r"trial 0: hyperparams\.gama: unknown key"):
        sweep(ledger, InProcess(), 2)
    assert [trial.state.name for trial in ledger.trials()] == ["FAIL", "WAITING"]


def refuse_all(work):
    work.spec.words.clear()
    work.spec.base.append("hyperparams.gama=1")
    work.overrides.clear()
    return settings_of(work, 0)


@pytest.mark.parametrize("saved_before", [False, True])
def test_an_outage_of_the_simulator_ends_the_sweep_and_costs_nothing(tmp_path, capsys, saved_before):
    ledger, engine = make_ledger(tmp_path, task="test_controller:lose_while_broken", retries=0), InProcess()
    ledger.plan([{"x": 0.25}, {"x": 0.75}], 5)
    (tmp_path / "broken").touch()
    for first in range(5 * saved_before):
        save(tmp_path / str(first), 20)
    with pytest.raises(SimulatorError, match=r"3 trials in a row failed .*: the server at port 2000 does not answer$"):
        sweep(ledger, engine, 5)
    assert len(engine.submitted) == 3
    assert "ended early: one trial after the other fails; the same command again goes on" in capsys.readouterr().out
    (tmp_path / "broken").unlink()
    assert sweep(reopened(ledger), InProcess(), 5) == 0
    assert finished(ledger) == [TrialState.COMPLETE] * 5
    assert [trial.params["x"] for trial in ledger.latest()][:2] == [0.25, 0.75]


def lose_while_broken(work):
    (work.directory / "seed-0").mkdir(parents=True, exist_ok=True)  # it has begun
    if (work.directory.parent / "broken").exists():
        (work.directory / "seed-0" / "checkpoints").mkdir(exist_ok=True)
        (work.directory / "seed-0" / "checkpoints" / "best.pt").touch()  # nothing to go on from
        raise SimulatorError("the server at port 2000 does not answer")
    return quick(work)


def save(directory, step):
    checkpoints = directory / "seed-0" / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    (checkpoints / f"step-{step}.pt").touch()


def test_a_sweep_too_small_for_three_in_a_row_fails_with_its_only_trial_and_tries_it_again(tmp_path):
    ledger = make_ledger(tmp_path, task="test_controller:lose_while_broken", retries=0)
    (tmp_path / "broken").touch()
    for _ in range(2):
        engine = InProcess()
        with pytest.raises(SimulatorError, match=r"every trial failed; the last one: the server at port 2000"):
            sweep(reopened(ledger), engine, 1)
        assert len(engine.submitted) == 1
    (tmp_path / "broken").unlink()
    assert sweep(reopened(ledger), InProcess(), 1) == 0
    assert finished(ledger) == [TrialState.COMPLETE]


def test_one_trial_that_fails_again_and_again_is_its_own_fault(tmp_path):
    ledger = make_ledger(tmp_path, task="test_controller:lose_the_first", retries=3)
    assert sweep(ledger, InProcess(), 3) == 0
    assert finished(ledger) == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert len(ledger.trials()) == 6


def lose_the_first(work):
    if work.first == 0:
        (work.directory / "seed-0").mkdir(parents=True, exist_ok=True)
        raise SimulatorError("the server's process ended")
    return quick(work)


def test_trials_that_get_somewhere_before_they_fail_are_no_outage_but_a_failed_sweep(tmp_path):
    ledger, engine = make_ledger(tmp_path, task="test_controller:save_and_lose", retries=1), InProcess()
    with pytest.raises(SimulatorError, match=r"every trial failed; the last one: the server's process ended"):
        sweep(ledger, engine, 4)
    assert len(engine.submitted) == 8
    again = InProcess()
    with pytest.raises(SimulatorError, match="every trial failed"):
        sweep(reopened(ledger), again, 4)
    assert again.submitted == []  # they had their retries


def save_and_lose(work):
    save(work.directory, 20 * (1 + len(list(work.directory.glob("seed-0/checkpoints/*.pt")))))
    raise SimulatorError("the server's process ended")


def test_an_adopted_trial_keeps_its_slot_and_with_it_its_servers_port(tmp_path):
    ledger = make_ledger(tmp_path, width=2)
    orphan = ledger.claim(tmp_path / "controllers" / "dead.json", 2)
    ledger.mark(orphan.number, {"engine": "toy", "job": "orphan", "slot": 1})

    class Living(InProcess):
        def ended(self, job_id):
            if job_id == "orphan" and not self.submitted:
                return None  # it runs on until ours has been started beside it
            return super().ended(job_id)

    engine = Living()
    assert sweep(reopened(ledger), engine, 2) == 0
    assert [job.slot for job in engine.submitted][:1] == [0]


def test_adopted_trials_count_for_the_width_whatever_their_slot(tmp_path):
    ledger = make_ledger(tmp_path, width=2)
    with Lease(tmp_path / "controllers" / "me.json") as mine:  # dead thereafter
        for slot in (2, 3):
            ledger.mark(ledger.claim(mine.path, 5).number, {"engine": "toy", "job": f"orphan {slot}", "slot": slot})

    class Living(InProcess):
        asked = 0

        def ended(self, job_id):
            if job_id.startswith("orphan"):
                self.asked += 1
                return None if self.asked < 20 else "exit code 1"
            assert self.asked >= 20, "more at once than the width"
            return super().ended(job_id)

    assert sweep(reopened(ledger, retries=0), Living(), 3) == 0


def test_an_engine_that_takes_no_job_is_asked_again(tmp_path):
    ledger, engine = make_ledger(tmp_path, retries=0), InProcess(closed=3)
    assert sweep(ledger, engine, 2) == 0
    assert finished(ledger) == [TrialState.COMPLETE] * 2


def test_a_signal_stops_every_trial_once_and_they_go_on_later(tmp_path):
    class Interrupting(InProcess):
        def submit(self, job):
            job_id = super().submit(job)
            if len(self.submitted) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return job_id

        def ended(self, job_id):
            if job_id not in self.stopped:
                return None
            del self.open[job_id]
            return "exit code 143"

    ledger, engine = make_ledger(tmp_path, width=2, retries=0), Interrupting()
    assert sweep(ledger, engine, 3) == 143
    assert engine.stopped == ["0", "1"]
    again = InProcess()
    assert sweep(reopened(ledger), again, 3) == 0
    assert finished(ledger) == [TrialState.COMPLETE] * 3
    assert len(again.submitted) == 3


def test_patience_ends_a_sweep_that_finds_nothing_better(tmp_path):
    ledger = make_ledger(tmp_path, task="test_controller:ever_worse", patience=2)
    assert sweep(ledger, InProcess(), 50) == 0
    assert finished(ledger) == [TrialState.COMPLETE] * 3


def ever_worse(job):
    from td3sweep.sweep.trial import Ending

    return Ending([-float(job.first)])


def test_hours_end_a_sweep(tmp_path, capsys):
    assert sweep(make_ledger(tmp_path, hours=0.0), InProcess(), 50) == 0
    assert "ended early: sweep.hours=0 are over" in capsys.readouterr().out


def test_several_controllers_share_a_budget(tmp_path):
    """One controller works while another is in the middle of it: neither repeats or loses a trial."""
    ledger = make_ledger(tmp_path)

    class Nested(InProcess):
        def submit(self, job):
            if not self.submitted:
                other = Controller(reopened(ledger), InProcess(), SPACE, 4)
                job_id = super().submit(job)
                assert other.run() == 0
                return job_id
            return super().submit(job)

    outer = Nested()
    assert sweep(ledger, outer, 4) == 0
    assert finished(ledger) == [TrialState.COMPLETE] * 4
    assert len(outer.submitted) == 1  # the other did the rest


def test_a_pruned_trial_keeps_its_verdict_and_has_no_score(tmp_path):
    ledger = make_ledger(tmp_path, task="test_controller:diverge")
    sweep(ledger, InProcess(), 1)
    found = json.loads((tmp_path / "sweep.json").read_text())
    assert found["trials"][0] | {"state": "PRUNED", "verdict": "diverging", "value": None} == found["trials"][0]
    assert (found["best"], found["verdicts"]) == (None, {"diverging": 1})


def diverge(_):
    from td3sweep.sweep.trial import Ending

    return Ending(None, "stopped by the monitor", "diverging")
