"""The hook for other people's loops: its numbers by hand, in a real loop, and without any of our dependencies."""

import doctest
import subprocess
import sys

import numpy as np
import pytest
import torch

import td3sweep.monitor.watch
from td3sweep.monitor.watch import Watch


@pytest.fixture
def rows(monkeypatch):
    """What reaches the monitor."""
    seen = []
    monkeypatch.setattr(
        "td3sweep.monitor.verdict.Monitor.watch",
        lambda _, step, row, phase: (seen.append((step, dict(row), phase)), ({}, []))[1],
    )
    return seen


def test_batches_become_means_maxima_and_spreads(rows):
    watch = Watch(gamma=0.9, warmup=100)
    watch.update(
        150,
        q_actor=torch.tensor([[1.0], [5.0]], requires_grad=True),
        q1=np.array([2.0, 4.0], np.float32),
        q2=3,
        q_target=[1.0, 3.0],
        critic_loss=torch.tensor(0.5, dtype=torch.bfloat16),
        actions=[[0.995, 0.5], [-1.0, 0.0]],
        actor_gradient=0.25,
    )
    assert rows == [
        (
            150,
            {
                "q/actor": 3.0, "q/actor_max": 5.0, "q/q1": 3.0, "q/q2": 3.0, "q/target": 2.0, "q/target_sd": 1.0,
                "loss/critic": 0.5, "action/saturation": 0.5, "grad/actor/head/before": 0.25,
            },
            "learning",
        )
    ]  # fmt: skip


def test_an_actor_loss_alone_tells_the_actors_q(rows):
    Watch(gamma=0.9).update(5, actor_loss=-7.0)
    assert rows == [(5, {"loss/actor": -7.0, "q/actor": 7.0}, "learning")]


def test_the_largest_reward_seen_bounds_q():
    watch = Watch(gamma=0.9)
    watch.update(1, rewards=np.array([0.5, -2.0]), q_actor=23.0)  # bound 20, threshold 22
    watch.update(2, rewards=[1.0], q_actor=23.0)
    assert not watch.monitor.failed
    alarms = watch.update(3, q_actor=23.0)
    assert [(alarm.detector, alarm.step) for alarm in alarms if alarm.level == "FAIL"] == [("d1", 3)]
    assert watch.report().startswith("verdict: diverging")


def test_an_episode_that_spans_the_start_of_learning_is_left_out(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "td3sweep.monitor.verdict.Monitor.episode", lambda _, step, **told: seen.append((step, told["phase"])) or []
    )
    watch = Watch(gamma=0.9, warmup=100)
    for step, length in ((60, 60), (100, 40), (130, 31), (140, 40), (150, 10)):
        watch.episode(step, length=length, ret=1.0)
    assert seen == [(60, "warm-up"), (100, "warm-up"), (140, "learning"), (150, "learning")]


def test_three_lines_in_a_cleanrl_style_loop_tell_a_sound_run_from_a_diverging_one(sound, slipped):
    _, watch = sound
    assert not watch.monitor.failed, watch.report()
    missing = watch.report().partition("left out")[2]
    assert not any(name in missing for name in ("d1", "d2", "d3", "d5"))
    _, watch = slipped
    assert watch.monitor.verdict == "diverging"
    assert "will more steps help? no" in watch.report()


def test_the_example_in_its_documentation():
    assert doctest.testmod(td3sweep.monitor.watch).attempted == 4
    assert doctest.testmod(td3sweep.monitor.watch).failed == 0


def test_the_monitor_works_without_everything_else():
    code = """
import sys
for name in ("hydra", "omegaconf", "carla", "wandb", "torch", "gymnasium", "rich", "stable_baselines3"):
    sys.modules[name] = None
from td3sweep.monitor.watch import Watch
watch = Watch(gamma=0.99, warmup=1000)
for step in range(0, 1000, 50):
    watch.episode(step, length=50, ret=10)
for step in range(1000, 5000, 100):
    watch.update(step, q_actor=[2.0 ** (step / 100)], q1=15.0, q_target=[12.0, 18.0], rewards=[1.0])
    watch.episode(step, length=50, ret=10)
print(watch.report())
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("verdict: diverging")


def test_numbers_may_come_as_arrays_of_one(rows):
    """As gymnasium 0.29's statistics of an episode do, which NumPy 2.4 no longer turns into floats by itself."""
    watch = Watch(gamma=0.9)
    watch.episode(50, length=np.array([50]), ret=np.array([[1.5]]))
    watch.evaluation(60, np.array([2.0]))
    assert watch.monitor._lengths.seen() == 1


@pytest.mark.parametrize("gamma", [1.0, 1.01])
def test_a_discount_of_1_or_more_ends_no_training(gamma):
    watch = Watch(gamma=gamma)
    for step in range(50):
        watch.update(step, q_actor=[1.0, 2.0], q1=1.5, q_target=[1.0, 2.0], rewards=[1.0])
    assert "discount of 1" in watch.report()


def test_what_goes_wrong_in_a_monitor_is_told_of_once_and_ends_nothing(monkeypatch, caplog):
    def broken(*_, **__):
        raise ZeroDivisionError("by hand")

    watch = Watch(gamma=0.9)
    monkeypatch.setattr("td3sweep.monitor.verdict.Monitor.watch", broken)
    assert [watch.update(step, q_actor=1.0) for step in (1, 2)] == [[], []]
    assert watch.update(3, q_actor="a word") == []
    assert [record.message for record in caplog.records] == [
        "Watch.update failed (ZeroDivisionError: by hand); training goes on unwatched there"
    ]
