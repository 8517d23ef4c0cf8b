"""A store that keeps whole observations in plain records: slow, obvious, the reference for `FrameReplay`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from td3sweep.replay import FrameReplay

FRAME = (1, 4)
STACK = 4


@dataclass
class Record:
    """One observation, with what was done there."""

    identity: int
    stack: list[Record]
    image: np.ndarray
    index: int  # steps since its episode began
    state: np.ndarray
    action: np.ndarray | None = None
    meant: np.ndarray = field(default_factory=lambda: np.full(2, np.nan, np.float32))
    reward: float = 0.0
    terminated: bool = False
    following: Record | None = None
    previous: Record | None = None
    written: bool = field(default=False)

    @property
    def action_before(self) -> np.ndarray:
        return np.zeros(2, np.float32) if self.previous is None else self.previous.action


class Pair:
    """Feeds the same random episodes to a `FrameReplay` and to a ring of records."""

    def __init__(self, replay: FrameReplay, seed: int, state_size: int = 0) -> None:
        self.replay = replay
        self.ring: dict[int, Record] = {}
        self.pointer = 0
        self.rng = np.random.default_rng(seed)
        self.shown = np.random.default_rng([seed, 1])  # what was meant, in half of all steps
        self.state_size = state_size
        self.count = 0
        self.records: dict[int, Record] = {}

    def episode(self, length: int, end: str) -> None:
        """`end`: terminated, truncated, discarded or open."""
        begun = self.pointer
        record = self._observe(None)
        self.replay.begin(self._observation(record), record.state if self.state_size else None)
        for step in range(length):
            action = self.rng.uniform(-1, 1, 2).astype(np.float32)
            reward = float(np.float32(self.rng.standard_normal()))
            last = step == length - 1
            following = self._observe(record)
            record.action, record.reward, record.following = action, reward, following
            if self.shown.random() < 0.5:
                record.meant = self.shown.uniform(-1, 1, 2).astype(np.float32)
            record.terminated = last and end == "terminated"
            self.replay.add(
                action,
                reward,
                record.terminated,
                last and end == "truncated",
                self._observation(following),
                following.state if self.state_size else None,
                None if np.isnan(record.meant).any() else record.meant,
            )
            record = following
        if end == "discarded":
            self.replay.discard_episode()
            for place in range(begun, self.pointer):
                self.ring.pop(place % self.replay.capacity, None)
            self.pointer = begun

    def _observe(self, previous: Record | None) -> Record:
        self.count += 1
        frame = np.frombuffer(np.uint32(self.count).tobytes(), np.uint8).reshape(FRAME)
        record = Record(self.count, [], frame, 0, np.zeros(self.state_size, np.float32))
        record.stack = [record] * STACK if previous is None else [*previous.stack[1:], record]
        if previous is not None:
            record.index = previous.index + 1
            record.previous = previous
            record.state = self.rng.standard_normal(self.state_size).astype(np.float32)
        self.ring[self.pointer % self.replay.capacity] = record
        self.pointer += 1
        self.records[record.identity] = record
        return record

    def _observation(self, record: Record) -> dict[str, np.ndarray]:
        image = np.stack([part.image for part in record.stack])
        return {"image": image, "vector": np.array([record.identity], np.float32)}

    def slot_of(self) -> dict[int, int]:
        """Slot by identity, for records still in the ring."""
        return {record.identity: slot for slot, record in self.ring.items()}

    def intact(self, record: Record, held: dict[int, int]) -> bool:
        return all(part.identity in held for part in [record, *record.stack])

    def valid_transitions(self) -> set[int]:
        held = self.slot_of()
        return {r.identity for r in self.ring.values() if r.following is not None and self.intact(r, held)}

    def image(self, identity: int) -> np.ndarray:
        return np.stack([part.image for part in self.records[identity].stack])


def n_step(record: Record, gamma: float, n: int) -> tuple[float, float, Record, int]:
    """Return, discount, bootstrap observation and k of a transition, step by step."""
    total, discount, k = 0.0, 1.0, 0
    while k < n and record.following is not None:
        total += discount * record.reward
        discount *= gamma
        k += 1
        if record.terminated:
            return total, 0.0, record.following, k
        record = record.following
    return total, discount, record, k


def random_end(rng: np.random.Generator) -> str:
    return str(rng.choice(["terminated", "truncated", "discarded"], p=[0.45, 0.4, 0.15]))
