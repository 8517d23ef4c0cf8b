"""TD3 on CarRacing-v3 with nothing of td3sweep but its learner: no Hydra, no wandb, no CARLA."""

import gymnasium
import numpy as np

from td3sweep.agent import build_td3
from td3sweep.replay import FrameReplay


def look(frame, before=None):
    """The newest four gray frames, 84 x 84: the dashboard and six columns on each side are cut off."""
    gray = frame[:84, 6:90].mean(axis=-1).astype(np.uint8)
    image = np.stack([gray] * 4) if before is None else np.stack([*before["image"][1:], gray])
    return {"image": image, "vector": np.zeros(0, np.float32)}


def train(steps=30_000, warmup=1_000, batch_size=64):
    env = gymnasium.make("CarRacing-v3")
    agent = build_td3(vector_size=0, action_size=3, tau=0.005, actor_lr=1e-4, critic_lr=3e-4, seed=0)
    replay = FrameReplay(20_000, vector_size=0, action_size=3, gamma=0.99, n_step=3, seed=0)
    state, total, ended = agent.initial_state(), 0.0, True
    for step in range(steps):
        if ended:
            print(f"step {step}: return {total:.1f}")
            now, total = look(env.reset(seed=step)[0]), 0.0
            replay.begin(now)
        action, _ = agent.act(now, state, noise=1.0 if step < warmup else 0.1)
        frame, reward, terminated, truncated, _ = env.step(action * [1, 0.5, 0.5] + [0, 0.5, 0.5])
        now, total, ended = look(frame, now), total + reward, terminated or truncated
        replay.add(action, reward, terminated, truncated, now)
        if step >= warmup:
            metrics = agent.update(replay.sample(batch_size))  # losses, Q-values, gradient norms: 0-dim tensors
    return metrics


if __name__ == "__main__":
    train()
