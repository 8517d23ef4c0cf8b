"""Every file of every config group composes into settings that pass every check, and says its own name."""

from pathlib import Path

import pytest
import torch
from torch.nn import LayerNorm

from td3sweep.agent import MPGTarget, TD3Target
from td3sweep.assemble.learner import build_agent, build_replay
from td3sweep.config.env_settings import CarlaSettings, GymSettings
from td3sweep.config.presets import config_directory
from td3sweep.config.settings import PidDemonstrationSettings
from td3sweep.replay import LAP, PER, FrameReplay

GROUPS = sorted(path.relative_to(config_directory()) for path in Path(config_directory()).glob("*/*.yaml"))
NEEDS = {
    "reward/none": ["env=gym"],
    "replay/lap": ["loss=huber"],
    "demonstrations/recorded": ["demonstrations.path=somewhere"],
}  # what an option cannot do without


@pytest.mark.parametrize("file", GROUPS, ids=str)
def test_every_option_composes(file, settings):
    option = f"{file.parent}={file.stem}"
    found = settings(*NEEDS.get(str(file.with_suffix("")), []), option)
    if file.parent.name not in ("experiment", "hyperparams", "recurrent"):
        assert getattr(found, file.parent.name).name == file.stem


def test_the_contracts_options_exist():
    names = {str(path.with_suffix("")) for path in GROUPS}
    wanted = {
        "cnn": ["nature", "pooled"],
        "recurrent": ["none", "gru48", "lstm256"],
        "hyperparams": ["recipe", "drive", "paper", "current", "as_ran", "author", "mpg"],
        "demonstrations": ["none", "pid"],
        "clip": ["joint", "per_module", "value", "off"],
        "wiring": ["separate", "critic_only", "crossed"],
        "tracking": ["offline", "wandb", "off"],
        "monitor": ["warn", "stop", "off"],
        "env": ["carla", "gym"],
        "target": ["td3", "mpg"],
        "replay": ["uniform", "per", "lap"],
    }
    assert {f"{group}/{option}" for group, options in wanted.items() for option in options} <= names


def test_defaults_are_the_contracts(settings):
    s = settings()
    assert (s.cnn.name, s.recurrent.name, s.wiring.name) == ("nature", "none", "separate")
    assert isinstance(s.env, CarlaSettings)
    assert s.env.server == "standin"
    assert s.tracking.name == "offline"


def test_the_default_composition_is_the_recipe(settings):
    s = settings()
    h, env = s.hyperparams, s.env
    assert (h.gamma, h.tau, h.actor_lr, h.critic_lr, h.batch_size) == (0.98, 0.02, 3e-4, 1e-3, 100)
    assert (h.exploration_noise, h.exploration_noise_final, h.exploration_noise_steps) == (0.3, 0.1, None)
    assert (h.lr_final, s.clip.name, s.reward.name, s.reward.scale) == (0.05, "off", "cruise", 0.1)
    assert (s.steps, s.warmup, s.critic_only_updates, s.updates_per_step) == (1400, 1000, 300, 1.0)
    assert (s.n_step, s.trunk, s.precision) == (3, 50, "auto")
    assert (s.eval_every, s.eval_episodes, s.eval_spread) == (200, 10, True)
    assert (env.vector, env.speed_scale, env.steer_scale, env.max_episode_steps) == ("speed", 3.0, 0.4, 400)
    assert env.terminate == ["collision", "off_road", "stalled"]
    assert s.demonstrations == PidDemonstrationSettings(name="pid")
    assert (s.demonstrations.random_steps, s.demonstrations.noise) == (150, [0.1, 0.3, 0.6])
    assert (s.demonstrations.cloning, s.demonstrations.floor, s.demonstrations.fade) == (10.0, 0.2, 600)


@pytest.mark.parametrize("memory", ["gru48", "lstm256"])
def test_with_a_memory_the_recipe_draws_fewer_windows_of_several_transitions(memory, settings):
    s = settings(f"recurrent={memory}")
    assert (s.hyperparams.batch_size, s.recurrent.sequence_length, s.recurrent.burn_in) == (16, 5, 2)
    assert (s.recurrent.context, s.recurrent.even) == (True, True)
    assert settings(f"recurrent={memory}", "hyperparams.batch_size=7").hyperparams.batch_size == 7


def test_driving_from_rewards_alone_is_the_default_without_demonstrations(settings):
    s, plain = settings("experiment=drive"), settings()
    assert (s.demonstrations.name, s.hyperparams.batch_size, s.steps, s.warmup) == ("none", 32, 5000, 1000)
    assert (s.env, s.reward, s.clip, s.n_step, s.trunk) == (plain.env, plain.reward, plain.clip, 3, 50)


@pytest.mark.parametrize(("recurrent", "transitions"), [("none", 20), ("gru48", 20)])
def test_the_ablation_trains_as_many_transitions_with_a_memory(recurrent, transitions, settings):
    s = settings("experiment=ablation", f"recurrent={recurrent}")
    assert s.hyperparams.batch_size * s.recurrent.sequence_length == transitions


def test_the_memory_experiment_trains_as_many_transitions_with_a_memory(settings):
    with_memory = settings("experiment=memory", "recurrent=gru48", "recurrent.sequence_length=15")
    assert settings("experiment=memory").hyperparams.batch_size == 90 == 15 * with_memory.hyperparams.batch_size


@pytest.mark.parametrize(
    ("preset", "numbers"),
    [
        ("paper", (0.99, 0.005, 1e-3, 1e-3, 100)),
        ("current", (0.9, 0.001, 1e-4, 1e-4, 256)),
        ("as_ran", (0.99, 0.005, 3e-4, 3e-4, 256)),
        ("author", (0.99, 0.005, 3e-4, 3e-4, 256)),
        ("mpg", (0.99, 0.005, 1e-3, 1e-2, 16)),
    ],
)
def test_hyperparams_presets_hold_the_documented_numbers(preset, numbers, settings):
    h = settings(f"hyperparams={preset}").hyperparams
    assert (h.gamma, h.tau, h.actor_lr, h.critic_lr, h.batch_size) == numbers
    assert (h.policy_delay, h.target_noise, h.target_noise_clip, h.exploration_noise) == (2, 0.2, 0.5, 0.1)


def test_as_ran_gives_the_cnns_their_own_rates(settings):
    h = settings("hyperparams=as_ran").hyperparams
    assert (h.actor_cnn_lr, h.critic_cnn_lr) == (1e-5, 1e-4)


def test_an_experiment_wins_over_the_defaults_and_an_override_wins_over_it(settings):
    s = settings("experiment=described_5k")
    assert (s.steps, s.warmup, s.reward.name, s.env.action_repeat) == (5000, 1000, "described_20nov", 1)
    assert (s.hyperparams.actor_cnn_lr, s.wiring.name) == (1e-5, "separate")
    assert (s.pre_tanh_penalty, s.actor_init_scale, s.trunk) == (0.0, 1.0, None)  # the system had no such care
    assert (s.demonstrations.name, s.clip.name, s.hyperparams.lr_final) == ("none", "joint", 1.0)
    assert (s.n_step, s.critic_only_updates, s.precision, s.reward.scale) == (1, 0, "fp32", 1.0)
    assert (s.eval_every, s.eval_episodes, s.eval_spread, s.hyperparams.batch_size) == (500, 2, False, 256)
    assert (s.env.vector, s.env.speed_scale, s.env.steer_scale) == ("full", 30.0, 1.0)
    assert s.env.terminate == ["collision", "off_road", "route_done"]
    memory = settings("experiment=described_5k", "recurrent=gru48").recurrent
    assert (memory.sequence_length, memory.burn_in, memory.context, memory.even) == (10, 5, False, False)
    assert settings("experiment=described_5k", "steps=6000").steps == 6000


@pytest.mark.parametrize(
    ("phase", "groups", "reward"),
    [
        ("phase1", ("nature", "none", 0, "uniform", "td3"), {}),
        ("phase2", ("pooled", "gru", 48, "uniform", "td3"), {}),
        ("phase3", ("pooled", "gru", 48, "per", "mpg"), {"centre": 1.0, "apf": 1.0}),
    ],
)
def test_the_phases_hold_the_documents_numbers(phase, groups, reward, settings):
    s = settings(f"experiment={phase}")
    h, seed = s.hyperparams, settings("experiment=described_5k")
    assert (h.gamma, h.tau, h.actor_lr, h.critic_lr) == (0.99, 0.005, 1e-3, 1e-3)
    assert h.batch_size * s.recurrent.sequence_length == 100  # the document counts transitions
    assert (h.policy_delay, h.target_noise, h.target_noise_clip) == (2, 0.2, 0.5)
    assert (h.actor_cnn_lr, h.critic_cnn_lr) == (None, None)
    assert (s.clip.name, s.clip.actor, s.clip.critic, s.wiring.name) == ("joint", 1.0, 10.0, "separate")
    assert (s.name, s.steps, s.warmup, s.updates_per_step) == (phase, 5000, 1000, 1.0)
    assert (s.cnn.name, s.recurrent.name, s.recurrent.hidden, s.replay.name, s.target.name) == groups
    assert s.reward.terms == seed.reward.terms | reward
    assert s.env == seed.env


@pytest.mark.parametrize("choice", ["clip=joint", "hyperparams=author", "reward=race"])
def test_a_group_named_on_the_command_line_wins_over_the_experiments(choice, settings):
    group = choice.partition("=")[0]
    found, plain = settings("experiment=drive", choice), settings(choice)
    if group == "reward":
        assert found.reward.terms == plain.reward.terms
    else:
        assert getattr(found, group) == getattr(plain, group)


def test_gym_brings_its_own_reward(settings):
    s = settings("env=gym", "env.id=Pendulum-v1")
    assert isinstance(s.env, GymSettings)
    assert (s.env.id, s.reward.name, s.reward.terms) == ("Pendulum-v1", "none", {})


def test_every_option_of_the_learner_reaches_it(settings):
    def built(*overrides):
        return build_agent(settings(*overrides), vector_size=3, action_size=2)

    plain = built("hyperparams=paper", "clip=joint", "trunk=null", "pre_tanh_penalty=0", "actor_init_scale=1")
    changed = built(
        *("target=mpg", "target.delta_init=first_batch", "target.delta_state=ema", "clip=value", "clip.actor=.5"),
        *("loss=huber", "aug=shift4", "feature_norm=layernorm", "pre_tanh_penalty=.01", "actor_init_scale=.25"),
        *("weight_decay=.01", "hyperparams.critic_cnn_lr=.002", "wiring=crossed", "trunk=null"),
    )
    for agent, expected in (
        (plain, (TD3Target, "joint", 1.0, "mse_loss", "none", 0.0, "Adam", 0.0, 1e-3, "separate")),
        (changed, (MPGTarget, "value", 0.5, "huber_loss", "shift4", 0.01, "AdamW", 0.01, 2e-3, "crossed")),
    ):
        cnn = agent.critic_optimizer.param_groups[0]
        assert expected == (
            *(type(agent._target_rule), agent._clip.kind, agent._clip.actor, agent._element_loss.__name__),
            *(agent._aug, agent._pre_tanh_penalty, type(agent.critic_optimizer).__name__),
            *(cnn["weight_decay"], cnn["lr"], agent._wiring),
        )
    assert (changed._target_rule.delta_init, changed._target_rule.delta_state) == ("first_batch", "ema")
    normed = [any(isinstance(m, LayerNorm) for m in agent.critic.modules()) for agent in (plain, changed)]
    assert normed == [False, True]
    last = [agent.actor.head.mlp[-1].weight for agent in (built("actor_init_scale=1"), built("actor_init_scale=.25"))]
    assert torch.allclose(last[1], 0.25 * last[0])
    remembering = ("recurrent=gru48", "trunk=20", "recurrent.skip=true", "recurrent.context=false")
    plain, changed = (built(*words).critic.encoder.memory for words in (("recurrent=gru48",), remembering))
    assert (plain.features, changed.features, changed.trunk[0].out_features) == (48, 48 + 20, 20)
    told, untold = (
        built("recurrent=gru48", f"recurrent.context={word}").actor.encoder.memory.memory.gru.input_size
        for word in ("true", "false")
    )
    assert told - untold == 3 + 2  # the vector and the previous action
    assert (built()._cloning, built("demonstrations.cloning=4")._cloning, built("demonstrations=none")._cloning) == (
        *(10.0, 4.0, 0.0),
    )


def test_a_replay_is_built_with_the_rule_it_was_asked_for(settings):
    def built(*overrides):
        s = settings(*overrides, "replay.capacity=1000")
        return build_replay(s, build_agent(s, vector_size=3, action_size=2), 3, 2)

    assert type(built()) is FrameReplay
    assert built("replay=per")._rule == PER(alpha=0.6, first_beta=0.4, beta_updates=4000)
    assert built("replay=per", "replay.beta=1", "replay.beta_updates=7")._rule == PER(0.6, 1.0, 7)
    assert built("replay=lap", "loss=huber", "recurrent=gru48")._rule == LAP(alpha=0.4)
    assert [built(word)._n_step for word in ("n_step=1", "n_step=3")] == [1, 3]


@pytest.mark.parametrize("cnn", ["nature", "pooled"])
@pytest.mark.parametrize("recurrent", ["none", "gru48", "lstm256"])
def test_every_network_builds_with_a_replay_that_fits_its_memory(cnn, recurrent, settings):
    s = settings(f"cnn={cnn}", f"recurrent={recurrent}", "replay.capacity=1000")
    agent = build_agent(s, vector_size=3, action_size=2)
    build_replay(s, agent, 3, 2)
    last_action = 0 if recurrent == "none" else 2
    assert agent.state_size == {"none": 0, "gru48": 2 * 48, "lstm256": 4 * 256}[recurrent] + last_action
