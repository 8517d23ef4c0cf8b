"""TD3 (Fujimoto et al., ICML 2018) on image windows, feed-forward and recurrent in one path.

What differs from the paper: observations are image stacks with a vector that joins at the heads; actor and
critic have encoders of their own and every trained network has a target copy, encoder included; the two Q
heads share the critic's encoder; gradients are clipped; returns may span n steps; the actor's loss may
penalise its pre-tanh output.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from td3sweep.agent.augment import random_shift
from td3sweep.agent.compiled import CudaGraphs, UpdateStep, prepare, set_precision
from td3sweep.agent.explore import target_noise
from td3sweep.agent.gradients import Clip, Metrics, clip_gradients, norms
from td3sweep.agent.networks import Actor, Critic, current_vectors, next_vectors, parts, scaled_once
from td3sweep.agent.optimizers import build_optimizer, scale_rates
from td3sweep.agent.policy import NetworkPolicy
from td3sweep.agent.state import align_optimizer, check_architecture, nonfinite_tensors
from td3sweep.agent.targets import TargetRule, TD3Target, masked_mean
from td3sweep.names import Augmentation, Loss, Precision, Wiring
from td3sweep.replay.batch import Batch

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
        cloning: weight of the mean squared distance to what a demonstrator meant to do, where it acted (TD3+BC,
            Fujimoto & Gu, 2021); 0 leaves the term out. See :meth:`update` for its share of the loss.
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
        loss: Loss = "mse",
        pre_tanh_penalty: float = 0.0,
        cloning: float = 0.0,
        weight_decay: float = 0.0,
        aug: Augmentation = "none",
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
            prepare(network, self.device)  # each by itself: a copy's memory lies apart, slow for cuDNN
        self.use_precision(precision)
        self.actor_optimizer = build_optimizer(actor, actor_lr, actor_cnn_lr, weight_decay, self.device)
        self.critic_optimizer = build_optimizer(critic, critic_lr, critic_cnn_lr, weight_decay, self.device)
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
        self._pre_tanh_penalty, self._cloning = pre_tanh_penalty, cloning
        self._share = torch.zeros((), device=self.device)  # of cloning in the actor's loss; a CUDA graph reads it here
        self._rate_share = 1.0  # of the learning rates, as the optimisers hold it
        self.policy = NetworkPolicy(actor, critic.encoder, device=self.device, seed=seed)
        self._update_rng = torch.Generator(self.device).manual_seed(seed + 1)
        self.run_step: UpdateStep = self._step

    # Acting -----------------------------------------------------------------------------------------------

    @property
    def state_sizes(self) -> tuple[int, int, int]:
        """Numbers of memory state, as replay stores them: see :attr:`NetworkPolicy.state_sizes`."""
        return self.policy.state_sizes

    @property
    def state_size(self) -> int:
        """The same together, 0 for feed-forward."""
        return self.policy.state_size

    def initial_state(self) -> npt.NDArray[np.float32]:
        """Memory state [state_size] at an episode's start."""
        return self.policy.initial_state()

    def act(
        self, observation: Mapping[str, npt.NDArray[Any]], state: npt.NDArray[np.float32], noise: float = 0.0
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """See :class:`td3sweep.agent.policy.Policy`."""
        return self.policy.act(observation, state, noise)

    def after(self, state: npt.NDArray[np.float32], action: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """See :class:`td3sweep.agent.policy.Policy`."""
        return self.policy.after(state, action)

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
        whole = torch.tensor(state, device=self.device)[None]
        _, critic_state, last = torch.split(whole, list(self.state_sizes), dim=-1)
        context = torch.cat([vector, last[None]], dim=-1) if last.shape[-1] else None
        features = self.critic.encoder(images, critic_state, context)[0]
        return float(self.critic.head.first(features, vector, torch.tensor(action, device=self.device)[None, None]))

    def _split(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        actor_state, critic_state, _ = torch.split(state, list(self.state_sizes), dim=-1)
        return actor_state, critic_state

    # Updating ---------------------------------------------------------------------------------------------

    def update(self, batch: Batch, *, train_actor: bool = True, share: float = 0.0) -> Metrics:
        """One critic step; every `policy_delay`-th time also an actor step and a soft update of all targets.

        Args:
            batch: from replay, on any device.
            train_actor: False leaves the actor alone (a critic-only warm-up); targets still follow.
            share: w in [0, 1]: the actor's loss is w `cloning` times the distance to the demonstrator, and (1 - w)
                times TD3's own.

        Returns:
            Metrics as 0-dim tensors on the device, none read by the host; the actor's only where it stepped.
        """
        batch = self._augmented(batch.to(self.device))
        noise = target_noise(batch.actions, self._target_noise, self._target_noise_clip, self._update_rng)
        self.updates += 1
        self._share.fill_(share)
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
        cloning: Metrics = {}
        if self._cloning > 0:
            distance = _distance(action, batch)
            loss = self._share * self._cloning * distance + (1.0 - self._share) * loss
            cloning = {"cloning/distance": distance.detach(), "cloning/share": self._share.clone()}
        saturated = (action.detach().abs() > SATURATED).to(action.dtype)
        return loss, {
            "loss/actor": loss.detach(),
            "q/actor": q.detach(),
            "q/actor_max": (values.detach().abs() * batch.mask).max(),
            "action/saturation": masked_mean(saturated.mean(dim=-1), batch.mask),
            "action/pre_tanh": masked_mean(pre_tanh.detach().abs().mean(dim=-1), batch.mask),
            "feature/actor": _feature_norm(actor_features, batch.mask),
            **cloning,
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

    def use_precision(self, precision: Precision) -> None:
        """Change the CNNs' arithmetic; weights stay in float32."""
        self.precision: Precision = precision
        for network in self.networks().values():
            set_precision(network, precision)

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

    def scale_learning_rates(self, share: float) -> None:
        """Set every learning rate to this share of what it was built with."""
        if share == self._rate_share:
            return
        self._rate_share = share
        for optimizer in (self.actor_optimizer, self.critic_optimizer):
            scale_rates(optimizer, share)

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
            "precision": self.precision,
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
        self.use_precision(state.get("precision", self.precision))  # older versions kept none
        self._rate_share = math.nan  # the optimisers hold the saved rates now
        self.updates = state["updates"]
        self._target_rule.load_state_dict(state["target_rule"])
        self.policy.rng.set_state(state["acting_rng"])
        if state["device"] == self.device.type:
            self._update_rng.set_state(state["update_rng"])
        else:  # another device's generator has another state; go on with a stream of its own
            self._update_rng.manual_seed(self._update_rng.initial_seed() + self.updates)


def _distance(action: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Mean squared distance of actions [B, L, A] to what a demonstrator meant; 0 where the batch shows none."""
    shown = batch.mask * batch.meant.isfinite().all(dim=-1).to(action.dtype)
    squares = (action - batch.meant.nan_to_num(nan=0.0)).square().mean(dim=-1)
    return (squares * shown).sum() / shown.sum().clamp(min=1.0)


def _feature_norm(features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean L2 norm of feature vectors [B, L, F]."""
    return masked_mean(features.detach().norm(dim=-1), mask)
