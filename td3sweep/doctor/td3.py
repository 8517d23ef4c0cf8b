"""This project's agent, and a small batch for it, as the audit takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from td3sweep.agent.gradients import Clip
from td3sweep.agent.networks import parts
from td3sweep.agent.td3 import TD3
from td3sweep.doctor.learner import ACTOR, CRITIC, Learner, Limit
from td3sweep.replay.batch import Batch
from td3sweep.replay.frames import FrameReplay

ROWS = 4  # feed-forward transitions; a recurrent batch has half as many sequences
LENGTH, BURN_IN, N_STEP = 2, 1, 3  # at most: what is audited does not depend on how long sequences are
EPISODES = 4
FRAME_SIZE = 84


def td3_learner(
    agent: TD3,
    batch: Batch,
    *,
    clip: Clip,
    learning_rates: Mapping[str, float],
    tau: float,
    policy_delay: int,
) -> Learner:
    """Describe an agent to the audit.

    Args:
        agent: to be audited.
        batch: what its updates train on.
        clip: gradient limits asked for.
        learning_rates: rates asked for, by `network/part`.
        tau: asked for.
        policy_delay: asked for; each audited update is one that steps the actor.
    """
    networks = {ACTOR: agent.actor, CRITIC: agent.critic}
    names = {id(p): f"{of}.{name}" for of, network in networks.items() for name, p in network.named_parameters()}
    by_part = {
        f"{of}/{part}": [names[id(p)] for p in group]
        for of, network in ((ACTOR, agent.actor), (CRITIC, agent.critic))
        for part, group in parts(network).items()
    }
    joint = {f"grad/{of}/joint/after": [n for n in names.values() if n.startswith(f"{of}.")] for of in networks}

    def update() -> dict[str, float]:
        agent.updates = policy_delay - 1
        return {key: float(value) for key, value in agent.update(batch).items()}

    return Learner(
        networks,
        {name: value for name, value in vars(agent).items() if isinstance(value, torch.optim.Optimizer)},
        update,
        policy=agent.actor.head,
        targets={ACTOR: agent.target_actor, CRITIC: agent.target_critic},
        parts=by_part,
        limits={ACTOR: Limit(clip.kind, clip.actor), CRITIC: Limit(clip.kind, clip.critic)},
        learning_rates=learning_rates,
        tau=tau,
        norms={f"grad/{part}/after": listed for part, listed in by_part.items()} | joint,
        stateful=(_Rest(agent),),
    )


class _Rest:
    """What an update of the agent changes beside networks and optimisers."""

    KEYS = ("updates", "target_rule", "acting_rng", "update_rng")

    def __init__(self, agent: TD3) -> None:
        self._agent = agent

    def state_dict(self) -> dict[str, Any]:
        """Counters, the target rule's state and generators."""
        whole = self._agent.state_dict()
        return {key: whole[key] for key in self.KEYS}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them up; networks and optimisers stay as they are."""
        self._agent.load_state_dict({**self._agent.state_dict(), **state})


def small_batch(
    agent: TD3,
    *,
    vector_size: int,
    action_size: int,
    stack: int = 4,
    gamma: float,
    n_step: int,
    sequence_length: int,
    burn_in: int,
) -> Batch:
    """A batch of random transitions that went through a real replay; no environment is touched.

    Args:
        agent: whose memory states the replay keeps.
        vector_size: numbers of the observation's vector.
        action_size: numbers of an action.
        stack: frames in an image stack.
        gamma: discount.
        n_step: rewards summed; at most 3 are.
        sequence_length: transitions of a window; at most 2 are trained.
        burn_in: observations before them; at most 1 is used.
    """
    n_step, length, burn_in = min(n_step, N_STEP), min(sequence_length, LENGTH), min(burn_in, BURN_IN)
    steps = 2 * (length + burn_in + n_step)
    replay = FrameReplay(
        EPISODES * (steps + 1) + 16,
        vector_size=vector_size,
        action_size=action_size,
        stack=stack,
        state_sizes=agent.state_sizes,
        gamma=gamma,
        n_step=n_step,
        sequence_length=length,
        burn_in=burn_in,
        seed=0,
    )
    random = np.random.default_rng(0)
    for episode in range(EPISODES):
        frames = np.repeat(_frame(random)[None], stack, axis=0)
        replay.begin({"image": frames, "vector": _vector(random, vector_size)}, agent.initial_state())
        for step in range(steps):
            frames = np.concatenate([frames[1:], _frame(random)[None]])
            last = step == steps - 1
            replay.add(
                random.uniform(-1.0, 1.0, action_size).astype(np.float32),
                float(random.normal()),
                last and episode % 2 == 0,
                last and episode % 2 == 1,
                {"image": frames, "vector": _vector(random, vector_size)},
                random.normal(0.0, 0.1, agent.state_size).astype(np.float32),
            )
    return replay.sample(ROWS if agent.state_size == 0 else ROWS // 2)


def _frame(random: np.random.Generator) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Blocks of gray, different in every frame."""
    blocks = random.integers(0, 256, (FRAME_SIZE // 7, FRAME_SIZE // 7), dtype=np.uint8)
    return np.kron(blocks, np.ones((7, 7), np.uint8))


def _vector(random: np.random.Generator, size: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return random.uniform(-1.0, 1.0, size).astype(np.float32)
