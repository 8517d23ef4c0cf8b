"""What cannot work is refused in one line that names the key, the value and the remedy."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from td3sweep.assemble.learner import build_replay
from td3sweep.config.compose import COMPOSITION_ERRORS, explain, register, to_settings
from td3sweep.config.presets import config_directory
from td3sweep.errors import UserError

A_MEMORY = "choose recurrent=gru48 or recurrent=lstm256"
NO_ACTOR_CNN = ("with wiring=critic_only", "add hyperparams.actor_cnn_lr=null")


def refusal(*overrides):
    register()
    with initialize_config_dir(config_directory(), version_base="1.3"):
        try:
            to_settings(compose("config", overrides=list(overrides)))
        except UserError as error:
            line = str(error)
        except COMPOSITION_ERRORS as error:
            line = explain(error)
        else:
            pytest.fail(f"{overrides} was accepted")
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["hyperparams.gamma=1.5"], ["hyperparams.gamma=1.5", "between 0 and 0.99999"]),
        (["hyperparams.gama=.9"], ["hyperparams.gama", "did you mean hyperparams.gamma?"]),
        (["env.sever=connect"], ["did you mean env.server?"]),
        (["env.pedals=[1,2]"], ["env.pedals", "env=carla has no such key", "add env=gym or drop it"]),
        (["env=gym", "env.routes=[[0,9]]"], ["env.routes", "env=gym has no such key", "add env=carla or drop it"]),
        (["cnn=pooling"], ["cnn=pooling", "nature, pooled"]),
        (["cnn.name=pooling"], ["cnn.name=pooling", "nature, pooled"]),
        (["steps=many"], ["steps=many", "Integer"]),
        (["env.port=99999"], ["env.port=99999", "65532"]),
        (["hyperparams.actor_lr=nan"], ["hyperparams.actor_lr=nan"]),
        (["steps=["], ["steps=[", "key=value"]),
        (["+surprise=3"], ["surprise", "drop it"]),
        (["+env.surprise=3"], ["surprise", "drop it"]),
        (["recurrent.skip=true"], ["recurrent.skip=true with recurrent=none", "leave it at false or " + A_MEMORY]),
        (["recurrent.stored_state=false"], ["recurrent.stored_state=false with", "leave it at true or " + A_MEMORY]),
        (["recurrent.hidden=48"], ["recurrent.hidden=48 with recurrent=none", "leave it at 0 or " + A_MEMORY]),
        (["recurrent.burn_in=3"], ["recurrent.burn_in=3 with recurrent=none", "leave it at 0 or " + A_MEMORY]),
        (
            ["recurrent.sequence_length=5"],
            ["recurrent.sequence_length=5 with recurrent=none", "leave it at 1 or " + A_MEMORY],
        ),
        (
            ["recurrent.context=false"],
            ["recurrent.context=false with recurrent=none", "leave it at true or " + A_MEMORY],
        ),
        (["recurrent.even=false"], ["recurrent.even=false with recurrent=none", "leave it at true or " + A_MEMORY]),
        *(
            (
                ["demonstrations=none", f"demonstrations.{key}={value}"],
                [
                    f"demonstrations.{key}: demonstrations=none",
                    "has no such key",
                    f"add demonstrations={who} or drop it",
                ],
            )
            for key, value, who in (
                ("path", "shown", "recorded"),
                ("random_steps", "10", "pid or autopilot or recorded"),
                ("noise", "[.2]", "pid"),
                ("cloning", "5", "pid or autopilot or recorded"),
                ("floor", ".1", "pid or autopilot or recorded"),
                ("fade", "9", "pid or autopilot or recorded"),
            )
        ),
        (
            ["demonstrations.path=shown"],
            ["demonstrations.path: ", "and pid and", "add demonstrations=recorded or drop"],
        ),
        (
            ["demonstrations.cloning=0", "demonstrations.floor=.5"],
            [
                "demonstrations.floor=0.5 with demonstrations.cloning=0",
                "leave it at 0.2 or give demonstrations.cloning",
            ],
        ),
        (
            ["demonstrations.cloning=0", "demonstrations.fade=5"],
            ["demonstrations.fade=5 with demonstrations.cloning=0", "leave it at 600 or give demonstrations.cloning"],
        ),
        (
            ["env=gym", "demonstrations=pid"],
            ["demonstrations=pid with env=gym", "no route", "choose demonstrations=none"],
        ),
        (
            ["demonstrations.name=recorded"],
            ["demonstrations.name=recorded: it has keys of its own", "choose it by demonstrations=recorded"],
        ),
        (
            ["warmup=150"],
            ["warmup=150 with demonstrations.random_steps=150", "lower demonstrations.random_steps or choose"],
        ),
        (["demonstrations.noise=[.1,-.2]"], ["demonstrations.noise=[0.1, -0.2]", "-0.2 is no SD", "from 0 on"]),
        (["demonstrations.noise=[inf]"], ["demonstrations.noise=[inf]", "inf is no SD", "from 0 on"]),
        (["demonstrations.floor=2"], ["demonstrations.floor=2.0", "between 0 and 1"]),
        (["demonstrations.name=me"], ["demonstrations.name=me", "none, pid, autopilot, recorded"]),
        (["demonstrations=me"], ["demonstrations=me", "choose demonstrations= one of autopilot, none, pid, recorded"]),
        (["steps=100", "warmup=100"], ["warmup=100", "steps=100"]),
        (["warmup=50"], ["warmup=50", "hyperparams.batch_size=100", "raise warmup"]),
        (["replay.capacity=205"], ["replay.capacity=205", "a slot more than its steps", "give at least 210"]),
        (["actors=20", "replay.capacity=319"], ["replay.capacity=319", "give at least 320"]),
        (["actors=20", "n_step=20", "replay.capacity=999"], ["replay.capacity=999", "give at least 1000"]),
        (["actors=2", "replay=per"], ["actors=2 with replay=per", "choose replay=uniform or actors=0"]),
        (["actors=-1"], ["actors=-1", "between 0 and 64"]),
        (["recurrent=gru48", "recurrent.burn_in=300"], ["recurrent.burn_in=300", "254"]),
        (
            ["recurrent=gru48", "recurrent.sequence_length=40", "recurrent.burn_in=20", "replay.capacity=133"],
            ["replay.capacity=133", "give at least 134"],
        ),
        (
            [
                *("recurrent=gru48", "recurrent.sequence_length=40", "recurrent.burn_in=20"),
                *("hyperparams.batch_size=90", "replay.capacity=189"),
            ],
            ["replay.capacity=189", "give at least 190"],
        ),
        (["experiment=described_5k", "env=gym"], ["experiment=described_5k does not go with", "vector"]),
        (["hyperparams=as_ran", "wiring=critic_only"], ["hyperparams.actor_cnn_lr=1e-05", *NO_ACTOR_CNN]),
        (["experiment=described_5k", "wiring=critic_only"], ["hyperparams.actor_cnn_lr=1e-05", *NO_ACTOR_CNN]),
        (["hyperparams.actor_cnn_lr=.1", "wiring=critic_only"], ["hyperparams.actor_cnn_lr=0.1", *NO_ACTOR_CNN]),
        (["target.delta_state=ema"], ["target=mpg"]),
        (["target.delta_init=first_batch"], ["target=mpg"]),
        (
            ["clip=off", "clip.critic=3"],
            ["clip.critic: clip=off has no such key", "add clip=joint or per_module"],
        ),
        (["clip=joint", "clip.actor=0"], ["clip.actor=0", "between"]),
        (["fault=h1", "clip=off"], ["fault=h1", "clip=off"]),
        (["fault=h6", "wiring=critic_only"], ["fault=h6", "wiring=critic_only", "drop wiring"]),
        (["n_step=0"], ["n_step=0", "between 1 and 20"]),
        (["loss=l1"], ["loss=l1", "mse, huber"]),
        (["aug=flip"], ["aug=flip", "none, shift4"]),
        (["feature_norm=batchnorm"], ["feature_norm=batchnorm", "none, layernorm"]),
        (["pre_tanh_penalty=-1"], ["pre_tanh_penalty=-1", "between 0 and 10"]),
        (["actor_init_scale=0"], ["actor_init_scale=0", "between"]),
        (["weight_decay=-.1"], ["weight_decay=-0.1", "between 0 and 1"]),
        (["replay.alpha=.5"], ["replay.alpha: replay=uniform has no such key", "add replay=per or lap or drop it"]),
        (["replay.beta=.5"], ["replay.beta: replay=uniform and lap has no such key", "add replay=per or drop it"]),
        (
            ["replay=lap", "loss=huber", "replay.beta=.5"],
            ["replay.beta: ", "no such key", "add replay=per or drop"],
        ),
        (["replay.beta_updates=9"], ["replay.beta_updates: ", "has no such key", "add replay=per or drop it"]),
        (["replay=lap"], ["replay=lap", "loss=mse", "add loss=huber"]),
        (["replay.name=per"], ["replay.name=per: it has keys of its own", "choose it by replay=per"]),
        (["replay=lap", "loss=huber", "replay.alpha=0"], ["replay.alpha=0.0", "between 0.001 and 1"]),
        (["replay=per", "replay.alpha=1.5"], ["replay.alpha=1.5", "between 0.001 and 1"]),
        (["cnn"], ["cnn: no KEY=VALUE", "write cnn=VALUE"]),
        (["--cnn"], ["no KEY=VALUE", "write cnn=VALUE"]),
        (["seed=0,"], ["seed=0,: nothing stands behind the comma", "without spaces"]),
        (["replay=rank"], ["replay=rank", "lap, per, uniform"]),
        (["monitor.stop_on=[d99]"], ["monitor.stop_on=d99", "d1, d2"]),
        (["env=gym", "reward=race"], ["reward=race", "env=gym"]),
        (["reward=none"], ["reward=none", "reward=cruise"]),
        (
            ["reward.progress_scale=50"],
            ["reward.progress_scale=50.0 with reward=cruise", "leave it at 1.0 or choose reward=described_later"],
        ),
        (
            ["env=gym", "env.warmup_throttle=0"],
            ["env.warmup_throttle=0.0 with env.pedals=[]", "leave it at -0.3 or add env.pedals=[1,2]"],
        ),
        (
            ["env=gym", "reward.progress_scale=50"],
            [
                "reward.progress_scale=50.0 with env=gym",
                "leave it at 1.0 or choose env=carla and reward=described_later",
            ],
        ),
        (
            ["hyperparams=paper", "hyperparams.exploration_noise_steps=100"],
            [
                "hyperparams.exploration_noise_steps=100 with hyperparams.exploration_noise_final=null",
                "leave it at null or add hyperparams.exploration_noise_final=0.1",
            ],
        ),
        (["demonstrations=recorded"], ["demonstrations=recorded", "give the directory, as demonstrations=PATH"]),
        (
            ["demonstrations.path=there"],
            ["demonstrations.path: ", "has no such key", "add demonstrations=recorded or drop it"],
        ),
        (["demonstrations=a/b", "actors=2"], ["actors=2 with demonstrations=recorded", "choose actors=0 or"]),
        (
            ["demonstrations=a/b", "demonstrations.noise=[.2]"],
            ["demonstrations.noise: ", "add demonstrations=pid or"],
        ),
        (["demonstrations=pidd"], ["demonstrations=pidd", "or a directory of recorded episodes"]),
        (["env.server=launch"], ["env.server=launch", "env.path"]),
        (["env.path=/opt/CarlaUE4.sh"], ["env.path=/opt/CarlaUE4.sh", "env.server=launch"]),
        (["env.server=connect"], ["env.server=connect", "env.port=2000"]),
        (["env.host=10.0.0.1"], ["env.host=10.0.0.1", "env.server=connect"]),
        (["env.gpu=1"], ["env.gpu=1", "env.server=standin", "env.server=launch"]),
        (["env.server=connect", "env.port=2000", "env.gpu=1"], ["env.gpu", "env.server=launch"]),
        (["env.server=command"], ["env.server=command", "env.command"]),
        (["env.command=[docker,run]"], ["env.command", "env.server=command"]),
        (["env.timeouts.tick=0"], ["env.timeouts.tick=0", "one tick"]),
        (["env.routes=[[1,2],[3]]"], ["env.routes=[3]", "pairs of spawn points"]),
        (["env.routes=[[1,-2]]"], ["env.routes=[1, -2]", "pairs of spawn points"]),
        (["env.routes=[3]"], ["env.routes", "fixed routes"]),
        (
            ["demonstrations=autopilot", "demonstrations.noise=[.2]"],
            [
                "demonstrations.noise: ",
                "and autopilot and recorded has no such key",
                "add demonstrations=pid or drop it",
            ],
        ),
        (
            ["demonstrations=autopilot", "env=gym"],
            ["demonstrations=autopilot with env=gym", "choose demonstrations=none"],
        ),
        (["env.route_min=400"], ["env.route_min=400", "env.route_max=350"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_one_line_with_key_value_and_remedy(overrides, parts):
    line = refusal(*overrides)
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    "overrides",
    [
        ["env=gym", "env.pedals=[1,2]", "env.warmup_throttle=0"],
        ["reward=described_later", "reward.progress_scale=50"],
        ["reward=described_20nov", "reward.terms.progress=0"],
        ["hyperparams.exploration_noise_steps=100", "hyperparams.exploration_noise_final=0.1"],
        ["experiment=drive", "hyperparams.exploration_noise_steps=100"],
        ["experiment=drive", "env=gym"],
        ["experiment=described_5k", "recurrent=gru48"],
        ["recurrent=gru48", "recurrent.context=false", "recurrent.even=false"],
        ["demonstrations.noise=[]", "demonstrations.random_steps=0", "demonstrations.floor=1", "demonstrations.fade=9"],
        ["demonstrations.cloning=0", "demonstrations.noise=[.2]"],
        ["demonstrations=none", "warmup=103"],
        ["experiment=described_5k", "wiring=critic_only", "hyperparams.actor_cnn_lr=null"],
        ["hyperparams.actor_cnn_lr=.1", "wiring=critic_only", "hyperparams.actor_cnn_lr=null"],
        ["recurrent=gru48", "recurrent.hidden=24", "recurrent.burn_in=0", "recurrent.sequence_length=4"],
        ["replay=per", "replay.alpha=0.5"],
        ["replay=lap", "replay.alpha=0.5", "loss=huber"],
    ],
    ids=" ".join,
)
def test_what_has_an_effect_or_was_set_by_a_preset_is_accepted(overrides, settings):
    settings(*overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["frame_stack=1", "hyperparams.batch_size=16"],
        ["frame_stack=16", "n_step=20", "hyperparams.batch_size=8"],
        ["recurrent=gru48", "n_step=3", "hyperparams.batch_size=20"],
        ["recurrent=gru48", "recurrent.sequence_length=40", "recurrent.burn_in=20", "hyperparams.batch_size=60"],
        ["actors=3", "frame_stack=16"],
        ["actors=20"],
    ],
    ids=" ".join,
)
def test_the_least_capacity_that_a_refusal_names_always_holds_a_batch(overrides, settings):
    least = int(re.search(r"give at least (\d+)$", refusal(*overrides, "replay.capacity=10"))[1])
    found = settings(*overrides, f"replay.capacity={least}")
    states = (2,) if found.recurrent.name != "none" else ()
    replay = build_replay(found, SimpleNamespace(state_sizes=states), vector_size=1, action_size=1)
    rings = getattr(replay, "shards", [replay])
    size = rings[0].capacity
    shown = {"image": np.zeros((found.frame_stack, 84, 84), np.uint8), "vector": np.zeros(1, np.float32)}
    written = 0  # slots of each ring
    for steps in [*[1] * size, size, *[1, 2] * (size // 2)]:  # episodes of one step cost most slots
        for ring in rings:
            ring.begin(shown)
        written += 1
        for left in reversed(range(steps)):
            for ring in rings:
                ring.add(np.zeros(1, np.float32), 0.0, False, left == 0, shown, np.zeros(sum(states), np.float32))
            written += 1
            if written > size:
                assert replay.can_sample(found.hyperparams.batch_size)
