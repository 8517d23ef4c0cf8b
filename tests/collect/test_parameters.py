"""Parameters that processes share: taken whole, and never held up by a reader that died."""

import fcntl
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from pool_runs import agent_of

from td3sweep.agent.build import build_td3
from td3sweep.collect.parameters import SharedParameters

OBSERVATION = {"image": np.full((4, 84, 84), 90, np.uint8), "vector": np.array([0.5, -0.5], np.float32)}


@pytest.mark.parametrize("memory", ["none", "lstm"])
def test_a_reader_acts_as_the_writer_once_it_has_taken(memory):
    writer, reader = agent_of(memory), agent_of(memory)
    with torch.no_grad():
        for tensor in (*writer.actor.parameters(), *writer.critic.parameters()):
            tensor.add_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(3)) * 0.1)
    descriptor = os.memfd_create("test")
    given, taken = (SharedParameters(agent.policy, descriptor) for agent in (writer, reader))
    wanted = writer.act(OBSERVATION, writer.initial_state())
    assert not np.array_equal(reader.act(OBSERVATION, reader.initial_state())[0], wanted[0])
    given.publish(7)
    assert taken.take() == 7
    for mine, theirs in zip(reader.act(OBSERVATION, reader.initial_state()), wanted, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_only_what_acting_reads_is_shared():
    def numbers(**build):
        agent = build_td3(vector_size=2, action_size=2, seed=1, tau=0.01, actor_lr=1e-3, critic_lr=1e-3, **build)
        return sum(t.numel() for t in agent.policy.tensors()), [
            sum(p.numel() for p in part.parameters()) for part in (agent.actor, agent.critic.encoder)
        ]

    shared, (actor, _) = numbers()
    assert shared == actor
    for build in ({"memory": "gru", "memory_size": 8}, {"wiring": "critic_only"}):
        shared, (actor, encoder) = numbers(**build)
        assert shared == actor + encoder


def test_a_reader_killed_within_its_copy_does_not_stop_the_writer():
    descriptor = os.memfd_create("test")
    given = SharedParameters(agent_of("none").policy, descriptor)
    code = f"import fcntl, time; fcntl.lockf({descriptor}, fcntl.LOCK_EX); print('held', flush=True); time.sleep(600)"
    reader = subprocess.Popen([sys.executable, "-c", code], pass_fds=[descriptor], stdout=subprocess.PIPE, text=True)
    assert reader.stdout.readline() == "held\n"
    with pytest.raises(BlockingIOError):
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    reader.kill()
    reader.communicate()
    given.publish(1)
    assert given.take() == 1


def test_an_actors_process_knows_neither_the_search_nor_the_tracking():
    heavy = "[m for m in ('optuna', 'wandb', 'hydra') if m in sys.modules]"
    parts = "td3sweep.collect.actor_process, td3sweep.assemble.learner, td3sweep.assemble.environment"
    code = f"import sys, {parts}; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
