"""The trainer through bad days of the simulator: what is discarded, counted, waited for and saved."""

import time

import numpy as np
import pytest
from toy_env import DotEnv
from toy_trainer import make, rows, same, weights

from td3sweep.collect.collector import FAULTS_IN_A_ROW
from td3sweep.errors import SimulatorError


def test_a_simulator_fault_discards_the_episode_and_stores_none_of_it(tmp_path):
    trainer = make(tmp_path, env=DotEnv(fail_at=[20]))
    trainer.run()
    assert (trainer.step, trainer.faults) == (40, 1)
    lengths = [row["length"] for row in rows(tmp_path, "episodes.jsonl")]
    stored = sum(lengths) + (trainer.collector.episode.length if trainer.collector.episode else 0)
    assert stored < 40
    assert len(trainer.replay) == stored
    assert len(set(trainer.env.resets)) == len(trainer.env.resets)  # the next episode is another one


def test_faults_are_counted_by_kind_in_the_rows_and_through_a_resume(tmp_path):
    trainer = make(tmp_path, env=DotEnv(fail_at=[18, 20]), save_every=10, steps=30)
    trainer.run()
    assert trainer.fault_kinds == {"hang": 2}
    last = [row for row in rows(tmp_path) if "loss/critic" in row][-1]
    assert (last["env/faults"], last["env/faults/hang"]) == (2.0, 2.0)
    again = make(tmp_path, steps=40)
    again.run()
    assert (again.faults, again.fault_kinds) == (2, {"hang": 2})


def test_a_simulator_that_is_gone_for_a_while_is_waited_for(tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr("td3sweep.collect.in_process.PAUSES_S", (0.0, 0.02, 0.3, 1.1))
    monkeypatch.setattr(
        "td3sweep.training.trainer.time.sleep", lambda seconds, sleep=time.sleep: slept.append(sleep(seconds))
    )
    trainer = make(tmp_path, env=DotEnv(fail_at=range(20, 24)))
    begun = time.monotonic()
    trainer.run()
    assert (trainer.step, trainer.faults) == (40, 4)
    assert time.monotonic() - begun > 1.42
    assert len(slept) >= 5  # in short sleeps, so that a signal is heeded


def test_a_simulator_that_never_comes_back_ends_the_run_with_everything_saved(tmp_path, monkeypatch):
    monkeypatch.setattr("td3sweep.collect.in_process.PAUSES_S", (0.0,) * (FAULTS_IN_A_ROW - 1))
    trainer = make(tmp_path, env=DotEnv(fail_at=range(20, 9999)))
    with pytest.raises(SimulatorError, match="injected"):
        trainer.run()
    assert trainer.faults == FAULTS_IN_A_ROW
    healed = make(tmp_path)
    healed.run()
    assert healed.step == 40


def test_a_simulator_that_does_not_repeat_itself_costs_the_open_episode_only(tmp_path, caplog):
    first = make(tmp_path, stop_after=23)
    first.run()
    stored, opened = len(first.replay), first.collector.episode.length
    assert opened > 0

    class Other(DotEnv):
        def _frame(self):
            return super()._frame() + np.uint8(1)

    second = make(tmp_path, env=Other(), stop_after=0)
    second.run()
    assert "did not repeat" in caplog.text
    assert second.step == first.step
    assert len(second.replay) == stored - opened
    assert same(weights(first), weights(second))


def test_a_simulator_that_is_not_there_at_a_resume_costs_nothing(tmp_path):
    undisturbed = make(tmp_path / "a")
    undisturbed.run()
    make(tmp_path / "b", stop_after=23).run()

    class Absent(DotEnv):
        def reset(self, **options):
            raise SimulatorError("nobody answers")

    for _ in range(2):
        with pytest.raises(SimulatorError, match="resuming at step"):
            make(tmp_path / "b", env=Absent()).run()
    back = make(tmp_path / "b")
    back.run()
    assert same(weights(undisturbed), weights(back))
