"""An actor: an environment and a policy in a process of their own, driven through a pipe (`remote.py`)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch

from td3sweep.agent.policy import NetworkPolicy
from td3sweep.collect.episode import EPISODE_INFO, Chooser, Observation
from td3sweep.collect.evaluation import evaluate
from td3sweep.collect.messages import ActorJob, Began, Begin, Evaluate, Evaluated, Go
from td3sweep.collect.parameters import SharedParameters
from td3sweep.envs.protocol import Env
from td3sweep.errors import SimulatorError, UserError
from td3sweep.process.children import leave_signals_to_the_trainer, leave_with


class ActorLoop:
    """Answers the trainer until the pipe ends; a simulator's fault is an answer, and voids the episode."""

    def __init__(self, pipe: Any, env: Env, policy: NetworkPolicy, parameters: SharedParameters, job: ActorJob) -> None:
        self._pipe, self._env, self._policy, self._parameters = pipe, env, policy, parameters
        self._chooser = Chooser(policy, job.bounds, np.random.default_rng(), job.demonstrator)
        self._observation: Observation | None = None
        self._info: Mapping[str, Any] = {}
        self._state = policy.initial_state()

    def run(self) -> None:
        """Leave with EOFError or BrokenPipeError when the trainer is gone."""
        while True:
            asked = self._pipe.recv()
            try:
                if isinstance(asked, Go):
                    self._go(asked)
                elif isinstance(asked, Begin):
                    self._begin(asked)
                else:
                    self._evaluate(asked)
            except (SimulatorError, UserError) as error:
                self._observation = None
                self._pipe.send(error)

    def _begin(self, asked: Begin) -> None:
        self._chooser.rng = np.random.default_rng(asked.noise_seed)
        self._policy.rng.manual_seed(asked.noise_seed)
        self._observation, self._info = self._env.reset(seed=asked.seed)
        self._chooser.begin(asked.seed, self._info)
        self._state = self._policy.initial_state()
        self._pipe.send(Began(self._observation))

    def _go(self, permit: Go) -> None:
        if self._observation is None:
            return
        updates = self._parameters.take()
        transition = self._chooser.step(
            self._env,
            permit.acting,
            permit.noise,
            observation=self._observation,
            info=self._info,
            state=self._state,
            updates=updates,
        )
        self._observation, self._info = (None if transition.last else transition.observation), transition.info
        self._state = transition.chosen.state
        self._pipe.send(replace(transition, info={key: self._info[key] for key in EPISODE_INFO if key in self._info}))

    def _evaluate(self, asked: Evaluate) -> None:
        self._observation = None
        self._parameters.take()
        film: list[tuple[Any, Any, dict[str, Any]]] = []
        found = evaluate(
            self._env,
            self._policy,
            episodes=asked.episodes,
            spread=asked.spread,
            interrupted=self._pipe.poll,  # nothing is asked meanwhile: the pipe speaks when it ends
            observer=(lambda *transition: film.append(transition)) if asked.film else None,
        )
        if found is not None:
            self._pipe.send(Evaluated(found, film))


def serve(pipe: Any, descriptor: int) -> None:
    """The process: build what the job says, then answer until the pipe ends."""
    torch.set_num_threads(1)
    job: ActorJob = pipe.recv()
    try:
        env = job.make_env()
    except UserError as error:
        pipe.send(error)
        return
    try:
        policy = job.make_policy(env.vector_size, env.action_size)
        ActorLoop(pipe, env, policy, SharedParameters(policy, descriptor), job).run()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the trainer is gone, or has had enough
    finally:
        env.close()


if __name__ == "__main__":
    leave_signals_to_the_trainer()  # which closes the pipe when it has saved
    ours, shared, trainer = map(int, sys.argv[1:])
    threading.Thread(target=leave_with, args=(trainer,), daemon=True).start()
    serve(Connection(ours), shared)
