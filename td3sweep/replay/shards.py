"""Replay of several actors: a ring each, so that episodes which are open at once never mix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from td3sweep.replay.batch import Batch
from td3sweep.replay.frames import FrameReplay
from td3sweep.replay.memory import Arrays, Shape

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Shard(FrameReplay):
    """One actor's ring; its writes are numbered together with those of the others."""

    def __init__(self, clock: list[int], capacity: int, *, seed: int, **shape: Unpack[Shape]) -> None:
        super().__init__(capacity, seed=seed, **shape)
        self._clock = clock

    def _touch(self, slot: int) -> None:
        self._clock[0] += 1
        self._write_count = self._clock[0]
        self._writes[slot] = self._write_count


class ShardedReplay:
    """As many rings as actors; a batch is drawn from all of them, in proportion to their transitions.

    With a memory that is in proportion to transitions, and within a ring uniform over sequence starts.

    Args:
        shards: rings.
        capacity: slots in all; each ring gets its share.
        seed: of the draws.
        shape: the further arguments of :class:`FrameReplay`.

    Raises:
        ValueError: as there.
    """

    def __init__(self, shards: int, capacity: int, *, seed: int, **shape: Unpack[Shape]) -> None:
        self._clock = [0]  # the number of the last write to any ring
        self.shards = [
            Shard(self._clock, capacity // shards, seed=int(state.generate_state(1)[0]), **shape)
            for state in np.random.SeedSequence(seed).spawn(shards)
        ]
        self.gamma = self.shards[0].gamma
        self._slots = self.shards[0].capacity
        self._stride = shape.get("state_stride", 1)
        self._rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    @property
    def full(self) -> bool:
        """Whether all rings are."""
        return all(shard.full for shard in self.shards)

    def can_sample(self, windows: int) -> bool:
        """As :meth:`FrameReplay.can_sample`, of all rings together."""
        return len(self) >= max(windows, 1) and any(shard.can_sample(1) for shard in self.shards)

    def sample(self, windows: int) -> Batch:
        """As :meth:`FrameReplay.sample`, over all rings; windows of one ring stand together."""
        held = np.array([len(shard) if shard.can_sample(1) else 0 for shard in self.shards])
        if not held.any():
            raise ValueError("the replay holds nothing to sample yet")
        shares = self._rng.multinomial(windows, held / held.sum())
        return _joined([shard.sample(int(n)) for shard, n in zip(self.shards, shares, strict=True) if n > 0])

    def update_priorities(self, batch: Batch, errors: torch.Tensor) -> None:
        """Draws are uniform, whatever the errors are."""

    def discard_episodes(self) -> int:
        """Forget all open episodes; returns how many there were."""
        open_ones = [shard for shard in self.shards if shard.episode_open]
        for shard in open_ones:
            shard.discard_episode()
        return len(open_ones)

    # Saving -----------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """As :meth:`FrameReplay.state`."""
        return {"shards": [shard.state() for shard in self.shards], "rng": dict(self._rng.bit_generator.state)}

    def dump_segment(self, since: int, limit: int | None = None) -> tuple[dict[str, npt.NDArray[Any]], int]:
        """As :meth:`FrameReplay.dump_segment`, the rings' slots one behind the other.

        A ring that has more than its share of ``limit`` to say ends the segment early; what the others said beyond
        that write they will say again, which changes nothing: a later row of a slot stands.
        """
        share = None if limit is None else max(limit // len(self.shards), 1)
        parts, end = [], self._clock[0]
        for place, shard in enumerate(self.shards):
            part, reached = shard.dump_segment(since, share)
            if share is not None and len(part["slots"]) == share:
                end = min(end, reached)
            parts.append(part | {"slots": part["slots"] + place * self._slots})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, end

    @property
    def oldest_write(self) -> int:
        """As :attr:`FrameReplay.oldest_write`; an empty ring needs none."""
        return min((shard.oldest_write for shard in self.shards if shard.nbytes), default=self._clock[0])

    def restore(self, state: Mapping[str, Any], segments: Iterable[Arrays] = ()) -> None:
        """As :meth:`FrameReplay.restore`."""
        segments = list(segments)  # each ring reads them all
        for place, (shard, saved) in enumerate(zip(self.shards, state["shards"], strict=True)):
            shard.restore(saved, (self._part(segment, place) for segment in segments))
        self._clock[0] = max(saved["write_count"] for saved in state["shards"])
        self._rng.bit_generator.state = state["rng"]

    def _part(self, segment: Arrays, place: int) -> Arrays:
        """What of a segment belongs to one ring."""
        slots = segment["slots"]
        mine = slots // self._slots == place
        part = {name: rows[mine] for name, rows in segment.items() if name != "states"}
        part["states"] = segment["states"][mine[slots % self._stride == 0]]
        part["slots"] = part["slots"] - place * self._slots
        return part


def _joined(batches: Sequence[Batch]) -> Batch:
    first = batches[0]
    if len(batches) == 1:
        return first
    joined: dict[str, Any] = {name: torch.cat([b.tensors()[name] for b in batches]) for name in first.tensors()}
    return replace(first, **joined)
