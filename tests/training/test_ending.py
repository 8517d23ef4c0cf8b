"""How a run ended, as its summary says it."""

import contextlib
import math

import pytest
from command import TOY
from toy_env import DotEnv
from toy_trainer import make

from td3sweep.collect.collector import FAULTS_IN_A_ROW
from td3sweep.errors import SimulatorError
from td3sweep.files import read_json
from td3sweep.training import run as run_module
from td3sweep.training.callbacks import Callback
from td3sweep.training.run import ending, run


def test_all_steps_taken(tmp_path):
    trainer = make(tmp_path)
    trainer.run()
    assert ending(trainer) == "finished"


def test_a_signal(tmp_path):
    trainer = make(tmp_path, stop_after=23)
    trainer.run()
    assert ending(trainer) == "interrupted"


def test_the_monitor(tmp_path):
    trainer = make(tmp_path, stop=True)
    trainer.agent._tau = math.nan  # poisons every target at the first soft update
    trainer.run()
    assert ending(trainer) == "stopped by the monitor"


class StopsAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_evaluation(self, trainer, found):
        if trainer.step >= self.step:
            trainer.stop("pruned")


def test_a_sweep_that_calls_it_hopeless(tmp_path):
    trainer = make(tmp_path, eval_every=5)
    trainer.callbacks.append(StopsAt(20))
    trainer.run()
    assert ending(trainer) == "pruned"


def test_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("td3sweep.collect.in_process.PAUSES_S", (0.0,) * (FAULTS_IN_A_ROW - 1))
    trainer = make(tmp_path, env=DotEnv(fail_at=range(20, 9999)))
    with pytest.raises(SimulatorError):
        trainer.run()
    assert ending(trainer) == "crashed"


@pytest.mark.slow
def test_an_error_is_in_the_summary_also_of_a_run_that_was_extended(tmp_path, settings, monkeypatch):
    monkeypatch.setattr("td3sweep.collect.in_process.PAUSES_S", (0.0,) * (FAULTS_IN_A_ROW - 1))

    def summary_after(steps, fail_at):
        monkeypatch.setattr(run_module, "build_env", lambda *_: DotEnv(fail_at=fail_at))
        with pytest.raises(SimulatorError) if fail_at else contextlib.nullcontext():
            run(settings(*TOY, f"steps={steps}"), tmp_path)
        found = read_json(tmp_path / "summary.json")
        return found["ended"], found["finished"], found["env_steps"]

    assert summary_after(20, range(12, 9999)) == ("crashed", False, 11)
    assert summary_after(20, ()) == ("finished", True, 20)
    assert summary_after(60, range(1, 9999)) == ("crashed", False, 20)  # its last evaluation was cut off already
    assert summary_after(20, ()) == ("finished", True, 20)
    ended, done, steps = summary_after(60, range(30, 9999))
    assert (ended, done) == ("crashed", False)
    assert 20 < steps < 60
