"""The audit on learners that are not ours: a plain-torch TD3, each fault in it, and stable-baselines3's own TD3."""

import copy

import pytest
import torch
from stable_baselines3 import TD3 as SB3TD3
from stable_baselines3.common.logger import Logger
from torch import nn
from torch.nn import functional

from td3sweep.doctor import Limit, audit

CLIP, LR, TAU = 0.5, 1e-2, 0.05


class ToyActor(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.mu = nn.Linear(3, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 2), nn.Tanh())

    def forward(self, x):
        return self.mu(self.encoder(x))


class ToyCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.q1, self.q2 = nn.Linear(3, 8), nn.Linear(10, 1), nn.Linear(10, 1)

    def heads(self, features, action):
        x = torch.cat([features.relu(), action], -1)
        return self.q1(x), self.q2(x)

    def forward(self, x, action):
        return self.heads(self.encoder(x), action)


class Toy:
    """TD3 as people write it, with one switch a fault."""

    def __init__(self, fault=None):
        torch.manual_seed(0)
        self.fault = fault
        self.actor, self.critic = ToyActor(), ToyCritic()
        self.target_actor, self.target_critic = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        if fault == "shared target":
            self.target_actor = self.actor
        actor_parameters = list(self.actor.parameters())
        if fault == "missing":
            actor_parameters = actor_parameters[2:]
        self.optimisers = {
            "pi": torch.optim.Adam(actor_parameters, LR),
            "q": torch.optim.Adam(self.critic.parameters(), LR * (100 if fault == "rate" else 1)),
        }
        if fault == "twice":
            self.optimisers["again"] = torch.optim.SGD(self.critic.q1.parameters(), LR)
        if fault == "separate":
            self.optimisers["pi"] = torch.optim.Adam(self.actor.mu.parameters(), LR)
            self.optimisers["encoder"] = torch.optim.Adam(self.actor.encoder.parameters(), LR)
        self.x, self.following = torch.randn(6, 3), torch.randn(6, 3)
        self.a, self.r = torch.rand(6, 2) * 2 - 1, torch.randn(6, 1)

    def update(self):
        metrics = {}
        with torch.no_grad():
            action = self.target_actor(self.following) + 0.2 * torch.randn(6, 2)
            y = self.r + 0.9 * torch.min(*self.target_critic(self.following, action.clamp(-1, 1)))
        q1, q2 = self.critic(self.x, self.a)
        loss = functional.mse_loss(q1, y) + functional.mse_loss(q2, y)
        self._step(["q", "again"], self.critic, loss, metrics, "q")
        self._step(["pi", "encoder"], self.actor, self._actor_loss(), metrics, "pi")
        if self.fault != "stale":
            for network, target in ((self.actor, self.target_actor), (self.critic, self.target_critic)):
                for p, t in zip(network.parameters(), target.parameters(), strict=True):
                    t.data.lerp_(p.data, TAU)
        return metrics

    def _actor_loss(self):
        features = self.actor.encoder(self.x)
        action = self.actor.mu(features)
        if self.fault == "crossed":
            return -self.critic.heads(features, action)[0].mean()
        if self.fault == "crossed, detached":
            return -self.critic.heads(features.detach(), action)[0].mean()
        loss = -self.critic(self.x, action)[0].mean()
        if self.fault == "weight penalty":  # no fault
            loss = loss + 1e-3 * sum(p.square().sum() for p in self.actor.parameters())
        return loss

    def _step(self, names, network, loss, metrics, name):
        optimisers = [self.optimisers[n] for n in names if n in self.optimisers]
        parameters = list(network.parameters())
        if self.fault != "accumulate":
            for optimiser in optimisers:
                optimiser.zero_grad()
        if self.fault == "clip first":
            nn.utils.clip_grad_norm_(parameters, CLIP)
        loss.backward()
        if self.fault == "separate":
            before = nn.utils.clip_grad_norm_(optimisers[0].param_groups[0]["params"], CLIP)
        elif self.fault == "piecewise":
            before = max(nn.utils.clip_grad_norm_([p], CLIP) for p in parameters)
        elif self.fault != "clip first":
            before = nn.utils.clip_grad_norm_(parameters, CLIP)
        else:
            before = torch.zeros(())
        norms = [p.grad.norm() for p in parameters]
        honest = torch.stack(norms).norm()
        metrics[f"{name}/norm"] = {"returned": before, "summed": sum(norms)}.get(self.fault, honest).item()
        if self.fault == "zeroed late":
            for optimiser in optimisers:
                optimiser.zero_grad()
        for optimiser in optimisers:
            optimiser.step()

    def audit(self, **changes):
        return audit(
            **{
                "actor": self.actor,
                "critic": self.critic,
                "optimisers": self.optimisers,
                "update": self.update,
                "policy": self.actor.mu,
                "target_actor": self.target_actor,
                "target_critic": self.target_critic,
                "limits": {"actor": Limit("joint", CLIP), "critic": Limit("joint", CLIP)},
                "learning_rates": {"actor": LR, "critic": LR},
                "tau": TAU,
                "norms": {
                    "pi/norm": list(self.actor.parameters()),
                    "q/norm": list(self.critic.parameters()),
                },
                **changes,
            }
        )


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        (None, []),
        ("weight penalty", []),
        ("clip first", ["H1"]),
        ("separate", ["H2"]),
        ("piecewise", ["H2"]),
        ("accumulate", ["H3"]),
        ("missing", ["H4"]),
        ("twice", ["H4"]),
        ("returned", ["H5"]),
        ("summed", ["H5"]),
        ("crossed", ["H6"]),
        ("crossed, detached", ["H6"]),
        ("stale", ["stale_target"]),
        ("shared target", ["stale_target"]),
        ("rate", ["learning_rate"]),
    ],
)
def test_a_plain_torch_td3(fault, names):
    found = Toy(fault).audit()
    assert found.faults == names, found.evidence
    assert all(finding.holds is not None for finding in found.findings)


def test_gradients_zeroed_between_backward_and_step_never_reach_it():
    assert "H1" in Toy("zeroed late").audit().faults


def test_what_is_not_told_is_not_judged():
    found = Toy().audit(limits=None, learning_rates=None, norms=None, target_actor=None, target_critic=None)
    assert found.healthy
    assert [f.name for f in found.findings if f.holds is None] == ["H1", "H5", "stale_target", "learning_rate"]
    assert "not measured: H1, H5" in found.line


def test_a_policy_that_is_never_called_is_reported_not_passed():
    toy = Toy()
    found = toy.audit(policy=nn.Linear(1, 1))
    assert [f.holds for f in found.findings if f.name == "H6"] == [None]


def test_the_toy_is_left_as_it_was():
    audited, plain = Toy(), Toy()
    state = torch.get_rng_state()
    audited.audit()
    assert torch.equal(state, torch.get_rng_state())
    for toy in (audited, plain):
        torch.manual_seed(3)
        toy.update()
    assert all(torch.equal(a, b) for a, b in zip(audited.actor.parameters(), plain.actor.parameters(), strict=True))


@pytest.mark.parametrize(("stray_optimiser", "names"), [(False, []), (True, ["H4"])])
def test_a_cleanrl_style_loop_with_two_critics_in_one_optimiser(stray_optimiser, names):
    """qf1 and qf2 are modules of their own, joined for the audit; their gradients also take the actor's loss."""
    torch.manual_seed(0)
    x, a, r = torch.randn(6, 3), torch.rand(6, 2) * 2 - 1, torch.randn(6, 1)
    actor = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2), nn.Tanh())
    qf1, qf2 = (nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1)) for _ in range(2))
    target_actor, target1, target2 = (copy.deepcopy(network) for network in (actor, qf1, qf2))
    q_optimizer = torch.optim.Adam([*qf1.parameters(), *qf2.parameters()], lr=LR)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=LR)
    optimisers = {"q": q_optimizer, "actor": actor_optimizer}
    if stray_optimiser:
        optimisers["stray"] = torch.optim.Adam(qf1[0].parameters(), lr=LR)

    def update():
        with torch.no_grad():
            following = torch.cat([x, target_actor(x)], 1)
            y = r + 0.9 * torch.min(target1(following), target2(following))
        sa = torch.cat([x, a], 1)
        q_optimizer.zero_grad()
        (functional.mse_loss(qf1(sa), y) + functional.mse_loss(qf2(sa), y)).backward()
        q_optimizer.step()
        actor_optimizer.zero_grad()
        (-qf1(torch.cat([x, actor(x)], 1)).mean()).backward()
        actor_optimizer.step()
        for network, target in ((actor, target_actor), (qf1, target1), (qf2, target2)):
            for p, t in zip(network.parameters(), target.parameters(), strict=True):
                t.data.copy_(TAU * p.data + (1 - TAU) * t.data)

    found = audit(
        actor=actor, critic=nn.ModuleList([qf1, qf2]), optimisers=optimisers, update=update,
        target_actor=target_actor, target_critic=nn.ModuleList([target1, target2]), tau=TAU,
    )  # fmt: skip
    assert found.faults == names, found.evidence


def sb3():
    model = SB3TD3("MlpPolicy", "Pendulum-v1", learning_starts=20, batch_size=16, buffer_size=200, seed=0,
                   policy_kwargs={"net_arch": [16]}, train_freq=1, device="cpu")  # fmt: skip
    model.set_logger(Logger(None, []))
    model.learn(30)
    return model


def audit_sb3(model):
    return audit(
        actor=model.actor,
        critic=model.critic,
        optimisers={"actor": model.actor.optimizer, "critic": model.critic.optimizer},
        update=lambda: model.train(gradient_steps=model.policy_delay, batch_size=16),
        policy=model.actor.mu,
        target_actor=model.actor_target,
        target_critic=model.critic_target,
        limits={"actor": Limit("off"), "critic": Limit("off")},
        learning_rates={"actor": 1e-3, "critic": 1e-3},
        tau=0.005,
    )


def test_stable_baselines3_is_healthy_in_the_middle_of_training():
    found = audit_sb3(sb3())
    assert found.faults == [], found.evidence


def test_stable_baselines3_with_a_target_that_never_follows():
    model = sb3()
    model.tau = 0.0
    assert audit_sb3(model).faults == ["stale_target"]
