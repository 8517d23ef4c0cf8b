"""How a run ended, as its summary says it."""

import math

import pytest
from test_trainer import make
from toy_env import DotEnv

from td3sweep.collect.collector import FAULTS_IN_A_ROW
from td3sweep.errors import SimulatorError
from td3sweep.run import ending


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


def test_a_sweep_that_calls_it_hopeless(tmp_path):
    trainer = make(tmp_path, eval_every=5)
    trainer._judge = lambda step: step >= 20
    trainer.run()
    assert ending(trainer) == "pruned"


def test_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("td3sweep.collect.here.PAUSES_S", (0.0,) * (FAULTS_IN_A_ROW - 1))
    trainer = make(tmp_path, env=DotEnv(fail_at=range(20, 9999)))
    with pytest.raises(SimulatorError):
        trainer.run()
    assert ending(trainer) == "crashed"
