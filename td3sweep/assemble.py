"""Settings in, a trainer out: the only place where the parts meet."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from td3sweep.errors import UserError
from td3sweep.record.console import simulator
from td3sweep.record.rundir import RunDirectory
from td3sweep.settings import CarlaSettings, DemonstrationSettings, GymSettings, Settings, TargetSettings, on_block

log = logging.getLogger(__name__)

WORTHWHILE = 1.15  # bf16 must be so many times as fast, beyond what a measurement of a second wavers


def choice(name: str) -> Any:
    """A name that ``validate`` has checked, for a parameter that is typed as those names."""
    return name


def build_env(settings: Settings, log_dir: Path, *, detail: bool = False, autopilot: bool | None = None) -> Any:
    """The environment; its server process, if it has one, is starting when this returns.

    With ``detail`` CARLA's info tells of every tick, for an evaluation's metrics; with ``autopilot`` CARLA's Traffic
    Manager is ready to drive (None: where the demonstrations are its).
    """
    env = settings.env
    if isinstance(env, GymSettings):
        from td3sweep.envs.gym import GymImageEnv

        return GymImageEnv(
            env.id,
            frame_stack=settings.frame_stack,
            action_repeat=env.action_repeat,
            pedals=env.pedals,
            stalled_steps=env.stalled_steps,
        )
    assert isinstance(env, CarlaSettings)
    from td3sweep.envs.carla.isolated import IsolatedCarlaEnv

    camera = env.camera
    # In a process of its own: the client library can take its process down, and must not take the learner with it.
    carla_env = IsolatedCarlaEnv(
        server=choice(env.server),
        host=env.host,
        port=env.port,
        path=env.path,
        command=env.command,
        gpu=env.gpu,
        flags=env.flags,
        map_name=env.map,
        weather=env.weather,
        vector=choice(env.vector),
        speed_scale=env.speed_scale,
        camera_width=camera.width,
        camera_height=camera.height,
        camera_fov=camera.fov,
        camera_x=camera.x,
        camera_z=camera.z,
        camera_pitch=camera.pitch,
        dark=env.dark,
        frame_stack=settings.frame_stack,
        action_repeat=env.action_repeat,
        max_episode_steps=env.max_episode_steps,
        stalled_ticks=env.stalled_ticks,
        terminate=env.terminate,
        traffic=env.traffic,
        autopilot=settings.demonstrations.name == "autopilot" if autopilot is None else autopilot,
        reward=settings.reward.terms,
        gamma=settings.hyperparams.gamma,
        progress_scale=settings.reward.progress_scale,
        routes=env.routes,
        route_length=(env.route_min, env.route_max),
        spawn_jitter=env.spawn_jitter,
        heading_jitter=env.heading_jitter,
        steer_scale=env.steer_scale,
        restart_every_episodes=env.restart_every,
        start_timeout=env.timeouts.start,
        load_timeout=env.timeouts.load,
        tick_timeout=env.timeouts.tick,
        frame_timeout=env.timeouts.frame,
        log_dir=str(log_dir),
        detail=detail,
    )
    carla_env.start()
    return carla_env


def build_actors(settings: Settings, path: Path) -> Any:
    """As many actors as asked for, each with an environment of its own; their processes are starting at return."""
    from td3sweep.collect.messages import Job
    from td3sweep.collect.remote import Fleet

    vector_size, action_size = observed_sizes(settings)
    jobs = []
    for place in range(settings.actors):
        mine = dataclasses.replace(settings, env=on_block(settings.env, place))
        folder = path / f"actor-{place}"
        job = Job(
            partial(build_env, mine, folder),
            partial(build_policy, settings),
            random_bounds(settings, action_size),
            build_demonstrator(settings.demonstrations),
        )
        jobs.append((job, folder / "actor.log"))
    return Fleet(jobs, vector_size, action_size)


def build_policy(settings: Settings, vector_size: int, action_size: int) -> Any:
    """What acts of these settings' agent, on the CPU in float32."""
    plain = dataclasses.replace(settings, device="cpu", precision="fp32", fault="none")
    return build_agent(plain, vector_size, action_size).policy


def build_trainer(
    settings: Settings,
    directory: RunDirectory,
    env: Any,
    *,
    console: Console,
    interrupted: Callable[[], bool],
    judge: Callable[[int], bool] | None = None,
    horizon: int | None = None,
) -> Any:
    """Agent, replay, monitor, recorder and checkpoints around ``env`` (or the actors' fleet), ready to run.

    ``horizon``: see :func:`td3sweep.run.run`.
    """
    import torch

    from td3sweep.checkpoint import Checkpoints
    from td3sweep.collect.away import Away
    from td3sweep.collect.here import Here
    from td3sweep.monitor.verdict import Monitor
    from td3sweep.plan import Plan
    from td3sweep.record.recorder import Recorder
    from td3sweep.trainer import Trainer

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    agent = build_agent(settings, env.vector_size, env.action_size)
    audit = None if settings.monitor.name == "off" else audit_agent(settings, agent, env.vector_size, env.action_size)
    speed_up(settings, agent)
    expected = audit is not None and set(audit.faults) <= faults_asked_for(settings)
    replay = build_replay(settings, agent, env.vector_size, env.action_size)
    hyper, clip = settings.hyperparams, settings.clip
    monitor = Monitor(
        gamma=hyper.gamma,
        clip=clip.name,
        clip_actor=clip.actor,
        clip_critic=clip.critic,
        stop_on=[name for name in settings.monitor.stop_on if name != "d0" or not expected],
    )
    recorder = Recorder(directory, console, build_mirror(settings, directory), simulator(settings))
    if told := choose_precision(settings, agent):
        recorder.say(told)
    if audit is not None:
        known = "; asked for by name, so the run goes on" if audit.faults and expected else ""
        recorder.say(audit.line + known)
    low, high = random_bounds(settings, env.action_size)
    shown = settings.demonstrations
    if shown.name == "recorded":
        demonstrator = build_recorded(settings, env)
        recorder.say(f"demonstrations: {demonstrator.line}")
    else:
        demonstrator = build_demonstrator(shown)
    plan = Plan(
        steps=settings.steps,
        horizon=settings.steps if horizon is None else horizon,
        warmup=settings.warmup,
        random_steps=settings.warmup if demonstrator is None else min(shown.random_steps, settings.warmup),
        updates_per_step=settings.updates_per_step,
        critic_only_updates=settings.critic_only_updates,
        batch_size=hyper.batch_size,
        exploration_noise=(
            hyper.exploration_noise,
            hyper.exploration_noise if hyper.exploration_noise_final is None else hyper.exploration_noise_final,
        ),
        noise_steps=hyper.exploration_noise_steps,
        lr_final=hyper.lr_final,
        cloning=None if demonstrator is None or shown.cloning == 0.0 else (shown.floor, shown.fade),
        reward_scale=settings.reward.scale,
        log_every=settings.log_every,
        eval_every=settings.eval_every,
        eval_episodes=settings.eval_episodes,
        eval_spread=settings.eval_spread,
        save_every=settings.save_every,
        seed=settings.seed,
        random_low=low,
        random_high=high,
        gamma=hyper.gamma,
    )
    act = Here(plan, env, agent, replay, demonstrator) if settings.actors == 0 else Away(plan, env, agent, replay)
    return Trainer(
        plan,
        collector=act,
        agent=agent,
        replay=replay,
        monitor=None if settings.monitor.name == "off" else monitor,
        stop_on_alarm=settings.monitor.name == "stop",
        recorder=recorder,
        checkpoints=Checkpoints(directory.checkpoints, directory.replay),
        interrupted=interrupted,
        wiring=None if audit is None else (audit.faults, audit.evidence),
        judge=judge,
    )


def build_agent(settings: Settings, vector_size: int, action_size: int) -> Any:
    """The TD3 agent of these settings."""
    from td3sweep.agent.build import build_td3
    from td3sweep.agent.faults import inject
    from td3sweep.agent.gradients import Clip

    hyper, clip = settings.hyperparams, settings.clip
    agent = build_td3(
        cnn=choice(settings.cnn.name),
        memory=choice(settings.recurrent.name),
        memory_size=settings.recurrent.hidden,
        memory_skip=settings.recurrent.skip,
        memory_context=settings.recurrent.context,
        vector_size=vector_size,
        action_size=action_size,
        stack=settings.frame_stack,
        trunk=settings.trunk,
        feature_norm=choice(settings.feature_norm),
        actor_init_scale=settings.actor_init_scale,
        wiring=choice(settings.wiring.name),
        target_rule=build_target(settings.target),
        clip=Clip(choice(clip.name), clip.actor, clip.critic),
        tau=hyper.tau,
        actor_lr=hyper.actor_lr,
        critic_lr=hyper.critic_lr,
        actor_cnn_lr=hyper.actor_cnn_lr,
        critic_cnn_lr=hyper.critic_cnn_lr,
        policy_delay=hyper.policy_delay,
        target_noise=hyper.target_noise,
        target_noise_clip=hyper.target_noise_clip,
        loss=choice(settings.loss),
        aug=choice(settings.aug),
        pre_tanh_penalty=settings.pre_tanh_penalty,
        cloning=0.0 if settings.demonstrations.name == "none" else settings.demonstrations.cloning,
        weight_decay=settings.weight_decay,
        device=choose_device(settings.device),
        precision=choice("fp32" if settings.precision == "auto" else settings.precision),
        seed=settings.seed,
    )
    inject(agent, settings.fault)
    return agent


def audit_agent(settings: Settings, agent: Any, vector_size: int, action_size: int) -> Any:
    """The wiring audit D0 of ``agent`` against these settings' numbers; the agent is left exactly as it was."""
    from td3sweep.agent.gradients import Clip
    from td3sweep.doctor.audit import examine
    from td3sweep.doctor.td3 import small_batch, td3_learner

    hyper, clip, recurrent = settings.hyperparams, settings.clip, settings.recurrent
    batch = small_batch(
        agent,
        vector_size=vector_size,
        action_size=action_size,
        stack=settings.frame_stack,
        gamma=hyper.gamma,
        n_step=settings.n_step,
        sequence_length=recurrent.sequence_length,
        burn_in=recurrent.burn_in,
    )
    rates = {
        "actor": hyper.actor_lr,
        "critic": hyper.critic_lr,
        "actor/cnn": hyper.actor_lr if hyper.actor_cnn_lr is None else hyper.actor_cnn_lr,
        "critic/cnn": hyper.critic_lr if hyper.critic_cnn_lr is None else hyper.critic_cnn_lr,
    }
    learner = td3_learner(
        agent,
        batch,
        clip=Clip(choice(clip.name), clip.actor, clip.critic),
        learning_rates=rates,
        tau=hyper.tau,
        policy_delay=hyper.policy_delay,
    )
    return examine(learner)


def faults_asked_for(settings: Settings) -> set[str]:
    """Findings of the audit that these settings ask for by name, and that therefore do not end a run."""
    from td3sweep.agent.faults import FAULTS

    asked = {FAULTS[settings.fault][0]} if settings.fault != "none" else set()
    return asked | ({"H6"} if settings.wiring.name == "crossed" else set())


def observed_sizes(settings: Settings) -> tuple[int, int]:
    """Numbers of the observation's vector and of an action; no simulator is started."""
    env = settings.env
    if isinstance(env, CarlaSettings):
        from td3sweep.envs.carla.env import ACTION_SIZE
        from td3sweep.envs.carla.observe import vector_size

        return vector_size(env.vector), ACTION_SIZE
    gym = build_env(settings, Path())
    gym.close()
    return gym.vector_size, gym.action_size


def choose_precision(settings: Settings, agent: Any) -> str:
    """Settle ``precision=auto`` by a measurement, and say in one line what is faster here.

    Returns:
        The line; empty where there is nothing to tell.
    """
    if settings.precision == "fp32":
        return ""
    from td3sweep.agent.compiled import bf16_speed_up

    gain = bf16_speed_up(agent.critic.encoder.cnn, agent.device)
    if settings.precision == "bf16":
        if gain < 1.0:
            log.warning("precision=bf16 runs at %.2f times the speed of fp32 here; choose precision=fp32", gain)
        return ""
    agent.use_precision("bf16" if gain >= WORTHWHILE else "fp32")
    return f"precision=auto: {agent.precision}, since bf16 runs at {gain:.2f} times the speed of fp32 here"


def speed_up(settings: Settings, agent: Any) -> None:
    """Switch on what makes updates faster on a GPU; after an audit, which watches eager updates."""
    from td3sweep.agent.compiled import CudaGraphs, compile_networks

    if settings.cuda_graphs and agent.device.type != "cuda":
        raise UserError(
            f"cuda_graphs=true with device={settings.device}: no CUDA device is used here; drop cuda_graphs"
        )
    if settings.compile:
        compile_networks(agent.networks().values())
    if settings.cuda_graphs:
        agent.run_step = CudaGraphs(agent.run_step)


def build_demonstrator(demonstrations: DemonstrationSettings) -> Any:
    """Who shows how to drive, or None."""
    from td3sweep.collect.demonstrate import Demonstrator
    from td3sweep.evaluate.drivers import Autopilot, Pid

    if demonstrations.name == "autopilot":
        return Demonstrator(Autopilot(), ())
    return Demonstrator(Pid(), demonstrations.noise) if demonstrations.name == "pid" else None


def build_recorded(settings: Settings, env: Any) -> Any:
    """Who shows what was recorded, as ``env`` would."""
    from td3sweep.collect.recorded import Recorded
    from td3sweep.tapes import Tapes

    tapes = Tapes(Path(settings.demonstrations.path or ""))
    tapes.check_sizes(env.vector_size, env.action_size)
    return Recorded(tapes, settings.frame_stack)


def build_target(target: TargetSettings) -> Any:
    """The rule that makes one target of two next-state values."""
    from td3sweep.agent.targets import MPGTarget, TD3Target

    if target.name == "mpg":
        return MPGTarget(delta_init=choice(target.delta_init), delta_state=choice(target.delta_state))
    return TD3Target()


def build_replay(settings: Settings, agent: Any, vector_size: int, action_size: int) -> Any:
    """The replay memory of these settings, shaped for ``agent``'s memory states."""
    from td3sweep.replay import LAP, PER, FrameReplay, PrioritizedReplay, ShardedReplay

    recurrent, replay = settings.recurrent, settings.replay
    arguments: dict[str, Any] = {
        "capacity": replay.capacity,
        "vector_size": vector_size,
        "action_size": action_size,
        "stack": settings.frame_stack,
        "state_sizes": agent.state_sizes,
        "state_stride": math.gcd(recurrent.sequence_length, recurrent.burn_in),
        "stored_state": recurrent.stored_state,
        "even": recurrent.even,
        "gamma": settings.hyperparams.gamma,
        "n_step": settings.n_step,
        "sequence_length": recurrent.sequence_length,
        "burn_in": recurrent.burn_in,
        "seed": settings.seed,
    }
    if settings.actors > 0:
        return ShardedReplay(settings.actors, **arguments)
    if replay.name == "uniform":
        return FrameReplay(**arguments)
    rule = LAP(replay.alpha) if replay.name == "lap" else PER(replay.alpha, replay.beta, replay.beta_updates)
    return PrioritizedReplay(rule, **arguments)


def build_mirror(settings: Settings, directory: RunDirectory) -> Any:
    """The wandb mirror, or None with ``tracking=off``."""
    tracking = settings.tracking
    if tracking.name == "off":
        return None
    from td3sweep.record.wandb import WandbMirror

    return WandbMirror(
        mode="offline" if tracking.name == "offline" else "online",
        directory=directory.path,
        project=tracking.project,
        entity=tracking.entity,
        group=tracking.group or settings.name,
        name=tracking.run or directory.path.name,
        job_type=tracking.job_type,
        tags=[
            *tracking.tags,
            f"wiring={settings.wiring.name}",
            f"reward={settings.reward.name}",
            f"demonstrations={settings.demonstrations.name}",
            *([f"fault={settings.fault}"] if settings.fault != "none" else []),
        ],
        config=dataclasses.asdict(settings),
    )


def choose_device(asked: str) -> str:
    """``auto`` takes a CUDA device where torch sees one."""
    import torch

    if asked == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: torch sees no CUDA device; choose device=cpu or device=auto")
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return asked


def random_bounds(settings: Settings, action_size: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Bounds of the warm-up's uniform actions; a throttle leans forward, or the car would stand still."""
    low, env = [-1.0] * action_size, settings.env
    if isinstance(env, CarlaSettings):
        low[1] = env.warmup_throttle
    elif isinstance(env, GymSettings) and env.pedals:
        from td3sweep.envs.gym import pedal_place

        low[pedal_place(env.pedals)] = env.warmup_throttle
    return tuple(low), (1.0,) * action_size
