"""The best evaluation of a run: its weights are kept, on whatever session it was, and its end tells of it."""

import io
import math
from pathlib import Path

import pytest
from rich.console import Console
from toy_env import DotEnv
from toy_trainer import make, same

from td3sweep.collect.evaluation import FIRST_SEED, RUN_SEED
from td3sweep.record.console import closing
from td3sweep.training.checkpoint import read_checkpoint
from td3sweep.training.run import Outcome, summarise


def with_returns(trainer, returns):
    """The trainer, each of whose evaluations finds the next of ``returns``."""
    evaluate, found = trainer.collector.evaluate, iter(returns)
    trainer.collector.evaluate = lambda *asked: evaluate(*asked) | {"eval/return": next(found)}
    return trainer


def best_of(folder):
    return read_checkpoint(folder / "checkpoints" / "best.pt")


@pytest.mark.parametrize(
    ("returns", "best"),
    [
        ([1.0, 3.0, 2.0], 24),
        ([-5.0, -6.0, -7.0], 12),
        ([1.0, math.nan, 0.0], 12),
        pytest.param([1.0, 2.0, 3.0], 36, marks=pytest.mark.slow),
        pytest.param([2.0, 2.0, 1.0], 24, marks=pytest.mark.slow),
    ],
)
def test_the_best_evaluation_keeps_its_weights(tmp_path, returns, best):
    options = {"eval_every": 12, "env": DotEnv(length=12)}
    with_returns(make(tmp_path / "whole", steps=36, warmup=11, **options), returns).run()
    found = best_of(tmp_path / "whole")
    assert (found["env_step"], found["eval/return"]) == (best, returns[best // 12 - 1])
    short = make(tmp_path / "short", **options | {"warmup": 11, "steps": best, "eval_every": 1000})
    short.run()
    assert same(found["agent"]["actor"], short.agent.state_dict()["actor"])


@pytest.mark.parametrize(
    ("sessions", "best"),
    [
        ([(36, [3.0, 1.0, 1.0]), (48, [1.0, 2.0])], (3.0, 12)),  # an evaluation due at the last step is made again
        ([(30, [5.0, 1.0, 10.0]), (40, [1.0, 7.0])], (10.0, 30)),  # one that only the end asked for is not
    ],
)
def test_an_extended_run_remembers_its_best(tmp_path, sessions, best):
    for steps, returns in sessions:
        trainer = with_returns(
            make(tmp_path, env=DotEnv(length=12), steps=steps, warmup=11, eval_every=12, save_every=12), returns
        )
        trainer.run()
    assert (trainer.best_return, trainer.best_at) == best
    assert (best_of(tmp_path)["eval/return"], best_of(tmp_path)["env_step"]) == best


def test_a_run_that_starts_anew_forgets_the_best_of_another(tmp_path):
    make(tmp_path, steps=20).run()
    for path in (tmp_path / "checkpoints").glob("step-*.pt"):
        path.unlink()
    make(tmp_path, steps=20, stop_after=3).run()
    assert not (tmp_path / "checkpoints" / "best.pt").exists()


def test_evaluations_within_a_run_have_starts_that_the_protocol_does_not(tmp_path):
    trainer = make(tmp_path, steps=20, eval_episodes=3)
    trainer.run()
    assert [seed for seed in trainer.env.resets if seed >= FIRST_SEED] == [RUN_SEED, RUN_SEED + 1, RUN_SEED + 2]
    assert RUN_SEED > FIRST_SEED + 10_000  # episodes that the protocol has at most
    assert RUN_SEED + 10_000 < 2**32


@pytest.mark.parametrize(
    ("returns", "best", "told"),
    [
        ([3.0, 1.0], (3.0, 24), "to the end, return 3.00 (step 24): checkpoints/best.pt"),
        ([1.0, 3.0], (3.0, 36), ""),
        ([math.nan, math.nan], (None, 0), ""),
    ],
)  # fmt: skip
def test_a_better_evaluation_than_the_last_is_told(tmp_path, settings, returns, best, told):
    trainer = with_returns(make(tmp_path, env=DotEnv(length=12), steps=36, eval_every=24), returns)
    trainer.run()
    summary = summarise(trainer) | {"ended": "finished"}
    assert (summary["best_return"], summary["best_at"]) == best
    console = Console(file=io.StringIO(), width=200)
    closing(console, settings(), trainer, Outcome(Path("run"), summary, 0))
    printed = console.file.getvalue()
    assert told in printed
    assert ("its best weights" in printed) is bool(told)
