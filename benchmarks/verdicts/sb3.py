"""stable-baselines3's learners on Pendulum-v1, sound and broken by their arguments; the log is their progress.csv."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

STEPS, WARMUP, EVAL_EVERY = 6000, 800, 1000
KINDS = (
    "TD3", "DDPG", "SAC", "PPO",  # as they come, but for sizes
    "TD3, learning rate x100", "TD3, gamma .9999", "TD3, reward x1e4", "TD3, never rewarded", "SAC, learning rate x100",
)  # fmt: skip


class Rewarded(gymnasium.RewardWrapper[Any, Any]):
    """Rewards times a factor."""

    def __init__(self, env: gymnasium.Env[Any, Any], factor: float) -> None:
        super().__init__(env)
        self._factor = factor

    def reward(self, reward: Any) -> float:
        """See the class."""
        return self._factor * float(reward)


def train(kind: str, seed: int) -> dict[str, Any]:
    """One run: its rows, and what was true of it; see :func:`benchmarks.verdicts.loop.train`."""
    import torch
    from stable_baselines3 import DDPG, PPO, SAC, TD3
    from stable_baselines3.common.callbacks import EvalCallback
    from stable_baselines3.common.logger import configure
    from stable_baselines3.common.monitor import Monitor

    torch.set_num_threads(1)
    name, _, fault = kind.partition(", ")
    factor = {"reward x1e4": 1e4, "never rewarded": 0.0}.get(fault, 1.0)
    env = Monitor(Rewarded(gymnasium.make("Pendulum-v1"), factor))
    common: dict[str, Any] = {
        "learning_rate": 0.1 if fault == "learning rate x100" else 1e-3,
        "gamma": 0.9999 if fault == "gamma .9999" else 0.98,
        "policy_kwargs": {"net_arch": [64, 64]},
        "seed": seed,
        "device": "cpu",
    }
    if name == "PPO":
        model: Any = PPO("MlpPolicy", env, n_steps=1024, **common)
    else:
        common |= {"learning_starts": WARMUP, "batch_size": 64, "tau": 0.01, "train_freq": 1}
        model = {"TD3": TD3, "DDPG": DDPG, "SAC": SAC}[name]("MlpPolicy", env, **common)
    with tempfile.TemporaryDirectory() as folder:
        model.set_logger(configure(folder, ["csv"]))
        test = Monitor(Rewarded(gymnasium.make("Pendulum-v1"), factor))
        watch = EvalCallback(test, n_eval_episodes=3, eval_freq=EVAL_EVERY, verbose=0)
        model.learn(20_000 if name == "PPO" else STEPS, callback=watch, log_interval=1)
        with (Path(folder) / "progress.csv").open() as file:
            rows = [{key: float(cell) for key, cell in row.items() if cell} for row in csv.DictReader(file)]
    returns, errors, followed_all = [], [], []
    for k in range(10):
        ret, value, followed = _drive(model, seed + 9000 + k, common["gamma"], factor)
        returns.append(ret)
        followed_all.append(followed)
        errors.append(value - followed)
    spread = max(float(np.std(followed_all)), 10.0 * max(factor, 1e-3))
    error = 0.0 if name == "PPO" else float(np.mean(errors)) / spread
    return {"rows": rows, "learnt": float(np.mean(returns)), "value_error": error}


def _drive(model: Any, seed: int, gamma: float, factor: float) -> tuple[float, float, float]:
    """Unscaled return of an episode without noise; Q at its start, and the discounted return that followed."""
    import torch

    env = gymnasium.make("Pendulum-v1")
    observation, _ = env.reset(seed=seed)
    total, followed, discount, value = 0.0, 0.0, 1.0, 0.0
    for step in range(200):
        action, _ = model.predict(observation, deterministic=True)
        if step == 0 and hasattr(model, "critic"):
            with torch.no_grad():
                scaled = torch.as_tensor(model.policy.scale_action(action[None]))
                value = float(model.critic(torch.as_tensor(observation[None]), scaled)[0])
        observation, reward, *_ = env.step(action)
        total, followed, discount = (
            total + float(reward),
            followed + discount * factor * float(reward),
            discount * gamma,
        )
    return total, value, followed
