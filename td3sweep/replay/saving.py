"""A ring of slots on disk: what was written since the last time, and the counters that make sense of it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

TRANSITION = 1  # flag of a slot that starts one


class SavedRing:
    """Saves and restores a :class:`td3sweep.replay.frames.FrameReplay`, which sets what is declared here."""

    capacity: int
    _arrays: dict[str, npt.NDArray[Any]]
    _states: npt.NDArray[np.float32]
    _writes: npt.NDArray[Any]
    _flags: npt.NDArray[Any]
    _stride: int
    _head: int
    _oldest: int
    _write_count: int
    _transitions: int
    _open: int | None
    _rng: np.random.Generator

    def state(self) -> dict[str, Any]:
        """Counters and generator as plain Python values; the slots go into segments."""
        return {
            "head": self._head,
            "oldest": self._oldest,
            "write_count": self._write_count,
            "open": self._open,
            "rng": copy.deepcopy(dict(self._rng.bit_generator.state)),
        }

    def dump_segment(self, since: int, limit: int | None = None) -> tuple[dict[str, npt.NDArray[Any]], int]:
        """Copy the slots written after write number `since`.

        Args:
            since: 0, or the number the previous call returned.
            limit: slots at most, oldest writes first; call again with the returned number for the rest.

        Returns:
            Arrays by name (one row a slot) and the last write number they hold.
        """
        slots = np.flatnonzero(self._writes > since)
        slots = slots[np.argsort(self._writes[slots], kind="stable")][:limit]
        segment = {name: array[slots] for name, array in self._arrays.items()}
        segment["slots"] = slots
        segment["states"] = self._states[slots[slots % self._stride == 0] // self._stride]
        complete = limit is None or len(slots) < limit
        return segment, self._write_count if complete else int(self._writes[slots[-1]])

    @property
    def oldest_write(self) -> int:
        """Lowest write number still in use: segments that end below it are no longer needed."""
        live = np.arange(self._oldest, self._head) % self.capacity
        return int(self._writes[live].min()) if len(live) else self._write_count

    def restore(self, state: Mapping[str, Any], segments: Iterable[Mapping[str, npt.NDArray[Any]]] = ()) -> None:
        """Become the replay that wrote `state` and, in order, `segments`: the same samples follow to the bit.

        Raises:
            ValueError: a segment has another shape than this replay, or the segments do not reach the state.
        """
        for segment in segments:
            self._load_segment(segment)
        holds_any = state["head"] > state["oldest"]  # else what was written may be in no segment any more
        if holds_any and int(self._writes.max()) != state["write_count"]:
            raise ValueError(
                f"replay segments end at write {int(self._writes.max())}, the checkpoint at {state['write_count']}"
            )
        self._head, self._oldest = state["head"], state["oldest"]
        self._write_count, self._open = state["write_count"], state["open"]
        self._transitions = int(np.count_nonzero(self._flags & TRANSITION))
        self._rng.bit_generator.state = state["rng"]

    def _load_segment(self, segment: Mapping[str, npt.NDArray[Any]]) -> None:
        slots = segment["slots"]
        segment = {"meant": np.full_like(segment["actions"], np.nan), **segment}  # an older version had none
        for name, array in self._arrays.items():
            if segment[name].shape[1:] != array.shape[1:] or (len(slots) and slots.max() >= self.capacity):
                raise ValueError(f"replay segment does not fit: {name} has rows of {segment[name].shape[1:]}")
            array[slots] = segment[name]
        self._states[slots[slots % self._stride == 0] // self._stride] = segment["states"]
