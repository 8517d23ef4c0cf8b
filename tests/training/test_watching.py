"""The monitor looks on: what it judges, what it remembers, and when it ends a run."""

import math

import pytest
from toy_env import DotEnv
from toy_trainer import make, rows

from td3sweep.errors import SimulatorError
from td3sweep.training.watching import Watching


def test_only_episodes_of_one_phase_are_judged(tmp_path):
    trainer = make(tmp_path, steps=60)
    judged, episode = [], trainer.monitor.episode
    trainer.monitor.episode = lambda step, **told: judged.append((step, told)) or episode(step, **told)
    trainer.run()
    for step, told in judged:
        assert (step <= 16) == (told["phase"] == "warm-up")
        assert step <= 16 or step - told["length"] >= 16
    lengths = [row["length"] for row in rows(tmp_path, "episodes.jsonl")]
    assert len(judged) == len(lengths) - 1  # but for the one that spans both


def test_an_audit_reaches_the_monitor_after_the_restored_state_and_is_told_once(tmp_path):
    make(tmp_path, stop_after=23).run()
    told = []
    for _ in range(2):
        trainer = make(tmp_path, stop_after=0)
        trainer.callbacks = [Watching(trainer.monitor, wiring=(["H6"], ["crossed"]))]
        trainer.recorder.alarm = told.append
        trainer.run()
        assert trainer.monitor.verdict == "faulty wiring"
    assert [alarm.detector for alarm in told] == ["d0"]


def test_a_sitting_without_the_monitor_does_not_forget_what_it_knew(tmp_path):
    first = make(tmp_path, stop_after=23)
    first.run()
    make(tmp_path, stop_after=3, monitor=False).run()
    last = make(tmp_path, stop_after=0)
    last.run()
    assert last.monitor.r_max == first.monitor.r_max > 0


def test_an_alarm_stops_the_run_only_where_asked(tmp_path):
    for stop in (False, True):
        trainer = make(tmp_path / str(stop), stop=stop)
        trainer.agent._tau = math.nan  # poisons every target at the first soft update
        trainer.run()
        assert trainer.monitor.verdict == "diverging"
        assert bool(trainer.stopped) is stop
        assert (trainer.step < 40) is stop


def test_what_it_knew_is_known_again_before_the_open_episode_is_driven_again_and_fails(tmp_path):
    first = make(tmp_path, stop_after=23)
    first.callbacks = [Watching(first.monitor, wiring=(["H6"], ["crossed"]))]
    first.run()
    resumed = make(tmp_path, env=DotEnv(fail_at=range(1, 99)))
    with pytest.raises(SimulatorError, match="resuming at step"):
        resumed.run()
    assert resumed.monitor.verdict == "faulty wiring"
