"""A trainer on the toy environment, and what it left."""

import itertools
import json
from functools import partial

import torch
from rich.console import Console
from toy_env import DotEnv

from td3sweep.agent.build import build_td3
from td3sweep.collect.in_process import InProcess
from td3sweep.collect.schedule import Schedule
from td3sweep.monitor.verdict import Monitor
from td3sweep.record.recorder import Recorder
from td3sweep.record.rundir import RunDirectory
from td3sweep.replay import LAP, FrameReplay, PrioritizedReplay
from td3sweep.training.checkpoint import Checkpoints
from td3sweep.training.trainer import Trainer
from td3sweep.training.watching import Watching

SCHEDULE = {
    "steps": 40, "horizon": 40, "warmup": 16, "updates_per_step": 1.0, "critic_only_updates": 0, "batch_size": 8,
    "exploration_noise": (0.1, 0.1),
    "noise_steps": 100, "lr_final": 1.0, "cloning": None, "reward_scale": 1.0,
    "log_every": 5, "eval_every": 1000, "eval_episodes": 1, "eval_spread": True, "save_every": 1000, "seed": 3,
    "random_low": (-1.0, -0.3), "random_high": (1.0, 1.0),
    "gamma": 0.9,
}  # fmt: skip


def schedule_of(**changes):
    """Nobody shows how to drive, if not told otherwise: all of the warm-up is random."""
    schedule = SCHEDULE | changes
    return Schedule(**{"random_steps": schedule["warmup"]} | schedule)


def make(
    path, *, env=None, memory="none", cnn="nature", rule=None, capacity=200, stop_after=None, monitor=True, stop=False,
    demonstrator=None, agent_cloning=0.0, context=False, **schedule,
):  # fmt: skip
    """A trainer in ``path`` that leaves, as at a signal, after ``stop_after`` questions."""
    torch.set_num_threads(1)
    run = RunDirectory(path)
    for folder in (run.checkpoints, run.replay):
        folder.mkdir(parents=True, exist_ok=True)
    length = 1 if memory == "none" else 4
    agent = build_td3(
        cnn=cnn, memory=memory, memory_size=8, memory_context=context, vector_size=2, action_size=2, seed=1,
        cloning=agent_cloning, tau=0.01, actor_lr=1e-3, critic_lr=1e-3,
        loss="huber" if isinstance(rule, LAP) else "mse",
    )  # fmt: skip
    replay = (FrameReplay if rule is None else partial(PrioritizedReplay, rule))(
        capacity, vector_size=2, action_size=2, state_sizes=agent.state_sizes, state_stride=2 if length > 1 else 1,
        gamma=0.9, n_step=1, sequence_length=length, burn_in=2 if length > 1 else 0, seed=2,
    )  # fmt: skip
    questions = itertools.count()
    watcher = Monitor(gamma=0.9, clip="joint", clip_actor=1.0, clip_critic=10.0, stop_on=["d1", "d2", "nonfinite"])
    numbers, env = schedule_of(**({} if length == 1 else {"batch_size": 2}) | schedule), env or DotEnv()
    trainer = Trainer(
        numbers,
        collector=InProcess(numbers, env, agent, replay, demonstrator),
        agent=agent,
        replay=replay,
        callbacks=[Watching(watcher, stop=stop)] if monitor else [],
        recorder=Recorder(run, Console(quiet=True), None),
        checkpoints=Checkpoints(run.checkpoints, run.replay),
        interrupted=lambda: stop_after is not None and next(questions) >= stop_after,
    )
    trainer.env, trainer.monitor = env, watcher if monitor else None
    return trainer


def weights(trainer):
    state = trainer.agent.state_dict()
    return {f"{part}.{key}": value for part in ("actor", "critic", "target_actor", "target_critic")
            for key, value in state[part].items()}  # fmt: skip


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[key], other[key]) for key in one)


def rows(path, name="metrics.jsonl"):
    return [json.loads(line) for line in (path / name).read_text().splitlines()]


def timeless(found):
    return [{key: value for key, value in row.items() if not key.startswith("time/")} for row in found]
