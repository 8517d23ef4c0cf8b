"""Trainers whose actors run in threads: the same loops and messages as in processes, and no waiting for imports."""

import os
import threading
import time
from functools import partial
from multiprocessing import Pipe
from types import SimpleNamespace

import numpy as np
import torch
from rich.console import Console
from toy_env import DotEnv
from toy_trainer import schedule_of

from td3sweep.agent.build import build_td3
from td3sweep.collect.actor_pool import ActorPool
from td3sweep.collect.actor_process import ActorLoop
from td3sweep.collect.messages import ActorJob
from td3sweep.collect.parameters import SharedParameters
from td3sweep.collect.remote import Remote
from td3sweep.errors import SimulatorError
from td3sweep.monitor.verdict import Monitor
from td3sweep.record.recorder import Recorder
from td3sweep.record.rundir import RunDirectory
from td3sweep.replay.shards import ShardedReplay
from td3sweep.training.callbacks import Callback
from td3sweep.training.checkpoint import Checkpoints
from td3sweep.training.trainer import Trainer
from td3sweep.training.watching import Watching


class MarkedEnv(DotEnv):
    """Every frame says in its first pixels which actor saw it, in which of its episodes, and when."""

    def __init__(self, mark, *, slow=0.0, **dot):
        super().__init__(**dot)
        self.mark, self.slow = mark, slow

    def step(self, action):
        time.sleep(self.slow)
        return super().step(action)

    def _frame(self):
        frame = super()._frame()
        frame[0, :3] = self.mark, len(self.resets), self.time
        return frame


class Absent(DotEnv):
    """Nobody answers."""

    def reset(self, **options):
        raise SimulatorError("nobody answers")


class ThreadRemote(Remote):
    """An actor in a thread; ``die_at`` its process ends before that many permits, without a word."""

    def __init__(self, job, parameters, die_at=None):
        super().__init__(job, parameters, None)
        self.die_at, self.starts = die_at, 0

    def start(self):
        self.pipe, theirs = Pipe()
        self.alive, self.starts = True, self.starts + 1
        self._process = threading.Thread(target=self._serve, args=(theirs, self._job.make_env()), daemon=True)
        self._process.start()

    def end(self):
        self.leave()
        if self._process is not None:
            self._process.join(10)
        self._process = None
        return "ended"

    def _serve(self, pipe, env):
        policy = self._job.make_policy(env.vector_size, env.action_size)
        loop = ActorLoop(pipe, env, policy, SharedParameters(policy, self._parameters), self._job)
        go, permits = loop._go, iter(range(10**9))

        def mortal(permit):
            if self.die_at is not None and self.starts == 1 and next(permits) >= self.die_at:
                raise EOFError
            go(permit)

        loop._go = mortal
        try:
            loop.run()
        except (EOFError, OSError):
            pipe.close()


def agent_of(memory):
    return build_td3(
        memory=memory, memory_size=8, vector_size=2, action_size=2, seed=1, tau=0.01, actor_lr=1e-3, critic_lr=1e-3
    )


def make_away(
    path, envs, *, learns=False, memory="none", stop_after=None, die_at=None, capacity=400, show=None, **schedule
):
    """A trainer with an actor for each of ``envs`` (each a callable), actor 0 dying before permit ``die_at``.

    ``show`` makes a demonstrator for each.

    Without ``learns`` updates are counted and not made: quick, and it outruns any actor.
    """
    torch.set_num_threads(1)
    run = RunDirectory(path)
    for folder in (run.checkpoints, run.replay):
        folder.mkdir(parents=True, exist_ok=True)
    numbers = schedule_of(
        **({} if learns else {"log_every": 10**6}) | ({"batch_size": 2} if memory != "none" else {}) | schedule
    )
    agent = agent_of(memory)
    if not learns:
        agent.update = lambda batch, train_actor, share: setattr(agent, "updates", agent.updates + 1) or {}
    long = memory != "none"
    replay = ShardedReplay(
        len(envs), capacity, vector_size=2, action_size=2, state_sizes=agent.state_sizes, gamma=0.9, n_step=1, seed=2,
        state_stride=2 if long else 1, sequence_length=4 if long else 1, burn_in=2 if long else 0,
    )  # fmt: skip
    descriptor = os.memfd_create("test")
    bounds = (numbers.random_low, numbers.random_high)
    jobs = [ActorJob(env, lambda *sizes: agent_of(memory).policy, bounds, show and show()) for env in envs]
    remotes = [ThreadRemote(job, descriptor, None if place else die_at) for place, job in enumerate(jobs)]
    for remote in remotes:
        remote.start()
    asked = iter(range(10**9))
    trainer = Trainer(
        numbers,
        collector=ActorPool(numbers, SimpleNamespace(remotes=remotes, parameters=descriptor), agent, replay),
        agent=agent,
        replay=replay,
        callbacks=[
            Watching(Monitor(gamma=0.9, clip="joint", clip_actor=1.0, clip_critic=10.0, stop_on=["d1", "nonfinite"]))
        ],
        recorder=Recorder(run, Console(quiet=True), None),
        checkpoints=Checkpoints(run.checkpoints, run.replay),
        interrupted=lambda: stop_after is not None and next(asked) >= stop_after,
    )
    evaluate = trainer.collector.evaluate

    def note_and_evaluate(*about):  # the last evaluation breaks an episode off
        trainer.held = len(replay)
        return evaluate(*about)

    trainer.collector.evaluate = note_and_evaluate
    return trainer


class Steps(Callback):
    """Keeps every step, and what ``note`` makes of it when it is told."""

    def __init__(self, trainer, note=lambda step: None):
        self.steps, self.noted, self._note = [], [], note
        trainer.callbacks.append(self)

    def on_step(self, trainer, step):
        self.steps.append(step)
        self.noted.append(self._note(step))


def marked(count, **first):
    """Factories of marked environments; ``first`` goes to the first."""
    return [partial(MarkedEnv, place + 1, **({} if place else first)) for place in range(count)]


def marks(batch):
    """(actor, episode, time) of every frame of a feed-forward batch: [B, 2, 4, 3]."""
    return np.asarray(batch.images)[:, :, :, 0, :3].astype(int)
