"""Small agents to audit."""

from unittest.mock import patch

from td3sweep.agent import TD3, Clip, build_td3
from td3sweep.doctor import Audit
from td3sweep.doctor.audit import examine
from td3sweep.doctor.injected import inject
from td3sweep.doctor.td3 import small_batch, td3_learner

MEMORIES = {"none": (0, 1, 0), "gru": (48, 10, 5), "lstm": (256, 10, 5)}
LR, TAU, DELAY = 1e-3, 0.01, 2


def patient(*, clip="joint", memory="none", faults=(), seed=0, features=64, **changes) -> TD3:
    """An agent as the settings build it; `features` below the real 512 make it an eighth of the size."""
    arguments = {
        "cnn": "nature", "memory": memory, "memory_size": MEMORIES[memory][0], "vector_size": 3, "action_size": 2,
        "hidden": (32, 32), "tau": TAU, "actor_lr": LR, "critic_lr": LR, "policy_delay": DELAY, "clip": Clip(clip),
    }  # fmt: skip
    with patch("td3sweep.agent.build.FEATURES", features):
        agent = build_td3(**{**arguments, **changes}, seed=seed)
    for fault in faults:
        inject(agent, fault)
    return agent


def batch_for(agent: TD3, memory="none"):
    _, length, burn_in = MEMORIES[memory]
    return small_batch(
        agent, vector_size=3, action_size=2, gamma=0.99, n_step=1, sequence_length=length, burn_in=burn_in
    )


def audited(agent: TD3, *, clip="joint", memory="none") -> Audit:
    """Audit against what a healthy configuration asks for."""
    return examine(
        td3_learner(
            agent, batch_for(agent, memory), clip=Clip(clip), learning_rates={"actor": LR, "critic": LR}, tau=TAU,
            policy_delay=DELAY,
        )
    )  # fmt: skip


def finding(audit: Audit, name: str):
    return next(found for found in audit.findings if found.name == name)
