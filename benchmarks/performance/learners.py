"""The contestants of the update benchmark, each with a replay memory of its own, full of the same kind of episodes.

All see image stacks of 4 x 84 x 84 bytes and no vector (stable-baselines3's CnnPolicy and tianshou's actor take an
image alone), act with two numbers, have the Nature encoder with ReLU, heads of 256 and 256, and train 100 transitions
an update. An update is: draw the batch from one's own replay, then train.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from benchmarks.performance.blocks import Contestant
from td3sweep.agent import TD3, build_td3
from td3sweep.names import Precision
from td3sweep.replay import FrameReplay

BATCH = 100
EPISODE = 250
STORED = 20_000  # ours; more than a cache holds
STORED_BY_PEERS = 2_000  # 56 kB each, so more than a cache holds as well
GAMMA, TAU, RATE = 0.99, 0.005, 3e-4
STACK = spaces.Box(0, 255, (4, 84, 84), np.uint8)
ACTIONS = spaces.Box(-1.0, 1.0, (2,), np.float32)


@dataclass(frozen=True)
class Transition:
    """One made-up step."""

    first: bool
    before: dict[str, NDArray[Any]]
    action: NDArray[np.float32]
    reward: float
    last: bool
    after: dict[str, NDArray[Any]]


def episodes(count: int, vector_size: int = 0, seed: int = 0) -> Iterator[Transition]:
    """Transitions of episodes of noise; the last one closes its episode."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        first = number % EPISODE == 0
        if first:
            stack = np.repeat(rng.integers(0, 256, (1, 84, 84), np.uint8), 4, axis=0)
            before = {"image": stack, "vector": rng.random(vector_size, np.float32)}
        stack = np.concatenate([stack[1:], rng.integers(0, 256, (1, 84, 84), np.uint8)])
        after = {"image": stack, "vector": rng.random(vector_size, np.float32)}
        last = number % EPISODE == EPISODE - 1 or number == count - 1
        yield Transition(first, before, rng.uniform(-1, 1, 2).astype(np.float32), rng.normal(), last, after)
        before = after


def our_replay(count: int, vector_size: int = 0) -> FrameReplay:
    """Full of ``count`` transitions."""
    slots = count + -(-count // EPISODE)  # an episode's last observation takes one as well
    replay = FrameReplay(slots, vector_size=vector_size, action_size=2, gamma=GAMMA, n_step=1, seed=0)
    for step in episodes(count, vector_size):
        if step.first:
            replay.begin(step.before)
        replay.add(step.action, step.reward, False, step.last, step.after)
    return replay


def our_agent(cnn: Literal["nature", "pooled"], precision: Precision, device: str = "cpu") -> TD3:
    """Our learner with what it does by default, the peers' ReLU apart: joint clipping and its metrics included."""
    return build_td3(
        cnn=cnn, vector_size=0, action_size=2, activation="relu", scale="unit", tau=TAU, actor_lr=RATE, critic_lr=RATE,
        precision=precision, device=device, seed=0,
    )  # fmt: skip


def ours(name: str, agent: TD3, replay: FrameReplay, updates: int) -> Contestant:
    """Seconds of an update, ``name``, and of its two parts, ``name/sample`` and ``name/learn``."""

    def run() -> dict[str, float]:
        begun, sampling = time.perf_counter(), 0.0
        for _ in range(updates):
            before = time.perf_counter()
            batch = replay.sample(BATCH)
            sampling += time.perf_counter() - before
            agent.update(batch)
        finish(agent.device)
        whole = time.perf_counter() - begun
        parts = {"": whole, "/sample": sampling, "/learn": whole - sampling}
        return {name + part: seconds / updates for part, seconds in parts.items()}

    return run


class Spaces(gymnasium.Env[NDArray[np.uint8], NDArray[np.float32]]):
    """Spaces, which is all that the peers ask for."""

    observation_space = STACK
    action_space = ACTIONS


def sb3(name: str, updates: int, device: str = "cpu") -> Contestant:
    """stable-baselines3's TD3 with CnnPolicy: extractors of actor and critic are separate, as they are by default."""
    from stable_baselines3 import TD3 as Theirs  # noqa: N811
    from stable_baselines3.common.logger import Logger

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the memory that its replay takes
        agent = Theirs(
            "CnnPolicy", Spaces(), learning_rate=RATE, gamma=GAMMA, tau=TAU, buffer_size=STORED_BY_PEERS,
            batch_size=BATCH, device=device, seed=0,
        )  # fmt: skip
    agent.set_logger(Logger(None, []))
    for step in episodes(STORED_BY_PEERS):
        agent.replay_buffer.add(
            step.before["image"][None], step.after["image"][None], step.action[None], np.array([step.reward]),
            np.array([step.last]), [{"TimeLimit.truncated": step.last}],
        )  # fmt: skip

    def run() -> dict[str, float]:
        begun = time.perf_counter()
        agent.train(gradient_steps=updates, batch_size=BATCH)
        finish(agent.device)
        return {name: (time.perf_counter() - begun) / updates}

    return run


def tianshou(name: str, updates: int) -> Contestant:
    """tianshou's TD3 over its DQNet; its second critic is a network of its own, encoder included.

    Raises:
        ImportError: it is not installed.
    """
    from tianshou.algorithm.modelfree.ddpg import ContinuousDeterministicPolicy
    from tianshou.algorithm.modelfree.td3 import TD3 as Theirs  # noqa: N811
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.data import Batch, ReplayBuffer
    from tianshou.env.atari.atari_network import DQNet
    from tianshou.utils.net.continuous import ContinuousActorDeterministic, ContinuousCritic
    from tianshou.utils.torch_utils import policy_within_training_step

    class ScaledDQNet(DQNet):
        """Bytes to [0, 1] in torch; its own wrapper divides in NumPy's float64, which costs more."""

        def forward(self, obs: Any, state: Any = None, info: Any = None) -> tuple[torch.Tensor, Any]:
            return self.net(torch.as_tensor(obs, dtype=torch.float32) / 255.0), state

    def net(beside: int = 0) -> DQNet:
        built = ScaledDQNet(c=4, h=84, w=84, action_shape=2, features_only=True, output_dim_added_layer=512)
        built.output_dim += beside  # the critic sizes its layers by it and forgets the actions
        return built

    torch.manual_seed(0)
    hidden = (256, 256)
    policy = ContinuousDeterministicPolicy(
        actor=ContinuousActorDeterministic(preprocess_net=net(), action_shape=(2,), hidden_sizes=hidden),
        action_space=ACTIONS,
        observation_space=STACK,
    )
    algorithm = Theirs(
        policy=policy,
        policy_optim=AdamOptimizerFactory(lr=RATE),
        critic=ContinuousCritic(preprocess_net=net(2), hidden_sizes=hidden, apply_preprocess_net_to_obs_only=True),
        critic_optim=AdamOptimizerFactory(lr=RATE),
        tau=TAU,
        gamma=GAMMA,
    )
    buffer = ReplayBuffer(STORED_BY_PEERS)
    for step in episodes(STORED_BY_PEERS):
        buffer.add(
            Batch(
                obs=step.before["image"],
                act=step.action,
                rew=step.reward,
                terminated=False,
                truncated=step.last,
                obs_next=step.after["image"],
                info={},
            )
        )

    def run() -> dict[str, float]:
        begun = time.perf_counter()
        with policy_within_training_step(policy):
            for _ in range(updates):
                algorithm.update(buffer=buffer, sample_size=BATCH)
        return {name: (time.perf_counter() - begun) / updates}

    return run


def finish(device: torch.device) -> None:
    """Wait for work under way on a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
