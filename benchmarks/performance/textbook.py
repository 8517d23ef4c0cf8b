"""TD3 on pixels as one would write it from the paper: the naive form that ours is measured against, and no other use.

Plain float32, channels first, pooling behind the activation, images scaled by every network for itself, an actor loss
through the whole critic, parameters stepped and averaged one by one. The networks and the loss are those of ours: the
test holds one update of both to the same numbers.
"""

from __future__ import annotations

import copy
import time

import torch
from torch import nn
from torch.nn import functional

from benchmarks.performance.blocks import Contestant
from td3sweep.replay import Batch


class Encoder(nn.Module):
    """The pooled encoder: [B, 4, 84, 84] bytes -> [B, 512]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(4, 32, 8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(),
        )  # fmt: skip

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scaled = images.to(self.layers[0].weight.dtype) / 255.0
        features: torch.Tensor = self.layers(scaled)
        return features


def head(inputs: int, outputs: int) -> nn.Sequential:
    """Two hidden layers of 256."""
    return nn.Sequential(
        nn.Linear(inputs, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, outputs)
    )  # fmt: skip


class Actor(nn.Module):
    """Images -> actions."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = Encoder(), head(512, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.head(self.encoder(images)))


class Critic(nn.Module):
    """Images and actions -> two values, over one encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head1, self.head2 = Encoder(), head(514, 1), head(514, 1)

    def forward(self, images: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.cat([self.encoder(images), actions], dim=-1)
        return self.head1(x), self.head2(x)

    def first(self, images: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.head1(torch.cat([self.encoder(images), actions], dim=-1))
        return value


class TextbookTD3:
    """Algorithm 1 of Fujimoto et al. (2018)."""

    def __init__(self, *, tau: float, rate: float, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.actor, self.critic = Actor(), Critic()
        self.target_actor, self.target_critic = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=rate, foreach=False)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=rate, foreach=False)
        self.tau, self.updates = tau, 0
        self.noise = torch.Generator().manual_seed(seed + 1)

    def update(self, batch: Batch) -> tuple[float, float | None]:
        """One critic step, every second time an actor step and a soft update; losses of critic and actor."""
        images, following, actions = batch.images[:, 0], batch.images[:, 1], batch.actions[:, 0]
        with torch.no_grad():
            noise = torch.empty_like(actions).normal_(0.0, 0.2, generator=self.noise).clamp(-0.5, 0.5)
            next_actions = (self.target_actor(following) + noise).clamp(-1.0, 1.0)
            next1, next2 = self.target_critic(following, next_actions)
            y = batch.rewards + batch.discounts * torch.min(next1, next2)
        q1, q2 = self.critic(images, actions)
        critic_loss = functional.mse_loss(q1, y) + functional.mse_loss(q2, y)
        self.critic_optimizer.zero_grad()
        critic_loss.backward()
        self.critic_optimizer.step()
        self.updates += 1
        if self.updates % 2:
            return critic_loss.item(), None
        actor_loss = -self.critic.first(images, self.actor(images)).mean()
        self.actor_optimizer.zero_grad()
        actor_loss.backward()
        self.actor_optimizer.step()
        for network, target in ((self.actor, self.target_actor), (self.critic, self.target_critic)):
            for parameter, followed in zip(network.parameters(), target.parameters(), strict=True):
                followed.data.copy_(self.tau * parameter.data + (1 - self.tau) * followed.data)
        return critic_loss.item(), actor_loss.item()


def textbook(name: str, agent: TextbookTD3, batch: Batch, updates: int) -> Contestant:
    """Seconds of an update on a batch at hand."""

    def run() -> dict[str, float]:
        begun = time.perf_counter()
        for _ in range(updates):
            agent.update(batch)
        return {name: (time.perf_counter() - begun) / updates}

    return run
