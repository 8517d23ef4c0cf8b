"""What acts: the actor and the memories that advance with it, apart from everything that learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from td3sweep.agent.explore import explore
from td3sweep.agent.networks import Actor, Encoder

Observation = Mapping[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float32]


class Policy(Protocol):
    """What acts, whatever it is made of: an agent, its networks, or somebody's own."""

    def initial_state(self) -> Floats:
        """Memory state [S] at an episode's start; S may be 0."""
        ...

    def act(self, observation: Observation, state: Floats, noise: float = 0.0) -> tuple[Floats, Floats]:
        """An action float32 [A] in [-1, 1] for one observation, and the memory state after the two.

        Args:
            observation: `image` uint8 [stack, height, width], `vector` float32 [V].
            state: [S] before this observation.
            noise: standard deviation of the exploration noise; 0 is deterministic.
        """
        ...

    def after(self, state: Floats, action: Floats) -> Floats:
        """The state that :meth:`act` returned, where another action was taken in the place of its own."""
        ...


class NetworkPolicy:
    """A policy that is an actor network, with the memories that advance with it.

    Args:
        actor: policy network.
        critic_encoder: read where the actor has no encoder, and advanced where it has a memory.
        device: where both live.
        seed: of the exploration noise.
    """

    def __init__(self, actor: Actor, critic_encoder: Encoder, *, device: torch.device, seed: int) -> None:
        self.rng = torch.Generator().manual_seed(seed)
        self._actor, self._critic_encoder, self._device = actor, critic_encoder, device
        self._kept = critic_encoder.context[1]

    @property
    def state_sizes(self) -> tuple[int, int, int]:
        """Numbers of memory state of the actor and of the critic, and of the last action, where they are fed it."""
        return self._actor.state_size, self._critic_encoder.state_size, self._kept

    @property
    def state_size(self) -> int:
        """The same together, 0 for feed-forward."""
        return sum(self.state_sizes)

    def after(self, state: Floats, action: Floats) -> Floats:
        """See :class:`Policy`."""
        if self._kept == 0:
            return state
        return np.concatenate([state[: -self._kept], action.astype(np.float32)])

    def initial_state(self) -> Floats:
        """Memory state [state_size] at an episode's start."""
        return np.zeros(self.state_size, np.float32)

    def tensors(self) -> list[torch.Tensor]:
        """Everything that acting reads, in an order of its own: a policy of the same settings has the same list."""
        reads_critic = self._actor.encoder is None or self._critic_encoder.state_size > 0
        modules = [self._actor, self._critic_encoder] if reads_critic else [self._actor]
        return [tensor.detach() for module in modules for tensor in (*module.parameters(), *module.buffers())]

    @torch.no_grad()
    def act(self, observation: Observation, state: Floats, noise: float = 0.0) -> tuple[Floats, Floats]:
        """Choose an action for one observation.

        Args:
            observation: `image` uint8 [stack, height, width], `vector` float32 [V].
            state: [state_size] before this observation, the action that led to it included.
            noise: standard deviation of the exploration noise; 0 is deterministic and draws no random number.

        Returns:
            Action float32 [A] in [-1, 1] and the state [state_size] after this observation and action, the critic's
            memory (which replay stores for its sequences) advanced as well.
        """
        images = torch.tensor(observation["image"], device=self._device)[None, None]
        vector = torch.tensor(observation["vector"], device=self._device)[None, None]
        whole = torch.tensor(state, device=self._device)[None]
        actor_state, critic_state, last = torch.split(whole, list(self.state_sizes), dim=-1)
        context = torch.cat([vector, last[None]], dim=-1) if self._kept else None
        if self._actor.encoder is None:
            features, critic_state = self._critic_encoder(images, critic_state, context)
        else:
            features, actor_state = self._actor.encoder(images, actor_state, context)
            if critic_state.shape[1] > 0:
                critic_state = self._critic_encoder(images, critic_state, context)[1]
        # Networks full of NaN, which the monitor reports, must not send NaN to a simulator.
        action = torch.tanh(self._actor.head(features, vector))[0, 0].float().cpu().nan_to_num(nan=0.0)
        taken = explore(action, noise, self.rng).numpy()
        following = torch.cat([actor_state, critic_state, last], dim=-1)[0].float().cpu().numpy()
        return taken, self.after(following, taken)
