"""A single-file TD3 in CleanRL's manner, with its tag names, small enough for a test; our own code throughout."""

import copy
from collections import deque
from types import SimpleNamespace

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter

GAMMA, LR, TAU = 0.97, 3e-3, 0.05


def network(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, outputs))


def train(path, *, steps, learning_starts, log_every, slip=1.0, seed=1, watch=None):
    """Train on Pendulum, logging to TensorBoard at ``path``.

    Args:
        slip: multiplies what the target bootstraps from, as a mistake of the loop's author would.
        watch: the three-line hook under test.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    env = gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make("Pendulum-v1", max_episode_steps=50))
    actor, qf1, qf2 = network(3, 1), network(4, 1), network(4, 1)
    target_actor, qf1_target, qf2_target = map(copy.deepcopy, (actor, qf1, qf2))
    q_optimizer = torch.optim.Adam([*qf1.parameters(), *qf2.parameters()], lr=LR)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=LR)
    buffer = deque(maxlen=10_000)
    writer = SummaryWriter(str(path))
    arguments = {"gamma": GAMMA, "learning_rate": LR, "seed": seed}
    table = "\n".join(f"|{key}|{value}|" for key, value in arguments.items())
    writer.add_text("hyperparameters", f"|param|value|\n|-|-|\n{table}")
    obs, _ = env.reset(seed=seed)
    for global_step in range(steps):
        if global_step < learning_starts:
            action = random.uniform(-1, 1, 1)
        else:
            action = (policy(actor, torch.tensor(obs)).detach().numpy() + random.normal(0, 0.1, 1)).clip(-1, 1)
        next_obs, reward, terminated, truncated, info = env.step(2 * action)
        buffer.append((obs, action.astype(np.float32), [np.float32(reward)], next_obs, [np.float32(terminated)]))
        obs = next_obs
        if terminated or truncated:
            writer.add_scalar("charts/episodic_return", info["episode"]["r"], global_step)
            writer.add_scalar("charts/episodic_length", info["episode"]["l"], global_step)
            if watch is not None:
                watch.episode(global_step, length=info["episode"]["l"], ret=info["episode"]["r"])
            obs, _ = env.reset()
        if global_step <= learning_starts:
            continue
        data = sample(buffer, random)
        with torch.no_grad():
            noise = (torch.randn_like(data.actions) * 0.2).clamp(-0.5, 0.5)
            following = torch.cat(
                [data.next_observations, (policy(target_actor, data.next_observations) + noise).clamp(-1, 1)], 1
            )
            smaller = torch.min(qf1_target(following), qf2_target(following))
            next_q_value = data.rewards + (1 - data.dones) * GAMMA * slip * smaller
        taken = torch.cat([data.observations, data.actions], 1)
        qf1_a_values, qf2_a_values = qf1(taken), qf2(taken)
        qf1_loss = functional.mse_loss(qf1_a_values, next_q_value)
        qf2_loss = functional.mse_loss(qf2_a_values, next_q_value)
        q_optimizer.zero_grad()
        (qf1_loss + qf2_loss).backward()
        q_optimizer.step()
        if global_step % 2 == 0:
            q_pi = qf1(torch.cat([data.observations, policy(actor, data.observations)], 1))
            actor_loss = -q_pi.mean()
            actor_optimizer.zero_grad()
            actor_loss.backward()
            actor_optimizer.step()
            for online, target in ((actor, target_actor), (qf1, qf1_target), (qf2, qf2_target)):
                for weight, slow in zip(online.parameters(), target.parameters(), strict=True):
                    slow.data.lerp_(weight.data, TAU)
        if global_step % log_every == 0:
            writer.add_scalar("losses/qf1_values", qf1_a_values.mean().item(), global_step)
            writer.add_scalar("losses/qf2_values", qf2_a_values.mean().item(), global_step)
            writer.add_scalar("losses/qf1_loss", qf1_loss.item(), global_step)
            writer.add_scalar("losses/qf2_loss", qf2_loss.item(), global_step)
            writer.add_scalar("losses/qf_loss", (qf1_loss + qf2_loss).item() / 2, global_step)
            writer.add_scalar("losses/actor_loss", actor_loss.item(), global_step)
            writer.add_scalar("charts/SPS", 1000, global_step)
            if watch is not None:
                watch.update(global_step, q_actor=q_pi, q1=qf1_a_values, q_target=next_q_value, rewards=data.rewards)
    writer.close()


def policy(actor, observations):
    return torch.tanh(actor(observations))


def sample(buffer, random, size=32):
    rows = [buffer[place] for place in random.integers(len(buffer), size=size)]
    names = ("observations", "actions", "rewards", "next_observations", "dones")
    return SimpleNamespace(**{
        name: torch.tensor(np.array(column), dtype=torch.float32)
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    })  # fmt: skip
