"""Faults on demand: what a simulator does on a bad day, so that a trainer's recovery can be tested."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from td3sweep.standin.stamp import stamped
from td3sweep.standin.wire import SensorType, StreamMessage

GARBLED = b"\xa5" * 20  # shorter than a header: what a client makes of it is undefined


@dataclass(frozen=True, slots=True)
class Faults:
    """Which faults to play; zero means never. Counts are of ticks or of camera frames since start, times in s.

    ``count_driven`` counts only the ticks that a client asks for: a server that runs by itself while its client is
    still on the way would spend the others. ``stamp_frames`` is no fault, but shows what became of one: `stamp.py`.
    """

    slow_load: float = 0.0
    slow_tick: float = 0.0
    hang_after: int = 0
    crash_after: int = 0
    drop_frame_every: int = 0
    late_frame_every: int = 0
    garble_frame_every: int = 0
    die_at_start: bool = False
    count_driven: bool = False
    stamp_frames: bool = False


class FaultInjector:
    """Plays the faults at the moments the server reports."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._ticks = 0
        self._camera_frames = 0
        self._held: list[StreamMessage] = []

    def starting(self) -> None:
        if self._faults.die_at_start:
            print("stand-in fault: died at start", file=sys.stderr, flush=True)
            raise SystemExit(1)

    def loading(self) -> None:
        time.sleep(self._faults.slow_load)

    def ticking(self, driven: bool) -> None:
        """Called before each tick, ``driven`` if a client asked for it; may never return."""
        if self._faults.count_driven and not driven:
            return
        if self._faults.crash_after and self._ticks >= self._faults.crash_after:
            print(f"stand-in fault: crashed after {self._ticks} ticks", file=sys.stderr, flush=True)
            os._exit(139)
        if self._faults.hang_after and self._ticks >= self._faults.hang_after:
            print(f"stand-in fault: hangs after {self._ticks} ticks", file=sys.stderr, flush=True)
            while True:
                signal.pause()
        self._ticks += 1
        time.sleep(self._faults.slow_tick)

    def deliver(self, messages: Sequence[StreamMessage]) -> list[StreamMessage]:
        """What of a tick's messages goes out now: camera frames may be lost, or held until the next tick."""
        due, self._held = self._held, []
        for sent in messages:
            message = sent
            if message.sensor is SensorType.RGB:
                self._camera_frames += 1
                if self._faults.stamp_frames:
                    message = stamped(message)
                if _is_due(self._camera_frames, self._faults.garble_frame_every):
                    message = StreamMessage(message.stream_id, message.sensor, GARBLED, b"")
                if _is_due(self._camera_frames, self._faults.drop_frame_every):
                    continue
                if _is_due(self._camera_frames, self._faults.late_frame_every):
                    self._held.append(message)
                    continue
            due.append(message)
        return due


def _is_due(count: int, every: int) -> bool:
    return every > 0 and count % every == 0
