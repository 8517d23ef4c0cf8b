"""Settings and an environment in, a trainer out, ready to run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from td3sweep.agent.td3 import TD3
from td3sweep.assemble.environment import build_env, observed_sizes, random_bounds
from td3sweep.assemble.learner import (
    audit_agent,
    build_agent,
    build_clip,
    build_policy,
    build_replay,
    choose_precision,
    faults_asked_for,
    speed_up,
)
from td3sweep.collect.actor_pool import ActorPool
from td3sweep.collect.collector import Collector
from td3sweep.collect.demonstrate import Demonstrator, Shows
from td3sweep.collect.drivers import AutopilotDriver, Pid
from td3sweep.collect.in_process import InProcess
from td3sweep.collect.messages import ActorJob
from td3sweep.collect.recorded import Recorded
from td3sweep.collect.remote import Fleet
from td3sweep.collect.schedule import Schedule
from td3sweep.collect.tapes import Tapes
from td3sweep.config.env_settings import on_block
from td3sweep.config.settings import (
    AutopilotDemonstrationSettings,
    DemonstrationSettings,
    PidDemonstrationSettings,
    RecordedDemonstrationSettings,
    Settings,
    ShownSettings,
)
from td3sweep.envs.protocol import Env
from td3sweep.monitor.verdict import Monitor
from td3sweep.record.console import simulator
from td3sweep.record.recorder import Recorder
from td3sweep.record.rundir import RunDirectory
from td3sweep.record.wandb import WandbMirror
from td3sweep.replay import FrameReplay, ShardedReplay
from td3sweep.training.callbacks import Callback
from td3sweep.training.checkpoint import Checkpoints
from td3sweep.training.trainer import Trainer
from td3sweep.training.watching import Watching


def build_actors(settings: Settings, path: Path) -> Fleet:
    """As many actors as asked for, each with an environment of its own; their processes are starting at return."""
    vector_size, action_size = observed_sizes(settings)
    jobs = []
    for place in range(settings.actors):
        mine = dataclasses.replace(settings, env=on_block(settings.env, place))
        folder = path / f"actor-{place}"
        job = ActorJob(
            partial(build_env, mine, folder),
            partial(build_policy, settings),
            random_bounds(settings, action_size),
            build_demonstrator(settings.demonstrations),
        )
        jobs.append((job, folder / "actor.log"))
    return Fleet(jobs, vector_size, action_size)


def build_trainer(
    settings: Settings,
    directory: RunDirectory,
    env: Env | Fleet,
    *,
    console: Console,
    interrupted: Callable[[], bool],
    callbacks: Sequence[Callback] = (),
    horizon: int | None = None,
) -> Trainer:
    """Agent, replay, monitor, recorder and checkpoints around ``env`` (or the actors' fleet), ready to run.

    ``callbacks`` look on beside the monitor; ``horizon``: see :func:`td3sweep.training.run.run`.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    sizes = env.vector_size, env.action_size
    agent = build_agent(settings, *sizes)
    audit = None if settings.monitor.name == "off" else audit_agent(settings, agent, *sizes)
    speed_up(settings, agent)
    expected = audit is not None and set(audit.faults) <= faults_asked_for(settings)
    replay = build_replay(settings, agent, *sizes)
    recorder = Recorder(directory, console, build_mirror(settings, directory), simulator(settings))
    if told := choose_precision(settings, agent):
        recorder.say(told)
    if audit is not None:
        known = "; asked for by name, so the run goes on" if audit.faults and expected else ""
        recorder.say(audit.line + known)
    demonstrator = build_demonstrator(settings.demonstrations)
    if isinstance(settings.demonstrations, RecordedDemonstrationSettings):
        demonstrator = recorded = build_recorded(settings.demonstrations, settings.frame_stack, *sizes)
        recorder.say(f"demonstrations: {recorded.line}")
    schedule = build_plan(settings, random_bounds(settings, env.action_size), horizon)
    watching = []
    if audit is not None:
        monitor = build_monitor(settings, ignored=("d0",) if expected else ())
        stop = settings.monitor.name == "stop"
        watching.append(Watching(monitor, stop=stop, wiring=(audit.faults, audit.evidence)))
    return Trainer(
        schedule,
        collector=build_collector(schedule, env, agent, replay, demonstrator),
        agent=agent,
        replay=replay,
        recorder=recorder,
        checkpoints=Checkpoints(directory.checkpoints, directory.replay),
        interrupted=interrupted,
        callbacks=[*watching, *callbacks],
    )


def build_plan(
    settings: Settings,
    bounds: tuple[tuple[float, ...], tuple[float, ...]],
    horizon: int | None = None,
) -> Schedule:
    """When the loop does what; ``bounds``: of random actions."""
    hyper, shown = settings.hyperparams, settings.demonstrations
    random_steps, cloning, first = settings.warmup, None, hyper.exploration_noise
    if isinstance(shown, ShownSettings):
        random_steps = min(shown.random_steps, settings.warmup)
        cloning = (shown.floor, shown.fade) if shown.cloning > 0.0 else None
    return Schedule(
        steps=settings.steps,
        horizon=settings.steps if horizon is None else horizon,
        warmup=settings.warmup,
        random_steps=random_steps,
        updates_per_step=settings.updates_per_step,
        critic_only_updates=settings.critic_only_updates,
        batch_size=hyper.batch_size,
        exploration_noise=(first, first if hyper.exploration_noise_final is None else hyper.exploration_noise_final),
        noise_steps=hyper.exploration_noise_steps,
        lr_final=hyper.lr_final,
        cloning=cloning,
        reward_scale=settings.reward.scale,
        log_every=settings.log_every,
        eval_every=settings.eval_every,
        eval_episodes=settings.eval_episodes,
        eval_spread=settings.eval_spread,
        save_every=settings.save_every,
        seed=settings.seed,
        random_low=bounds[0],
        random_high=bounds[1],
        gamma=hyper.gamma,
    )


def build_collector(
    schedule: Schedule, env: Env | Fleet, agent: TD3, replay: FrameReplay | ShardedReplay, demonstrator: Shows | None
) -> Collector:
    """Who acts: this process in ``env``, or the actors, who have demonstrators of their own."""
    if isinstance(env, Fleet):
        assert isinstance(replay, ShardedReplay)
        return ActorPool(schedule, env, agent, replay)
    assert isinstance(replay, FrameReplay)
    return InProcess(schedule, env, agent, replay, demonstrator)


def build_monitor(settings: Settings, ignored: tuple[str, ...] = ()) -> Monitor:
    """What watches the run; ``ignored``: detectors whose alarm does not stop it."""
    clip = build_clip(settings.clip)
    return Monitor(
        gamma=settings.hyperparams.gamma,
        clip=clip.kind,
        clip_actor=clip.actor,
        clip_critic=clip.critic,
        stop_on=[name for name in settings.monitor.stop_on if name not in ignored],
    )


def build_demonstrator(demonstrations: DemonstrationSettings) -> Shows | None:
    """Who drives to show how; None where nobody does, or where recordings are played (:func:`build_recorded`)."""
    match demonstrations:
        case PidDemonstrationSettings():
            return Demonstrator(Pid(), demonstrations.noise)
        case AutopilotDemonstrationSettings():
            return Demonstrator(AutopilotDriver(), ())
        case _:
            return None


def build_recorded(shown: RecordedDemonstrationSettings, stack: int, vector_size: int, action_size: int) -> Recorded:
    """What was recorded, for an environment of these sizes, in stacks of so many frames."""
    tapes = Tapes(Path(shown.path or ""))
    tapes.check_sizes(vector_size, action_size)
    return Recorded(tapes, stack)


def build_mirror(settings: Settings, directory: RunDirectory) -> WandbMirror | None:
    """The wandb mirror, or None with ``tracking=off``."""
    tracking = settings.tracking
    if tracking.name == "off":
        return None
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
