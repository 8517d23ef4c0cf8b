"""Every setting once: name, type, default, sane range and effect; :mod:`.schema` makes Hydra's schema of them.

YAML under ``conf/`` chooses and numbers; nothing is declared there that is not declared here. A field carries one
line on its effect, the bounds that :mod:`.validate` enforces, and its role (:class:`.setting.Role`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from td3sweep import names
from td3sweep.config.env_settings import CarlaSettings, EnvSettings, GymSettings, on_block
from td3sweep.config.setting import COUNT, FREE, LEARNT, PLACE, SHAPE, TASK, TIME, TUNED, Role, group, setting
from td3sweep.monitor.detectors import CAN_FAIL


@dataclass(frozen=True)
class CnnSettings:
    """Image encoder: 4x84x84 -> 3136 -> 512."""

    name: names.CnnName = setting("nature", "nature: strided, 7.7M MACs; pooled: 12x the cost", role=SHAPE)


@dataclass(frozen=True)
class RecurrentSettings:
    """Memory over the 512 image features; the vector joins at the heads."""

    name: names.MemoryKind = setting("none", "cell type", role=SHAPE)
    hidden: int = setting(0, "units of the cell; 48 to 256", low=0, high=2048, role=SHAPE)
    sequence_length: int = setting(1, "transitions trained per window; 5 to 40", low=1, high=500)
    burn_in: int = setting(0, "observations unrolled without gradient first; 0 to sequence_length", low=0, high=254)
    stored_state: bool = setting(True, "sequences start from the state stored while acting; false: from zeros")
    skip: bool = setting(False, "the heads read the image features beside the memory's output as well", role=SHAPE)
    context: bool = setting(True, "it is fed the vector and the previous action beside the features", role=SHAPE)
    even: bool = setting(True, "every transition is drawn equally often; false: an episode's first ones less often")


@dataclass(frozen=True)
class HyperparamSettings:
    """TD3's own numbers (Fujimoto et al., 2018)."""

    gamma: float = setting(
        0.99, "discount; values scale with 1/(1-gamma); .9 to .999", low=0.0, high=0.99999, role=TUNED
    )
    tau: float = setting(
        0.005, "share of the network copied into its target per update; 1e-3 to 8e-2", low=1e-6, high=1.0, role=TUNED
    )
    actor_lr: float = setting(1e-3, "Adam step of the actor; 1e-5 to 1e-3", low=0.0, high=1.0, role=TUNED)
    critic_lr: float = setting(1e-3, "Adam step of the critic; 1e-4 to 1e-2", low=0.0, high=1.0, role=TUNED)
    actor_cnn_lr: float | None = setting(None, "rate of the actor's CNN; null: actor_lr", low=0.0, high=1.0)
    critic_cnn_lr: float | None = setting(None, "rate of the critic's CNN; null: critic_lr", low=0.0, high=1.0)
    batch_size: int = setting(
        100,
        "windows trained per update: one transition each, with a memory recurrent.sequence_length; 16 to 512, with a "
        "memory 8 to 64",
        low=1,
        high=8192,
        role=TUNED | Role.TIME,
    )
    policy_delay: int = setting(2, "critic updates per actor update; 2", low=1, high=100, role=TIME)
    target_noise: float = setting(0.2, "SD of the target action's noise; .1 to .3", low=0.0, high=2.0)
    target_noise_clip: float = setting(0.5, "bound of that noise; .3 to .5", low=0.0, high=2.0)
    exploration_noise: float = setting(0.1, "SD of the acting noise; .05 to .3", low=0.0, high=2.0)
    exploration_noise_final: float | None = setting(
        None, "SD it falls to; null: stays as it is; .05 to .1", low=0.0, high=2.0
    )
    exploration_noise_steps: int | None = setting(
        None, "steps after warm-up over which it falls; null: all that the run was begun with", low=1
    )
    lr_final: float = setting(
        1.0,
        "share of the learning rates that is left at the end, falling over the last half; 1: all; .05",
        low=0.0,
        high=1.0,
    )


@dataclass(frozen=True)
class TargetSettings:
    """How two next-state values become one target."""

    name: names.TargetName = setting("td3", "td3: the minimum; mpg: maximum less a running gap")


@dataclass(frozen=True)
class Td3TargetSettings(TargetSettings):
    """The smaller of the two."""


@dataclass(frozen=True)
class MpgTargetSettings(TargetSettings):
    """The larger less a running gap."""

    delta_init: names.DeltaInit = setting("zero", "first value of the running gap")
    delta_state: names.DeltaState = setting("raw", "what is carried on, raw gap or its average")


@dataclass(frozen=True)
class DemonstrationSettings:
    """Who drives the warm-up."""

    name: names.DemonstratorName = setting(
        "none",
        "none: random actions; pid: the route's PID baseline; autopilot: CARLA's; recorded: episodes in a directory",
    )


@dataclass(frozen=True)
class NoDemonstrationSettings(DemonstrationSettings):
    """Nobody: it acts at random."""


@dataclass(frozen=True)
class ShownSettings(DemonstrationSettings):
    """How far the actor is trained to do as was done there."""

    random_steps: int = setting(150, "first steps of the warm-up that are random; 100 to 500", low=0)
    cloning: float = setting(10.0, "weight of the cloning term; 0 trains on rewards alone; 5 to 20", low=0.0, high=1e4)
    floor: float = setting(0.2, "share that cloning keeps in the actor's loss; .1 to .5", low=0.0, high=1.0)
    fade: int = setting(
        600, "updates after the critic-only ones over which its share falls to that; 300 to 1000", low=1
    )


@dataclass(frozen=True)
class PidDemonstrationSettings(ShownSettings):
    """A baseline that is disturbed."""

    noise: list[float] = setting([0.1, 0.3, 0.6], "SDs of the noise on its actions, of which each episode draws one")


@dataclass(frozen=True)
class AutopilotDemonstrationSettings(ShownSettings):
    """The simulator drives, and nothing can disturb it."""


@dataclass(frozen=True)
class RecordedDemonstrationSettings(ShownSettings):
    """What was done is done."""

    path: str | None = setting(None, "the directory, as td3sweep.evaluate --record wrote it")


@dataclass(frozen=True)
class ReplaySettings:
    """Experience replay; every frame is stored once."""

    name: names.ReplayName = setting(
        "uniform",
        "uniform; per: by TD error, with importance weights; lap: by TD error, needs loss=huber",
    )
    capacity: int = setting(100_000, "transitions kept, about 7.3 KB each; 5e3 to 1e6", low=10, high=10_000_000)


@dataclass(frozen=True)
class UniformReplaySettings(ReplaySettings):
    """Every transition as often."""


@dataclass(frozen=True)
class PerReplaySettings(ReplaySettings):
    """In proportion to the TD error."""

    alpha: float = setting(0.6, "exponent of the TD error; .4 to .7", low=1e-3, high=1.0)
    beta: float = setting(0.4, "first exponent of the importance weights; .4 to 1", low=0.0, high=1.0)
    beta_updates: int = setting(4000, "updates over which beta rises to 1; those of the run", low=1)


@dataclass(frozen=True)
class LapReplaySettings(ReplaySettings):
    """In proportion to TD errors above 1."""

    alpha: float = setting(0.4, "exponent of the TD error; .4 to .7", low=1e-3, high=1.0)


@dataclass(frozen=True)
class ClipSettings:
    """Gradient clipping, measured before and after."""

    name: names.ClipKind = setting("joint", "set that is clipped together")


@dataclass(frozen=True)
class NoClipSettings(ClipSettings):
    """Nothing is clipped."""


@dataclass(frozen=True)
class LimitClipSettings(ClipSettings):
    """Limits of each set."""

    actor: float = setting(1.0, "limit for the actor; .5 to 10", low=1e-6, high=1e9)
    critic: float = setting(10.0, "limit for the critic; 1 to 40", low=1e-6, high=1e9)


@dataclass(frozen=True)
class WiringSettings:
    """Which encoder each loss reads and trains."""

    name: names.Wiring = setting(
        "separate",
        "separate: own encoders; critic_only: one, trained by the critic; crossed: the known fault, for study",
        role=SHAPE,
    )


@dataclass(frozen=True)
class RewardSettings:
    """A weighted sum of named terms; the name is part of every result, since scales differ."""

    name: str = setting("cruise", "preset name, printed with every return")
    terms: dict[str, float] = setting({}, "weight of each term")
    scale: float = setting(
        1.0,
        "factor on what the learner sees; reported returns stay without it; .01 to 1",
        low=1e-6,
        high=1e6,
        role=LEARNT,
    )
    progress_scale: float = setting(
        1.0,
        "reward a metre of route gained, before the weight; .5 to 50",
        low=0.0,
        high=1e4,
        role=LEARNT | Role.TASK | Role.TAPED,
    )


@dataclass(frozen=True)
class TrackingSettings:
    """Where metrics go besides metrics.jsonl."""

    name: names.TrackingName = setting("offline", "Weights & Biases mode")
    project: str = setting("td3sweep", "W&B project")
    entity: str | None = setting(None, "W&B entity; null: your default")
    group: str | None = setting(None, "W&B group; null: the run's name")
    tags: list[str] = setting([], "W&B tags")
    job_type: str = setting("train", "W&B job type; a sweep's runs have sweep")
    run: str | None = setting(None, "W&B run name; null: the run directory's name")


@dataclass(frozen=True)
class MonitorSettings:
    """What an alarm does."""

    name: names.MonitorName = setting("warn", "warn: report; stop: end the run with exit code 3")
    stop_on: list[str] = setting(list(CAN_FAIL), "detectors whose FAIL may stop a run")


@dataclass(frozen=True)
class SpaceSettings:
    """What --multirun searches."""

    name: str = setting("none", "preset name")
    params: dict[str, str] = setting({}, "key: choice(...), range(...), interval(...), tag(log, ...) or one_minus(...)")


@dataclass(frozen=True)
class SweepSettings:
    """How --multirun searches (docs/sweeps.md)."""

    trials: int | None = setting(
        None, "budget; null: every point of a finite space; a larger number goes on with a sweep", low=1, high=1_000_000
    )
    width: int = setting(1, "trials at a time", low=1, high=10_000)
    seeds: int = setting(1, "runs per trial, each with a seed of its own; its score is their mean", low=1, high=1000)
    hours: float | None = setting(None, "start no trial after so many hours of this command", low=0.0, high=1e5)
    patience: int | None = setting(None, "end after so many finished trials without a better one", low=1)
    retries: int = setting(3, "times a trial that died is started again, from its checkpoint; 0 to 10", low=0, high=100)
    window: int = setting(3, "last evaluations whose mean return is a run's score; never the best; 1 to 10", low=1)
    objectives: list[str] = setting(["return"], "return, or [return,stable]: stable is the share of seeds that held")
    sampler: names.SamplerName = setting("tpe", "who proposes points")
    sampler_options: dict[str, Any] = setting({}, "further arguments of that Optuna sampler")
    pruner: names.PrunerName = setting("none", "who ends hopeless trials")
    pruner_options: dict[str, Any] = setting({}, "further arguments of that Optuna pruner")
    enqueue: list[str] = setting(["paper", "current"], "presets of hyperparams= that are the first trials")
    storage: str | None = setting(None, "URL of the study's database; null: study.journal in the sweep's directory")
    seed: int = setting(0, "seed of the sampler", low=0)
    plan: bool = setting(False, "measure what the sweep would cost, print it, run nothing")


@dataclass(frozen=True)
class Settings:
    """One run."""

    steps: int = setting(
        1400,
        "environment steps in all; a larger number extends a finished run",
        low=1,
        role=FREE | Role.COUNT | Role.SCORED,
    )
    warmup: int = setting(
        1000, "steps that others drive before learning starts: a demonstrator, or chance", low=0, role=COUNT
    )
    seed: int = setting(0, "seed of everything random", low=0, high=2**31 - 1, role=Role.SEED | Role.PLACE)
    name: str = setting("drive", "folder below runs/ and W&B group", role=PLACE)
    device: names.Device = setting("auto", "where networks live", role=PLACE | Role.TIME)
    precision: names.AskedPrecision = setting(
        "auto", "arithmetic of the CNN; auto: bf16 where it is measured faster", role=TIME
    )
    compile: bool = setting(
        False, "torch.compile CNNs and heads: a minute at the start, for GPUs", role=FREE | Role.TIME
    )
    cuda_graphs: bool = setting(False, "run updates as CUDA graphs, for GPUs", role=FREE | Role.TIME)
    threads: int | None = setting(
        None, "CPU threads of torch; null: all cores", low=1, high=1024, role=PLACE | Role.TIME
    )
    actors: int = setting(
        0,
        "processes that act while the learner learns, a simulator each; 0: none, resumable bit for bit; 1 to 4",
        low=0,
        high=64,
        role=TIME,
    )
    log_every: int = setting(25, "updates between two rows of metrics", low=1, role=FREE)
    eval_every: int = setting(
        200,
        "environment steps between two evaluations after warm-up (at the next episode's end)",
        low=1,
        role=FREE | Role.COUNT | Role.SCORED,
    )
    eval_episodes: int = setting(10, "episodes an evaluation", low=1, high=1000, role=FREE | Role.COUNT | Role.SCORED)
    eval_spread: bool = setting(
        True, "their starts are spread over lanes and directions; false: drawn", role=FREE | Role.SCORED
    )
    save_every: int = setting(200, "environment steps between two checkpoints", low=1, role=FREE)
    resume: names.Resume | None = setting(None, "last: go on with the newest unfinished run of this name", role=PLACE)
    updates_per_step: float = setting(
        1.0, "updates per environment step after warm-up; .1 to 1", low=0.0, high=100.0, role=COUNT
    )
    critic_only_updates: int = setting(300, "critic-only updates at the end of warm-up; 0 to 1000", low=0, role=COUNT)
    frame_stack: int = setting(4, "frames in an image stack; 1 leaves motion to a memory", low=1, high=16, role=SHAPE)
    n_step: int = setting(3, "rewards summed before the bootstrap; 1 or 3", low=1, high=20, role=LEARNT)
    loss: names.Loss = setting("mse", "critic's loss", role=LEARNT)
    aug: names.Augmentation = setting("none", "image augmentation", role=TIME)
    feature_norm: names.FeatureNorm = setting("none", "normalisation of the 512 features", role=SHAPE)
    trunk: int | None = setting(
        50, "width of a LayerNorm+tanh bottleneck before memory or heads; null: none; 50", low=1, high=4096, role=SHAPE
    )
    pre_tanh_penalty: float = setting(
        0.005, "weight of the actor's squared pre-tanh output; 0 to .01", low=0.0, high=10.0, role=LEARNT
    )
    actor_init_scale: float = setting(
        0.1, "factor on the actor's last layer at start; .01 to 1", low=1e-6, high=10.0, role=LEARNT
    )
    weight_decay: float = setting(0.0, "AdamW's decay; 0 is Adam; 0 to .01", low=0.0, high=1.0, role=LEARNT)
    fault: names.Fault = setting("none", "a known fault put in on purpose, for study (docs/doctor.md)", role=LEARNT)
    cnn: CnnSettings = group(CnnSettings, SHAPE)
    recurrent: RecurrentSettings = group(RecurrentSettings, TIME)
    hyperparams: HyperparamSettings = group(HyperparamSettings, LEARNT)
    demonstrations: DemonstrationSettings = group(NoDemonstrationSettings, LEARNT)
    target: TargetSettings = group(Td3TargetSettings, TIME)
    replay: ReplaySettings = group(UniformReplaySettings, TIME)
    clip: ClipSettings = group(LimitClipSettings, LEARNT)
    wiring: WiringSettings = group(WiringSettings, SHAPE)
    env: EnvSettings = group(EnvSettings, TASK)
    reward: RewardSettings = group(RewardSettings, LEARNT | Role.TASK)
    tracking: TrackingSettings = group(TrackingSettings, PLACE)
    monitor: MonitorSettings = group(MonitorSettings, FREE | Role.SEARCH)
    space: SpaceSettings = group(SpaceSettings, FREE | Role.SEARCH)
    sweep: SweepSettings = group(SweepSettings, FREE | Role.SEARCH)


def on_slot(settings: Settings, slot: int) -> EnvSettings:
    """The environment of a run in this slot of a sweep: no two slots share a port, however many actors each has."""
    return on_block(settings.env, max(settings.actors, 1) * slot)


def having(key: str) -> tuple[str, ...]:
    """The options of its group that alone have a key, ``("mpg",)`` of ``target.delta_init``; none where all have it."""
    group, _, name = key.partition(".")
    options = OPTIONS.get(group, {})
    found = tuple(option for option, cls in options.items() if name in {spec.name for spec in fields(cls)})
    return found if len(found) < len(options) else ()


# Groups whose options have settings of their own: the class of each option.
OPTIONS: Mapping[str, Mapping[str, type]] = {
    "demonstrations": {
        "none": NoDemonstrationSettings,
        "pid": PidDemonstrationSettings,
        "autopilot": AutopilotDemonstrationSettings,
        "recorded": RecordedDemonstrationSettings,
    },
    "target": {"td3": Td3TargetSettings, "mpg": MpgTargetSettings},
    "replay": {"uniform": UniformReplaySettings, "per": PerReplaySettings, "lap": LapReplaySettings},
    "clip": {
        "joint": LimitClipSettings,
        "per_module": LimitClipSettings,
        "value": LimitClipSettings,
        "off": NoClipSettings,
    },
    "env": {"carla": CarlaSettings, "gym": GymSettings},
}
