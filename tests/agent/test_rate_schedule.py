"""Learning rates under a schedule: shares of what was built, and a loaded agent goes on with them to the bit."""

import io

import pytest
import torch
from agents import make_agent, make_batch, parameters, same

RATES = {"actor_lr": 1e-3, "critic_lr": 2e-3, "critic_cnn_lr": 3e-4}


def through_disk(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_a_share_is_of_the_first_rates():
    agent = make_agent(**RATES)
    for share in (0.5, 0.25, 1.0, 0.1):  # never of those before
        agent.scale_learning_rates(share)
        assert agent.learning_rates() == pytest.approx(
            {"lr/actor/cnn": 1e-3 * share, "lr/actor/head": 1e-3 * share,
             "lr/critic/cnn": 3e-4 * share, "lr/critic/head": 2e-3 * share}
        )  # fmt: skip


def test_a_share_of_0_stops_all_learning():
    agent = make_agent(policy_delay=1)
    before = [*parameters(agent.actor), *parameters(agent.critic)]
    agent.scale_learning_rates(0.0)
    agent.update(make_batch())
    assert same([*parameters(agent.actor), *parameters(agent.critic)], before)


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_a_loaded_agent_goes_on_with_its_rates_bit_for_bit(decay):
    original, loaded = (make_agent(seed=seed, weight_decay=decay, policy_delay=1, **RATES) for seed in (0, 9))
    for update in range(6):
        if update == 3:
            loaded.scale_learning_rates(1.0 - 3 / 7)  # as will be asked for; but what is loaded counts
            loaded.load_state_dict(through_disk(original.state_dict()))
        share = 1.0 - update / 7
        for agent in (original, loaded) if update >= 3 else (original,):
            if update != 4:  # one update goes by what was set before
                agent.scale_learning_rates(share)
            agent.update(make_batch(seed=update))
    for name, network in original.networks().items():
        assert same(parameters(network), parameters(loaded.networks()[name]))
    assert original.learning_rates() == loaded.learning_rates()
    groups = loaded.state_dict()["critic_optimizer"]["param_groups"]
    assert [group["initial_lr"] for group in groups] == [3e-4, 2e-3]


def test_the_rates_of_an_older_checkpoint_are_the_first():
    state = make_agent(**RATES).state_dict()
    for name in ("actor_optimizer", "critic_optimizer"):
        state[name]["param_groups"] = [
            {key: value for key, value in group.items() if key != "initial_lr"} for group in state[name]["param_groups"]
        ]
    loaded = make_agent(actor_lr=0.5, critic_lr=0.5)
    loaded.load_state_dict(through_disk(state))
    loaded.scale_learning_rates(0.5)
    assert loaded.learning_rates()["lr/critic/head"] == 1e-3
