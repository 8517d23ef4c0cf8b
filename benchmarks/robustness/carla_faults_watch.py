"""Looks over a trainer's shoulder: every step against its picture's stamp, the learner before and after every fault."""

from __future__ import annotations

import math
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from td3sweep.standin.stamp import Stamp, read_stamp

CAMERA_X = 1.6  # metres ahead of the car's centre, the default
NEAR = 2e-3  # metres: positions travel in single precision
TRANSITION = 1  # flag of a replay slot that starts one


class Watch:
    """Wraps the methods of a trainer and its parts that matter here, and counts what is wrong.

    Attributes:
        steps: good steps seen, those of evaluations included.
        torn_steps: those whose picture, place and frame number do not belong together.
        discarded: steps of episodes that a fault ended.
        update_gaps: updates whose number does not follow the last one's.
        learner_changes: faults after which a network or an optimiser was not what it had been.
        recoveries: seconds from a fault to the next good step, by the fault's kind; from the first of several alike.
        stored, torn_transitions, strays: what `check_replay` found.
    """

    def __init__(self, trainer: Any, repeat: int) -> None:
        self.steps = self.torn_steps = self.discarded = self.update_gaps = self.learner_changes = 0
        self.stored = self.torn_transitions = self.strays = 0
        self.recoveries: dict[str, list[float]] = defaultdict(list)
        self._trainer, self._repeat = trainer, repeat
        self._first = 0  # the episode's first frame number
        self._open: list[int] = []  # prints of the open episode's frames
        self._stray_prints: set[int] = set()
        self._vectors: dict[int, bytes] = {}
        self._fault: tuple[str, float] | None = None
        self._learner: int | None = None
        self._updates = 0
        acting, agent = trainer.collector, trainer.agent
        env = acting.env
        self._plain = env.reset, env.step, acting._count, agent.update
        env.reset, env.step, acting._count, agent.update = self._reset, self._step, self._fault_seen, self._update

    def _reset(self, **arguments: Any) -> tuple[Any, Any]:
        observation, info = self._plain[0](**arguments)
        self._first, self._open = read_stamp(observation["image"][-1]).frame, []
        self._note(observation, info, [self._first] * 4)
        return observation, info

    def _step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self._plain[1](action)
        frames = [read_stamp(image).frame for image in observation["image"]]
        self._note(observation, info, frames)
        self.steps += 1
        if self._fault is not None:
            kind, since = self._fault
            self.recoveries[kind].append(time.monotonic() - since)
            self._fault = None
        return observation, reward, terminated, truncated, info

    def _note(self, observation: Any, info: Any, frames: list[int]) -> None:
        """Picture, place and frame number must be of one moment, and a stack's frames must follow each other."""
        stamp = read_stamp(observation["image"][-1])
        gaps = np.diff(frames)
        together = (
            stamp.frame == self._first + info["frame"]
            and _distance(stamp, info["position"]) < NEAR
            and all(0 <= gap <= self._repeat for gap in gaps)
        )
        self.torn_steps += not together
        mark = _print(observation["image"][-1])
        self._open.append(mark)
        self._vectors[mark] = np.asarray(observation["vector"], np.float32).tobytes()

    def _fault_seen(self, error: Any) -> None:
        """Called while the episode that the fault broke is still open."""
        if self._fault is None or self._fault[0] != error.kind:  # the time of one followed by another tells of neither
            self._fault = error.kind, time.monotonic()
        broken = self._trainer.collector.episode
        if broken is not None:  # else the last one was over, and is rightly stored
            self.discarded += len(broken.actions)
            self._stray_prints.update(self._open)
        self._open = []
        if self._learner is None:
            self._learner = _learner_print(self._trainer.agent)
        self._plain[2](error)

    def _update(self, *arguments: Any, **named: Any) -> Any:
        agent = self._trainer.agent
        self.update_gaps += agent.updates != self._updates
        if self._learner is not None:
            self.learner_changes += _learner_print(agent) != self._learner
            self._learner = None
        metrics = self._plain[3](*arguments, **named)
        self._updates += 1
        return metrics

    def check_replay(self) -> None:
        """Every transition that the replay holds at the end: its two frames, and its numbers, belong together."""
        held, _ = self._trainer.replay.dump_segment(0)
        place = {int(slot): row for row, slot in enumerate(held["slots"])}
        for slot, row in place.items():
            if not held["flags"][row] & TRANSITION:
                continue
            self.stored += 1
            after = place[slot + 1]
            gap = read_stamp(held["frames"][after]).frame - read_stamp(held["frames"][row]).frame
            marks = _print(held["frames"][row]), _print(held["frames"][after])
            vectors = held["vectors"][row].tobytes(), held["vectors"][after].tobytes()
            ends = not held["flags"][after] & TRANSITION  # an episode may end within the repeats
            whole = (gap == self._repeat or (ends and 0 < gap <= self._repeat)) and vectors == tuple(
                self._vectors.get(mark) for mark in marks
            )
            self.torn_transitions += not whole
            self.strays += bool(self._stray_prints & set(marks))


def _distance(stamp: Stamp, position: tuple[float, float]) -> float:
    yaw = math.radians(stamp.yaw)
    x, y = stamp.x - CAMERA_X * math.cos(yaw), stamp.y - CAMERA_X * math.sin(yaw)
    return math.hypot(x - position[0], y - position[1])


def _print(frame: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(frame).tobytes())


def _learner_print(agent: Any) -> int:
    """Of every tensor and number that learning has changed; acting draws from a generator of its own."""
    total = 0
    for name, part in agent.state_dict().items():
        if name != "acting_rng":
            for value in _leaves(part):
                data = value.numpy().tobytes() if isinstance(value, torch.Tensor) else repr(value).encode()
                total = zlib.crc32(data, total)
    return total


def _leaves(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        for value in node.values():
            yield from _leaves(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _leaves(value)
    else:
        yield node
