"""How a run ended, as its summary says it."""

import io
import math
from pathlib import Path

import pytest
from rich.console import Console
from test_trainer import make, with_returns
from toy_env import DotEnv

from td3sweep.collect.collector import FAULTS_IN_A_ROW
from td3sweep.errors import SimulatorError
from td3sweep.record.console import closing
from td3sweep.run import Outcome, ending, summarise


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


@pytest.mark.parametrize(
    ("returns", "best", "told"),
    [
        ([3.0, 1.0], (3.0, 24), "best evaluation: return 3.00 at step 24, the last 1.00; checkpoints/best.pt has"),
        ([1.0, 3.0], (3.0, 36), ""),
        ([math.nan, math.nan], (None, 0), ""),
    ],
)  # fmt: skip
def test_a_better_evaluation_than_the_last_is_told(tmp_path, settings, returns, best, told):
    trainer = with_returns(make(tmp_path, env=DotEnv(length=12), steps=36, eval_every=24), returns)
    trainer.run()
    summary = summarise(trainer)
    assert (summary["best_return"], summary["best_at"]) == best
    console = Console(file=io.StringIO(), width=200)
    closing(console, settings(), trainer, Outcome(Path("run"), summary, 0))
    printed = console.file.getvalue()
    assert told in printed
    assert ("best evaluation" in printed) is bool(told)
