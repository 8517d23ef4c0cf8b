"""A warm-up from recorded episodes: what is stored, and that a stop within one changes nothing."""

import json

import numpy as np
import pytest
import torch
from rich.console import Console
from tapes import record, tape
from toy_env import DotEnv

from td3sweep.agent.build import build_td3
from td3sweep.collect.in_process import InProcess
from td3sweep.collect.recorded import Recorded
from td3sweep.collect.schedule import Acting, Schedule
from td3sweep.collect.tapes import Tapes
from td3sweep.errors import SimulatorError, UserError
from td3sweep.monitor.verdict import Monitor
from td3sweep.record.recorder import Recorder
from td3sweep.record.rundir import RunDirectory
from td3sweep.replay import FrameReplay
from td3sweep.training.checkpoint import Checkpoints
from td3sweep.training.trainer import Trainer
from td3sweep.training.watching import Watching

PLAN = {
    "steps": 24, "horizon": 24, "warmup": 16, "random_steps": 5, "updates_per_step": 1.0, "critic_only_updates": 0,
    "batch_size": 4, "exploration_noise": (0.1, 0.1), "noise_steps": None, "lr_final": 1.0, "cloning": (0.2, 10),
    "reward_scale": 0.5, "log_every": 1, "eval_every": 1000, "eval_episodes": 1, "eval_spread": True,
    "save_every": 1000, "seed": 3,
    "random_low": (-1.0, -0.3), "random_high": (1.0, 1.0), "gamma": 0.5,
}  # fmt: skip


def agent_of(memory="none"):
    torch.set_num_threads(1)
    return build_td3(
        cnn="nature", memory=memory, memory_size=8, memory_context=True, vector_size=2, action_size=2, seed=1,
        tau=0.01, actor_lr=1e-3, critic_lr=1e-3, cloning=1.0,
    )  # fmt: skip


def replay_of(agent, **other):
    long = sum(agent.state_sizes) > 0
    shape = {"state_stride": 2, "sequence_length": 4, "burn_in": 2} if long else {}
    return FrameReplay(
        200, vector_size=2, action_size=2, state_sizes=agent.state_sizes, gamma=0.5, seed=2, **{"n_step": 2} | shape
    )  # fmt: skip


def here(tmp_path, tapes, *, env=None, memory="none", **schedule):
    agent = agent_of(memory)
    replay = replay_of(agent)
    recorded = Recorded(Tapes(record(tmp_path / "demos", tapes)), stack=4)
    return InProcess(Schedule(**PLAN | schedule), env or DotEnv(), agent, replay, recorded), replay


def transitions(replay):
    """What can be drawn, by the newest frame's number: stack, vector, action, meant, reward, discount, next stack."""
    batch = replay.sample(600)
    found = {}
    for row in range(600):
        now, then = (batch.images[row, at, :, 0, 0].tolist() for at in (0, int(batch.next_index[row, 0])))
        numbers = (batch.vectors[row, 0], batch.actions[row, 0], batch.meant[row, 0])
        vector, action, meant = (np.round(np.asarray(one, float), 6).tolist() for one in numbers)
        paid = (float(batch.rewards[row, 0]), float(batch.discounts[row, 0]))
        found[now[-1]] = (now, vector, action, meant, *paid, then)
    return found


def test_recorded_steps_are_stored_as_they_were_with_n_step_returns_of_what_is_learnt(tmp_path):
    meant = [[0.1, 0.2]] * 2
    tapes = [tape([1, 2, 4, 8], first=10, unlearnt=[0, 0, 0, 5]), tape([6, 3], first=20, terminated=True, meant=meant)]
    env = DotEnv()
    collector, replay = here(tmp_path, tapes, env=env, warmup=6, random_steps=0)
    steps = [collector.collect() for _ in range(6)]
    assert [step.reward for step in steps] == [0.5, 1.0, 2.0, 1.5, 3.0, 1.5]
    assert env.resets == []  # no simulator is driven
    assert transitions(replay) == {
        10: ([10, 10, 10, 10], [10, 20], [0.1, -0.1], [0.1, -0.1], 0.5 * (1 + 0.5 * 2), 0.25, [10, 10, 11, 12]),
        11: ([10, 10, 10, 11], [11, 22], [0.11, -0.11], [0.11, -0.11], 0.5 * (2 + 0.5 * 4), 0.25, [10, 11, 12, 13]),
        12: ([10, 10, 11, 12], [12, 24], [0.12, -0.12], [0.12, -0.12], 0.5 * (4 + 0.5 * 3), 0.25, [11, 12, 13, 14]),
        13: ([10, 11, 12, 13], [13, 26], [0.13, -0.13], [0.13, -0.13], 0.5 * 3, 0.5, [11, 12, 13, 14]),
        20: ([20, 20, 20, 20], [20, 40], [0.2, -0.2], [0.1, 0.2], 0.5 * (6 + 0.5 * 3), 0.0, [20, 20, 21, 22]),
        21: ([20, 20, 20, 21], [21, 42], [0.21, -0.21], [0.1, 0.2], 0.5 * 3, 0.0, [20, 20, 21, 22]),
    }
    episodes = [step.finished for step in steps if step.finished]
    told = [(each.seed, each.total, each.shown, each.success, each.end) for each in episodes]
    assert told == [(70, 15.0, 4, True, "route_done"), (71, 9.0, 2, True, "route_done")]
    assert (collector.step, collector.episodes) == (6, 2)


def test_random_steps_come_first_and_what_a_change_of_drivers_breaks_off_is_bootstrapped(tmp_path):
    collector, replay = here(tmp_path, [tape([1] * 9, first=100)], warmup=6, random_steps=3)
    steps = [collector.collect() for _ in range(6)]
    found = transitions(replay)
    collector.collect()
    finished = {place: step.finished for place, step in enumerate(steps) if step.finished}
    assert [(place, each.random, each.shown, each.end) for place, each in finished.items()] == [
        (2, 3, 0, "cut"),
        (5, 0, 3, "cut"),
    ]
    assert not any(each.of_one_kind for each in finished.values())  # lengths that tell nothing
    assert len(collector.env.resets) == 2
    assert [found[number][5] for number in (0, 1, 2)] == [0.25, 0.25, 0.5]
    assert [found[number][5:] for number in (101, 102)] == [
        (0.25, [100, 101, 102, 103]),
        (0.5, [100, 101, 102, 103]),
    ]


def test_the_memory_sees_what_is_shown(tmp_path):
    """Its states are those of the policy fed with the recorded frames, one by one."""
    collector, _ = here(tmp_path, [tape([1] * 4, first=10)], memory="gru", warmup=4, random_steps=0)
    agent, state = collector.agent, collector.agent.initial_state()
    collector.collect()
    for time in (10, 11, 12):
        frames = np.maximum(np.arange(time - 3, time + 1), 10).astype(np.uint8)
        seen = {
            "image": np.broadcast_to(frames[:, None, None], (4, 84, 84)).copy(),
            "vector": np.array([time, 2 * time], np.float32),
        }
        state = agent.after(agent.act(seen, state, noise=0.0)[1], np.array([time, -time], np.float32) / 100)
        assert np.array_equal(collector.episode.state, state)
        assert state.any()
        collector.collect()


def make(path, demos, *, memory="none", stop_at=None, env=None, **schedule):
    """A trainer in ``path`` that leaves, as at a signal, at step ``stop_at``."""
    run = RunDirectory(path)
    for folder in (run.checkpoints, run.replay):
        folder.mkdir(parents=True, exist_ok=True)
    agent, numbers = agent_of(memory), Schedule(**PLAN | schedule)
    replay = replay_of(agent)
    monitor = Monitor(gamma=0.5, clip="joint", clip_actor=1.0, clip_critic=10.0, stop_on=["nonfinite"])
    trainer = Trainer(
        numbers,
        collector=InProcess(numbers, env or DotEnv(), agent, replay, Recorded(Tapes(demos), stack=4)),
        agent=agent,
        replay=replay,
        callbacks=[Watching(monitor)],
        recorder=Recorder(run, Console(quiet=True), None),
        checkpoints=Checkpoints(run.checkpoints, run.replay),
        interrupted=lambda: stop_at is not None and trainer.step >= stop_at,
    )
    trainer.monitor = monitor
    return trainer


def left(trainer, path):
    """What a run leaves: all that is learnt and stored, and its records."""
    records = [json.loads(line) for name in ("metrics", "episodes") for line in (path / f"{name}.jsonl").open()]
    timeless = [{key: value for key, value in row.items() if not key.startswith("time/")} for row in records]
    segment, _ = trainer.replay.dump_segment(0)
    agent = trainer.agent.state_dict()
    for name in ("actor_optimizer", "critic_optimizer"):
        agent[name] = agent[name]["state"]  # a resume notes the first learning rates as well
    return agent, trainer.replay.state(), segment, timeless


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray | torch.Tensor):
        return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=one.dtype not in (torch.uint8, np.uint8))
    return one == other


@pytest.fixture
def demos(tmp_path):
    tapes = [tape([1, 2, 4, 8], first=10), tape([3, 1, 5], first=40, terminated=True), tape([2] * 6, first=70)]
    return record(tmp_path / "demos", tapes)


@pytest.mark.parametrize("memory", ["none", "gru"])
def test_a_stop_within_a_recorded_episode_changes_nothing(tmp_path, demos, memory):
    undisturbed = make(tmp_path / "whole", demos, memory=memory)
    undisturbed.run()
    for at in (5, 7, 12, 15, 16):  # at each change of drivers, within each tape, and at one's end
        stopped = make(tmp_path / "parts", demos, memory=memory, stop_at=at)
        stopped.run()
        assert stopped.step == at
    resumed = make(tmp_path / "parts", demos, memory=memory)
    resumed.run()
    assert same(left(undisturbed, tmp_path / "whole"), left(resumed, tmp_path / "parts"))
    rows = [json.loads(line) for line in (tmp_path / "parts" / "episodes.jsonl").open()]
    assert [(row["seed"], row["return"], row["end"]) for row in rows if row["phase"] == "demonstrations"] == [
        (70, 15.0, "route_done"),
        (71, 9.0, "route_done"),
        (72, 8.0, "cut"),
    ]


def test_another_recording_is_refused_as_long_as_it_is_shown(tmp_path, demos):
    make(tmp_path / "run", demos, stop_at=7).run()
    changed = tape([1, 2, 4, 8], first=11)
    changed.save(demos / "0.npz")  # recording.json says the same of it
    with pytest.raises(UserError, match="begun with another recording"):
        make(tmp_path / "run", demos).run()
    record(demos, [tape([1] * 11)])
    with pytest.raises(UserError, match="begun with another recording"):
        make(tmp_path / "run", demos).run()


def test_another_recording_is_refused_between_two_episodes_as_well(tmp_path, demos):
    make(tmp_path / "run", demos, stop_at=9).run()
    record(demos, [tape([1, 2, 4, 8]), tape([1] * 7)])
    with pytest.raises(UserError, match="begun with another recording"):
        make(tmp_path / "run", demos).run()


def test_another_recording_is_of_no_concern_when_it_is_over(tmp_path, demos):
    make(tmp_path / "run", demos, stop_at=18).run()
    record(demos, [tape([1] * 11)])
    resumed = make(tmp_path / "run", demos)
    resumed.run()
    assert resumed.step == 24


def test_only_whole_random_episodes_are_the_monitors_reference(tmp_path, demos):
    trainer = make(tmp_path / "run", demos, random_steps=8, warmup=16, env=DotEnv(length=5))
    judged, episode = [], trainer.monitor.episode
    trainer.monitor.episode = lambda step, **told: judged.append((step, told["phase"])) or episode(step, **told)
    trainer.run()
    assert judged == [(5, "warm-up"), (21, "learning")]


def test_a_simulator_that_never_worked_still_ends_the_run(tmp_path, demos):
    """Recorded steps prove nothing of it."""
    trainer = make(tmp_path / "run", demos, random_steps=5, warmup=16, env=DotEnv(fail_at={1}))
    with pytest.raises(SimulatorError, match="injected"):
        trainer.run()
    trainer = make(tmp_path / "other", demos, random_steps=0, warmup=11, env=DotEnv(fail_at={1}))
    with pytest.raises(SimulatorError, match="injected"):
        trainer.run()
    assert trainer.step == 11


def test_the_plan_says_who_acts():
    schedule = Schedule(**PLAN)
    assert [schedule.acting(step) for step in (4, 5, 15, 16)] == [
        Acting.RANDOM,
        Acting.DEMONSTRATOR,
        Acting.DEMONSTRATOR,
        Acting.POLICY,
    ]
