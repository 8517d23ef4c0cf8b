"""A TD3 of one file on Pendulum-v1, in CleanRL's form, that can be broken in named ways.

It logs what such scripts log, and says what was true of the run.
"""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

STEPS, WARMUP, LOG_EVERY, EVAL_EVERY, EVALUATIONS, TESTS = 6000, 800, 50, 500, 3, 10
GAMMA, TAU, BATCH, WIDTH, SIZE = 0.98, 0.01, 64, 64, 3
HALF_WAY = STEPS // 2
FAULTS = (
    "none", "slow learning rate", "no policy delay", "twin SAC-like tau",  # sound
    "learning rate x100", "actor's sign flipped", "maximum for minimum", "no target network", "tau swapped",
    "gradient through the target", "action scaling missing", "dead actor", "NaN half way", "gamma .9999", "reward x1e4",
    "never rewarded", "crossed encoders", "policy reset half way", "replay of one episode", "exploration off",
    "buffer of 100", "actor frozen", "reward's sign flipped", "observations are noise", "critic frozen",
    "target adds the action's value twice", "actor reads the next observation",
)  # fmt: skip


class Critic(nn.Module):
    """An encoder of the observation, and a head on its features and the action."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(SIZE, WIDTH), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(WIDTH + 1, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))

    def forward(self, observation: Tensor, action: Tensor, features: Tensor | None = None) -> Tensor:
        """Q [B]; ``features`` of another encoder may stand in for its own."""
        own = self.encoder(observation) if features is None else features
        return self.head(torch.cat([own, action], 1)).squeeze(1)


class Actor(nn.Module):
    """The same encoder, and a tanh."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(SIZE, WIDTH), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))

    def forward(self, observation: Tensor) -> Tensor:
        """Actions in [-1, 1]."""
        return torch.tanh(self.head(self.encoder(observation)))


class Loop:
    """A training run with one fault, or none."""

    def __init__(self, fault: str, seed: int) -> None:
        self.fault, self.seed = fault, seed
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        rate = {"learning rate x100": 0.1, "slow learning rate": 3e-4}.get(fault, 1e-3)
        self.gamma = 0.9999 if fault == "gamma .9999" else GAMMA
        self.tau = {"tau swapped": 1.0 - TAU, "twin SAC-like tau": 0.005, "no target network": 1.0}.get(fault, TAU)
        self.reach = 0.1 if fault == "action scaling missing" else 2.0
        self.factor = {"reward x1e4": 1e4, "never rewarded": 0.0, "reward's sign flipped": -1.0}.get(fault, 1.0)
        self.actor, self.critics = Actor(), nn.ModuleList([Critic(), Critic()])
        if fault == "dead actor":
            with torch.no_grad():
                self.actor.head[-1].bias.fill_(40.0)
        self.slow_actor, self.slow_critics = copy.deepcopy(self.actor), copy.deepcopy(self.critics)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), lr=rate)
        self.critic_optimiser = torch.optim.Adam(self.critics.parameters(), lr=rate)
        self.replay: list[tuple[Any, ...]] = []
        self.rows: list[dict[str, float]] = []
        self.logged: dict[str, float] = {}

    def run(self) -> None:
        """Act, store, learn, log and evaluate."""
        env = gymnasium.make("Pendulum-v1")
        observation, _ = env.reset(seed=self.seed)
        total, length, sees = 0.0, 0, self.seen(observation)
        for step in range(1, STEPS + 1):
            action = self.action(step, sees)
            observation, reward, _, truncated, _ = env.step((self.reach * action).astype(np.float32))
            after = self.seen(observation)
            self.store(step, (sees, action.astype(np.float32), np.float32(self.factor * float(reward)), after))
            total += 0.0 if self.fault == "never rewarded" else float(reward)
            length, sees = length + 1, after
            if truncated:
                self.rows.append({"global_step": step, "episodic_return": total, "episodic_length": length})
                observation, _ = env.reset()
                total, length, sees = 0.0, 0, self.seen(observation)
            if step > WARMUP:
                self.learn(step)

    def seen(self, real: Any) -> Any:
        """What is observed of a state."""
        return self.rng.normal(size=SIZE).astype(np.float32) if self.fault == "observations are noise" else real

    def action(self, step: int, sees: Any) -> Any:
        """At random in the warm-up, then the policy's with noise."""
        if step <= WARMUP:
            return self.rng.uniform(-1, 1, 1)
        with torch.no_grad():
            action = self.actor(torch.as_tensor(sees)[None]).numpy()[0]
        noise = 0.0 if self.fault == "exploration off" else 0.1
        return np.clip(action + noise * self.rng.normal(size=1), -1, 1)

    def store(self, step: int, transition: tuple[Any, ...]) -> None:
        """Keep a transition."""
        if self.fault != "replay of one episode" or step <= 200:
            self.replay.append(transition)
        if self.fault == "buffer of 100":
            del self.replay[:-100]

    def learn(self, step: int) -> None:
        """One update, and what is logged after it."""
        places = self.rng.integers(len(self.replay), size=BATCH)
        columns = zip(*(self.replay[place] for place in places), strict=True)
        s, a, r, n = (torch.as_tensor(np.array(column)) for column in columns)
        self.update_critics(s, a, self.target(a, r, n))
        if step % 2 == 0 or self.fault == "no policy delay":
            self.update_actor(s, n)
        if step == HALF_WAY:
            self.half_way()
        if step % LOG_EVERY == 0:
            self.rows.append({"global_step": step} | self.logged)
        if step % EVAL_EVERY == 0:
            returns = [self.drive(self.seed + 1000 + k)[0] for k in range(EVALUATIONS)]
            told = 0.0 if self.fault == "never rewarded" else float(np.mean(returns))
            self.rows.append({"global_step": step, "eval_return": told})

    def target(self, a: Tensor, r: Tensor, n: Tensor) -> Tensor:
        """The y of the critics."""
        attached = self.fault == "gradient through the target"
        with torch.set_grad_enabled(attached):
            noise = (0.2 * torch.randn_like(a)).clamp(-0.5, 0.5)
            following = (self.slow_actor(n) + noise).clamp(-1, 1)
            values = torch.stack([critic(n, following) for critic in (self.critics if attached else self.slow_critics)])
            worst = values.max(0)[0] if self.fault == "maximum for minimum" else values.min(0)[0]
            twice = 2.0 if self.fault == "target adds the action's value twice" else 1.0
            return r + self.gamma * twice * worst

    def update_critics(self, s: Tensor, a: Tensor, y: Tensor) -> None:
        """Both critics towards y."""
        qs = [critic(s, a) for critic in self.critics]
        loss = sum((functional.mse_loss(q, y) for q in qs), torch.zeros(()))
        self.critic_optimiser.zero_grad()
        loss.backward()
        if self.fault != "critic frozen":
            self.critic_optimiser.step()
        y = y.detach()
        self.logged |= {"critic_loss": float(loss.detach()), "qf1_values": float(qs[0].detach().mean()),
                        "target_q": float(y.mean()), "target_q_std": float(y.std())}  # fmt: skip

    def update_actor(self, s: Tensor, n: Tensor) -> None:
        """The actor, and the slow networks behind."""
        features = self.actor.encoder(s) if self.fault == "crossed encoders" else None
        reads = n if self.fault == "actor reads the next observation" else s
        q_pi = self.critics[0](s, self.actor(reads), features)
        loss = q_pi.mean() if self.fault == "actor's sign flipped" else -q_pi.mean()
        self.actor_optimiser.zero_grad()
        loss.backward()
        head = [parameter.grad.flatten() for parameter in self.actor.head[-1].parameters()]
        gradient = float(torch.linalg.vector_norm(torch.cat(head)))
        if self.fault != "actor frozen":
            self.actor_optimiser.step()
        saturated = float((self.actor(s).abs() > 0.99).float().mean())
        self.logged |= {"actor_loss": float(loss.detach()), "saturation": saturated, "actor_head_gradient": gradient}
        for online, slow in ((self.actor, self.slow_actor), (self.critics, self.slow_critics)):
            for weight, target in zip(online.parameters(), slow.parameters(), strict=True):
                target.data.lerp_(weight.data, self.tau)

    def half_way(self) -> None:
        """What goes wrong in the middle of a run."""
        if self.fault == "NaN half way":
            with torch.no_grad():
                self.critics[0].head[0].weight[0, 0] = float("nan")
        if self.fault == "policy reset half way":
            self.actor.load_state_dict(Actor().state_dict())
            for group in self.actor_optimiser.param_groups:
                group["lr"] = 0.0

    def drive(self, seed: int) -> tuple[float, float, float]:
        """Return of an episode without noise; Q at its start and the discounted return that followed."""
        env = gymnasium.make("Pendulum-v1")
        observation, _ = env.reset(seed=seed)
        total, followed, discount, value = 0.0, 0.0, 1.0, 0.0
        for step in range(200):
            given = torch.as_tensor(self.seen(observation))[None]
            with torch.no_grad():
                action = self.actor(given)
                if step == 0:
                    value = float(self.critics[0](given, action))
            torque = np.nan_to_num(self.reach * action.numpy()[0]).astype(np.float32)
            observation, reward, *_ = env.step(torque)
            total, followed = total + float(reward), followed + discount * float(reward)
            discount *= self.gamma
        return total, value, followed


def train(fault: str, seed: int) -> dict[str, Any]:
    """One run: its rows as a script logs them, and what was true of it, measured afterwards.

    Returns:
        ``rows``; ``learnt``: mean return of 10 test episodes; ``value_error``: Q at their starts less the discounted
        return that followed, over the spread of such returns.
    """
    loop = Loop(fault, seed)
    loop.run()
    tests = [loop.drive(seed + 9000 + k) for k in range(TESTS)]
    spread = max(float(np.std([followed for _, _, followed in tests])), 10.0)
    return {
        "rows": loop.rows,
        "learnt": float(np.mean([ret for ret, _, _ in tests])),
        "value_error": float(np.mean([value - followed for _, value, followed in tests])) / spread,
    }
