"""The campaign's own checks see what they are for: a stale picture, a torn transition, a changed learner."""

import struct
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.robustness.carla_faults_watch import CAMERA_X, Watch
from td3sweep.errors import SimulatorError
from td3sweep.replay.frames import FrameReplay
from td3sweep.standin.stamp import read_stamp, stamped
from td3sweep.standin.wire import SensorType, StreamMessage, image_header

REPEAT = 4


def picture(frame, x):
    header = struct.pack("<QQd6f", SensorType.RGB, frame, 0.0, x + CAMERA_X, 2.0, 1.5, 0.0, 0.0, 0.0)
    message = StreamMessage(2, SensorType.RGB, header + image_header(84, 84, 90.0), bytes(4 * 84 * 84))
    return np.frombuffer(stamped(message).body, np.uint8).reshape(84, 84, 4)[..., 0]


class Env:
    """Drives along x, a metre per step; ``lie`` spoils what it reports."""

    def __init__(self):
        self.lie = None
        self.first = 100

    def reset(self, **_):
        self.count, self.first = 0, self.first + 50
        self.stack = [picture(self.first, 0.0)] * 4
        return self.observation(), self.info()

    def step(self, action):
        self.count += 1
        frame, x = self.first + REPEAT * self.count, float(self.count)
        if self.lie == "stale":
            frame, x = frame - REPEAT, x - 1.0
        self.stack = [*self.stack[1:], picture(frame, x)]
        return self.observation(), 0.0, False, False, self.info()

    def observation(self):
        return {"image": np.stack(self.stack), "vector": np.full(1, self.count, np.float32)}

    def info(self):
        return {"frame": REPEAT * self.count, "position": (float(self.count), 2.0)}


@pytest.fixture
def trainer():
    weight = torch.zeros(3)
    agent = SimpleNamespace(
        updates=0, update=lambda: None, state_dict=lambda: {"actor": {"w": weight}, "acting_rng": 0}
    )
    replay = FrameReplay(50, vector_size=1, action_size=1, gamma=0.9, n_step=1, seed=0)
    one = SimpleNamespace(
        collector=SimpleNamespace(env=Env(), episode=None, _count=lambda error: None),
        agent=agent,
        replay=replay,
        weight=weight,
    )
    one.watch = Watch(one, REPEAT)
    return one


def drive(trainer, steps):
    observation, _ = trainer.collector.env.reset()
    trainer.replay.begin(observation)
    for _ in range(steps):
        observation, *_ = trainer.collector.env.step(None)
        trainer.replay.add(np.zeros(1, np.float32), 0.0, False, False, observation)


def test_a_stamp_is_read_back():
    stamp = read_stamp(picture(12345, 7.25))
    assert (stamp.frame, stamp.x, stamp.y, stamp.yaw) == (12345, pytest.approx(7.25 + CAMERA_X), 2.0, 0.0)


def test_a_right_run_has_no_complaint(trainer):
    drive(trainer, 5)
    trainer.watch.check_replay()
    watch = trainer.watch
    assert (watch.steps, watch.stored) == (5, 5)
    assert (watch.torn_steps, watch.torn_transitions, watch.strays) == (0, 0, 0)


def test_a_stale_picture_is_seen(trainer):
    trainer.collector.env.lie = "stale"
    drive(trainer, 5)
    trainer.watch.check_replay()
    assert trainer.watch.torn_steps == 5
    assert trainer.watch.torn_transitions >= 1


def test_a_transition_of_a_discarded_episode_is_seen(trainer):
    drive(trainer, 3)
    trainer.collector.episode = SimpleNamespace(actions=[None] * 3)
    trainer.collector._count(SimulatorError("crashed", "crash"))  # and the replay keeps what it should drop
    trainer.watch.check_replay()
    assert (trainer.watch.strays, trainer.watch.discarded) == (3, 3)


def test_an_episode_that_was_over_before_the_fault_is_rightly_stored(trainer):
    drive(trainer, 3)
    trainer.collector._count(SimulatorError("crashed", "crash"))
    trainer.watch.check_replay()
    assert (trainer.watch.strays, trainer.watch.discarded, trainer.watch.stored) == (0, 0, 3)


def test_a_learner_that_a_fault_changed_is_seen(trainer):
    trainer.collector._count(SimulatorError("crashed", "crash"))
    trainer.agent.update()
    trainer.agent.updates = 1
    assert (trainer.watch.learner_changes, trainer.watch.update_gaps) == (0, 0)
    trainer.collector._count(SimulatorError("crashed", "crash"))
    trainer.weight += 1.0
    trainer.agent.updates = 3
    trainer.agent.update()
    assert (trainer.watch.learner_changes, trainer.watch.update_gaps) == (1, 1)
