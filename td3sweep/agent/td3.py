"""TD3 (Fujimoto et al., ICML 2018) on image windows, feed-forward and recurrent in one path.

What differs from the paper: observations are image stacks with a vector that joins at the heads; actor and
critic have encoders of their own and every trained network has a target copy, encoder included; the two Q
heads share the critic's encoder; gradients are clipped; returns may span n steps; the actor's loss may
penalise its pre-tanh output.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from td3sweep.agent.augment import random_shift
from td3sweep.agent.compiled import CudaGraphs, Precision, UpdateStep, prepare
from td3sweep.agent.explore import target_noise
from td3sweep.agent.gradients import Clip, Metrics, clip_gradients, norms
from td3sweep.agent.networks import Actor, Critic, current_vectors, next_vectors, parts, scaled_once
from td3sweep.agent.policy import Policy
from td3sweep.agent.state import align_optimizer, check_architecture, nonfinite_tensors
from td3sweep.agent.targets import TargetRule, TD3Target, masked_mean
from td3sweep.replay.batch import Batch

Wiring = Literal["separate", "critic_only", "crossed"]
SHIFT_PIXELS = 4
SATURATED = 0.99  # |action| beyond which the tanh hardly passes a gradient


class TD3:
    """The agent: acts, updates, saves.

    Args:
        actor: policy network; has no encoder exactly if `wiring` is `critic_only`.
        critic: twin critic.
        tau: share of the online weights a target takes over per soft update.
        actor_lr: learning rate of the actor.
        critic_lr: learning rate of the critic.
        actor_cnn_lr: learning rate of the actor's CNN, None for `actor_lr`.
        critic_cnn_lr: learning rate of the critic's CNN, None for `critic_lr`.
        policy_delay: updates from one actor step and soft update to the next.
        target_noise: standard deviation of the target policy's smoothing noise.
        target_noise_clip: its limit.
        target_rule: how two target Q values become one.
        clip: gradient limits.
        wiring: `separate`: the actor's loss reads the critic's own features, without gradient.
            `critic_only`: one encoder, trained by the critic alone, which the actor reads without gradient.
            `crossed`: a known fault, for study: the actor's loss feeds the *actor's* features to the critic's
            head, so the actor's CNN learns to fool it.
        loss: critic loss, `mse` or `huber` (delta 1).
        pre_tanh_penalty: weight of the mean squared pre-tanh action in the actor's loss.
        weight_decay: AdamW's decoupled decay; 0 is plain Adam.
        aug: `shift4` shifts images by up to 4 pixels.
        device: where networks live and updates run.
        precision: `bf16` runs the CNNs under bfloat16 autocast; everything else stays in float32.
        seed: of exploration and smoothing noise.

    Attributes:
        policy: what acts.
        updates: critic steps taken.
        td_errors: [B, L], |Q - y| of the last critic step, the larger of both critics (as in LAP's code), on the
            device.
        run_step: runs an update's work on the device; `compiled.CudaGraphs` replays it.
    """

    def __init__(
        self,
        actor: Actor,
        critic: Critic,
        *,
        tau: float,
        actor_lr: float,
        critic_lr: float,
        actor_cnn_lr: float | None = None,
        critic_cnn_lr: float | None = None,
        policy_delay: int = 2,
        target_noise: float = 0.2,
        target_noise_clip: float = 0.5,
        target_rule: TargetRule | None = None,
        clip: Clip | None = None,
        wiring: Wiring = "separate",
        loss: Literal["mse", "huber"] = "mse",
        pre_tanh_penalty: float = 0.0,
        weight_decay: float = 0.0,
        aug: Literal["none", "shift4"] = "none",
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
        seed: int,
    ) -> None:
        if (actor.encoder is None) != (wiring == "critic_only"):
            raise ValueError(
                f"wiring={wiring} needs an actor {'with' if actor.encoder is None else 'without'} an encoder"
            )
        self.device = torch.device(device)
        self.actor, self.critic = actor, critic
        self.target_actor = copy.deepcopy(actor).requires_grad_(False)
        self.target_critic = copy.deepcopy(critic).requires_grad_(False)
        for network in (actor, critic, self.target_actor, self.target_critic):
            prepare(network, self.device, precision)  # each by itself: a copy's memory lies apart, slow for cuDNN
        self.actor_optimizer = _optimizer(actor, actor_lr, actor_cnn_lr, weight_decay, self.device)
        self.critic_optimizer = _optimizer(critic, critic_lr, critic_cnn_lr, weight_decay, self.device)
        self.updates = 0
        self.td_errors = torch.empty(0, 0, device=self.device)
        self._actor_parts, self._critic_parts = parts(actor), parts(critic)
        self._actor_parameters = list(actor.parameters())
        self._online: list[torch.Tensor] = [*actor.parameters(), *critic.parameters()]
        self._targets: list[torch.Tensor] = [
            *self.target_actor.parameters(),
            *self.target_critic.parameters(),
        ]
        self._tau, self._policy_delay = tau, policy_delay
        self._target_noise, self._target_noise_clip = target_noise, target_noise_clip
        self._target_rule = target_rule if target_rule is not None else TD3Target()
        self._clip = clip if clip is not None else Clip()
        self._wiring, self._aug = wiring, aug
        self._element_loss = functional.mse_loss if loss == "mse" else functional.huber_loss
        self._pre_tanh_penalty = pre_tanh_penalty
        self.policy = Policy(actor, critic.encoder, device=self.device, seed=seed)
        self._update_rng = torch.Generator(self.device).manual_seed(seed + 1)
        self.run_step: UpdateStep = self._step

    # Acting -----------------------------------------------------------------------------------------------

    @property
    def state_sizes(self) -> tuple[int, int]:
        """Memory-state numbers of actor and critic, as replay stores them."""
        return self.actor.state_size, self.critic.state_size

    @property
    def state_size(self) -> int:
        """Memory-state numbers of both together, 0 for feed-forward."""
        return self.policy.state_size

    def initial_state(self) -> npt.NDArray[np.float32]:
        """Memory state [state_size] at an episode's start."""
        return self.policy.initial_state()

    def act(
        self, observation: Mapping[str, npt.NDArray[Any]], state: npt.NDArray[np.float32], noise: float = 0.0
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Choose an action for one observation, as :meth:`Policy.act`."""
        return self.policy.act(observation, state, noise)

    @torch.no_grad()
    def value(
        self,
        observation: Mapping[str, npt.NDArray[Any]],
        state: npt.NDArray[np.float32],
        action: npt.NDArray[np.float32],
    ) -> float:
        """Q1 of one observation and action, by the critic's own features; ``state`` as for :meth:`act`."""
        images = torch.tensor(observation["image"], device=self.device)[None, None]
        vector = torch.tensor(observation["vector"], device=self.device)[None, None]
        critic_state = self._split(torch.tensor(state, device=self.device)[None])[1]
        features = self.critic.encoder(images, critic_state)[0]
        return float(self.critic.head.first(features, vector, torch.tensor(action, device=self.device)[None, None]))

    def _split(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return state[..., : self.actor.state_size], state[..., self.actor.state_size :]

    # Updating ---------------------------------------------------------------------------------------------

    def update(self, batch: Batch, *, train_actor: bool = True) -> Metrics:
        """One critic step; every `policy_delay`-th time also an actor step and a soft update of all targets.

        Args:
            batch: from replay, on any device.
            train_actor: False leaves the actor alone (a critic-only warm-up); targets still follow.

        Returns:
            Metrics as 0-dim tensors on the device, none read by the host; the actor's only where it stepped.
        """
        batch = self._augmented(batch.to(self.device))
        noise = target_noise(batch.actions, self._target_noise, self._target_noise_clip, self._update_rng)
        self.updates += 1
        delayed = self.updates % self._policy_delay == 0
        metrics, self.td_errors = self.run_step(batch, noise, delayed and train_actor, delayed)
        return metrics

    def _step(
        self, batch: Batch, noise: torch.Tensor, train_actor: bool, soft_update: bool
    ) -> tuple[Metrics, torch.Tensor]:
        """An update's work on the device: draws nothing, reads nothing back, so that a CUDA graph can hold it.

        Args:
            batch: on the device, images as bytes.
            noise: [B, L, A] of the target policy.
            train_actor: step the actor as well.
            soft_update: let the targets follow.

        Returns:
            Metrics and `td_errors`.
        """
        batch = scaled_once(batch, self.critic.encoder.cnn)
        y, metrics = self._target(batch, noise)
        features = self.critic.encoder.current(batch, self._split(batch.states)[1])
        q1, q2 = self.critic.head(features, current_vectors(batch), batch.actions)
        metrics |= self._critic_step(batch, y, features, q1, q2)
        if train_actor:
            metrics |= self._actor_step(batch)
            metrics["q/gap"] = (metrics["q/actor"] - metrics["q/q1"]).abs()
        if soft_update:
            self._soft_update()
        metrics["nonfinite"] = (~torch.stack(list(metrics.values())).isfinite()).sum()
        return metrics, torch.maximum((q1.detach() - y).abs(), (q2.detach() - y).abs())

    def _augmented(self, batch: Batch) -> Batch:
        if self._aug == "none":
            return batch
        images = random_shift(
            batch.images, SHIFT_PIXELS, self._update_rng, per_window=self.critic.encoder.state_size > 0
        )
        return replace(batch, images=images)

    @torch.no_grad()
    def _target(self, batch: Batch, noise: torch.Tensor) -> tuple[torch.Tensor, Metrics]:
        actor_state, critic_state = self._split(batch.states)
        features = self.target_critic.encoder.following(batch, critic_state)
        own = self.target_actor.encoder
        actor_features = features if own is None else own.following(batch, actor_state)
        vector = next_vectors(batch)
        action = (torch.tanh(self.target_actor.head(actor_features, vector)) + noise).clamp(-1.0, 1.0)
        q1, q2 = self.target_critic.head(features, vector, action)
        y = batch.rewards + batch.discounts * self._target_rule(q1, q2, batch.mask)
        mean = masked_mean(y, batch.mask)
        spread = masked_mean((y - mean).square(), batch.mask).sqrt()
        return y, {"q/target": mean, "q/target_sd": spread}

    def _critic_step(
        self, batch: Batch, y: torch.Tensor, features: torch.Tensor, q1: torch.Tensor, q2: torch.Tensor
    ) -> Metrics:
        losses = self._element_loss(q1, y, reduction="none") + self._element_loss(q2, y, reduction="none")
        loss = masked_mean(losses * batch.weights.unsqueeze(1), batch.mask)
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        metrics = clip_gradients(self._critic_parts, self._clip.kind, self._clip.critic, "critic")
        self.critic_optimizer.step()
        q1, q2 = q1.detach(), q2.detach()
        metrics["loss/critic"] = loss.detach()
        metrics["feature/critic"] = _feature_norm(features, batch.mask)
        metrics["q/q1"] = masked_mean(q1, batch.mask)
        metrics["q/q2"] = masked_mean(q2, batch.mask)
        metrics["q/twin_gap"] = masked_mean((q1 - q2).abs(), batch.mask)
        metrics["td_error"] = masked_mean(((q1 - y).abs() + (q2 - y).abs()) / 2, batch.mask)
        return metrics

    def _actor_step(self, batch: Batch) -> Metrics:
        loss, measured = self.actor_loss(batch)
        self.actor_optimizer.zero_grad(set_to_none=True)
        # Only the actor's gradients: the critic's would be thrown away, and must not reach its next step.
        loss.backward(inputs=self._actor_parameters)  # type: ignore[no-untyped-call]
        metrics = clip_gradients(self._actor_parts, self._clip.kind, self._clip.actor, "actor")
        self.actor_optimizer.step()
        return metrics | measured

    def actor_loss(self, batch: Batch) -> tuple[torch.Tensor, Metrics]:
        """Loss with its graph, for the actor step and for audits of its gradients, and what it measures.

        Args:
            batch: on the agent's device, images as bytes or scaled.
        """
        vector = current_vectors(batch)
        actor_features, critic_features = self._actor_loss_features(batch)
        pre_tanh = self.actor.head(actor_features, vector)
        action = torch.tanh(pre_tanh)
        values = self.critic.head.first(critic_features, vector, action)
        q = masked_mean(values, batch.mask)
        loss = -q
        if self._pre_tanh_penalty > 0:
            penalty = masked_mean(pre_tanh.square().mean(dim=-1), batch.mask)
            loss = loss + self._pre_tanh_penalty * penalty
        saturated = (action.detach().abs() > SATURATED).to(action.dtype)
        return loss, {
            "loss/actor": loss.detach(),
            "q/actor": q.detach(),
            "q/actor_max": (values.detach().abs() * batch.mask).max(),
            "action/saturation": masked_mean(saturated.mean(dim=-1), batch.mask),
            "action/pre_tanh": masked_mean(pre_tanh.detach().abs().mean(dim=-1), batch.mask),
            "feature/actor": _feature_norm(actor_features, batch.mask),
        }

    def _actor_loss_features(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [B, L, F] that the policy and the critic's head read in the actor's loss."""
        actor_state, critic_state = self._split(batch.states)
        if self._wiring == "crossed" and self.actor.encoder is not None:
            features = self.actor.encoder.current(batch, actor_state)
            return features, features
        with torch.no_grad():
            critic_features = self.critic.encoder.current(batch, critic_state)
        if self.actor.encoder is None:
            return critic_features, critic_features
        return self.actor.encoder.current(batch, actor_state), critic_features

    @torch.no_grad()
    def _soft_update(self) -> None:
        torch._foreach_lerp_(self._targets, self._online, self._tau)

    # Between updates --------------------------------------------------------------------------------------

    @torch.no_grad()
    def weight_norms(self) -> Metrics:
        """`weight/<network>/<part or joint>`: L2 norms as 0-dim tensors on the device, none read by the host."""
        networks: dict[str, Actor | Critic] = {"actor": self.actor, "critic": self.critic}
        return {
            f"weight/{name}/{part}": norm
            for name, network in networks.items()
            for part, norm in norms(parts(network)).items()
        }

    def learning_rates(self) -> dict[str, float]:
        """`lr/<network>/<part>` as the optimisers hold them now."""
        return {
            f"lr/{name}/{part}": float(group["lr"])
            for name, network, optimizer in (
                ("actor", self.actor, self.actor_optimizer),
                ("critic", self.critic, self.critic_optimizer),
            )
            for part, group in zip(parts(network), optimizer.param_groups, strict=True)
        }

    # Saving -----------------------------------------------------------------------------------------------

    def networks(self) -> dict[str, nn.Module]:
        return {
            "actor": self.actor,
            "critic": self.critic,
            "target_actor": self.target_actor,
            "target_critic": self.target_critic,
        }

    def nonfinite_tensors(self) -> list[str]:
        """Names of all parameters and gradients that hold NaN or infinity."""
        return nonfinite_tensors(self.networks())

    def state_dict(self) -> dict[str, Any]:
        """Everything the next update depends on, by reference; `torch.load(weights_only=True)` reads it."""
        return {
            **{name: dict(network.state_dict()) for name, network in self.networks().items()},
            "actor_optimizer": self.actor_optimizer.state_dict(),
            "critic_optimizer": self.critic_optimizer.state_dict(),
            "updates": self.updates,
            "target_rule": self._target_rule.state_dict(),
            "acting_rng": self.policy.rng.get_state(),
            "update_rng": self._update_rng.get_state(),
            "device": self.device.type,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a saved state.

        Raises:
            UserError: the state belongs to another architecture; nothing was changed.
        """
        check_architecture(self.networks(), state)
        for name, network in self.networks().items():
            network.load_state_dict(state[name])
        for optimizer, name in ((self.actor_optimizer, "actor"), (self.critic_optimizer, "critic")):
            optimizer.load_state_dict(state[f"{name}_optimizer"])
            align_optimizer(optimizer, self.device)
        if isinstance(self.run_step, CudaGraphs):
            self.run_step.forget()  # they work on the optimiser states that were just replaced
        self.updates = state["updates"]
        self._target_rule.load_state_dict(state["target_rule"])
        self.policy.rng.set_state(state["acting_rng"])
        if state["device"] == self.device.type:
            self._update_rng.set_state(state["update_rng"])
        else:  # another device's generator has another state; go on with a stream of its own
            self._update_rng.manual_seed(self._update_rng.initial_seed() + self.updates)


def _feature_norm(features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean L2 norm of feature vectors [B, L, F]."""
    return masked_mean(features.detach().norm(dim=-1), mask)


def _optimizer(
    network: Actor | Critic, lr: float, cnn_lr: float | None, weight_decay: float, device: torch.device
) -> torch.optim.Optimizer:
    """One optimiser a network, its CNN in a parameter group of its own."""
    groups = [
        {"params": group, "lr": cnn_lr if part == "cnn" and cnn_lr is not None else lr}
        for part, group in parts(network).items()
    ]
    capturable = device.type == "cuda"
    if weight_decay > 0:
        return torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay, fused=True, capturable=capturable)
    return torch.optim.Adam(groups, lr=lr, fused=True, capturable=capturable)
