"""Where the trainer's numbers go: metrics.jsonl first, then wandb, the terminal and its log."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import torch
from rich.console import Console

from td3sweep.monitor.detectors import Alarm
from td3sweep.record.film import FilmStrip
from td3sweep.record.metrics import JsonLines
from td3sweep.record.progress import ProgressReport
from td3sweep.record.rundir import RunDirectory
from td3sweep.record.wandb import WandbMirror

log = logging.getLogger(__name__)


class Recorder:
    """Gathers metrics between two logs without a host-device sync, and writes one row per log."""

    def __init__(
        self, directory: RunDirectory, console: Console, mirror: WandbMirror | None, simulator: str = ""
    ) -> None:
        self.film_path = directory.film
        self._checkpoints = directory.checkpoints
        self._simulator = simulator
        self._metrics = JsonLines(directory.metrics)
        self._episodes = JsonLines(directory.episodes)
        self._console = console
        self._mirror = mirror
        self._sums: dict[str, torch.Tensor] = {}
        self._counts: dict[str, int] = {}
        self._device: torch.device | None = None  # of what was gathered last
        self._seconds = {"step": 0.0, "update": 0.0}
        self._spent = {"step": 0, "update": 0}
        self._latest: dict[str, float] = {}
        self._report: ProgressReport | None = None
        self._eta: float | None = None
        self._shown = False  # whether a demonstrator drove the newest episode
        self.started = time.monotonic()

    # Metrics

    def gather(self, metrics: Mapping[str, torch.Tensor]) -> None:
        """Add one update's metrics to the row being gathered: means, and maxima where the name ends in ``_max``."""
        for key, value in metrics.items():
            self._device = value.device
            held = self._sums.get(key)
            if held is not None and held.device != value.device:  # restored from a checkpoint
                held = self._sums[key] = held.to(value.device)
            if held is None:
                self._sums[key] = value.detach().clone()
            elif key.endswith("_max"):
                torch.maximum(held, value, out=held)
            else:
                held += value
            self._counts[key] = self._counts.get(key, 0) + 1

    def gathered(self) -> dict[str, float]:
        """The row gathered since the last call, brought to the host in one transfer."""
        if not self._sums:
            return {}
        # A checkpoint's sums come back on the CPU, and not all of them are gathered again before the row is written.
        values = torch.stack([value.to(self._device, torch.float32) for value in self._sums.values()]).tolist()
        row = {
            key: value if key.endswith("_max") else value / self._counts[key]
            for key, value in zip(self._sums, values, strict=True)
        }
        self._sums.clear()
        self._counts.clear()
        return row

    def log(self, step: int, updates: int, phase: str, row: dict[str, float]) -> None:
        """Write one row of metrics at environment step ``step``."""
        if self._spent["update"]:
            row["time/updates_per_s"] = self._spent["update"] / max(self._seconds["update"], 1e-9)
        if self._spent["step"]:
            row["time/env_steps_per_s"] = self._spent["step"] / max(sum(self._seconds.values()), 1e-9)
        if self._eta is not None:
            row["time/eta_s"] = self._eta
        self._write(step, updates, phase, row)

    def episode(self, step: int, updates: int, phase: str, episode: Mapping[str, Any]) -> None:
        """Write a finished episode to ``episodes.jsonl`` and its numbers to the metrics."""
        self._episodes.write({"env_step": step, "phase": phase, **episode})
        self._shown = phase == "demonstrations"
        row = {f"episode/{key}": float(episode[key]) for key in ("return", "length", "success")}
        row |= {f"episode/reward/{term}": value for term, value in episode["terms"].items()}
        if episode["bias"] is not None:
            row["q/bias"] = episode["bias"]
        self._write(step, updates, phase, row)

    def alarm(self, alarm: Alarm) -> None:
        """Tell of an alarm everywhere, once per cause."""
        title = f"{alarm.level} {alarm.detector} at step {alarm.step}"
        log.warning("%s: %s", title, alarm.evidence)
        if self._mirror is not None:
            self._mirror.alert(title, alarm.evidence)

    def _write(self, step: int, updates: int, phase: str, row: Mapping[str, float]) -> None:
        whole = {"env_step": step, "updates": updates, "phase": phase, **row}
        self._latest.update(row)
        self._metrics.write(whole)
        if self._mirror is not None:
            self._mirror.log(whole)

    # Time and terminal

    def spent(self, what: str, seconds: float, times: int = 1) -> None:
        """Note that a ``step`` or ``update`` took ``seconds`` of wall-clock time; 0 ``times``: those before did."""
        self._seconds[what] += seconds
        self._spent[what] += times

    def seconds_per(self, what: str) -> float | None:
        """Mean seconds of a ``step`` or an ``update`` in this session; None before the first."""
        return self._seconds[what] / self._spent[what] if self._spent[what] else None

    def progress(self, total: int, done: int) -> ProgressReport:
        """The progress report to enter while the loop runs."""
        self._report = ProgressReport(self._console, total, done)
        return self._report

    def show(self, step: int, phase: str, updates_left: int) -> None:
        """Show progress; the time left is known once a step and an update have been timed."""
        if self._report is None:
            return
        per_step, per_update = self.seconds_per("step"), self.seconds_per("update")
        if per_step is not None and (per_update is not None or not updates_left):
            self._eta = (self._report.total - step) * per_step + updates_left * (per_update or 0.0)
        whose = "demonstrator's return" if self._shown else "return"
        parts = {whose: "episode/return", "length": "episode/length", "Q": "q/actor"}
        note = " ".join(f"{name} {self._latest[key]:.3g}" for name, key in parts.items() if key in self._latest)
        speed = self._spent["step"] / max(sum(self._seconds.values()), 1e-9)
        self._report.update(step=step, phase=phase, steps_per_s=speed, eta_s=self._eta, note=note)

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    # Pictures

    def film_strip(self, step: int) -> FilmStrip:
        """An empty film strip, labelled with the simulator and the step."""
        return FilmStrip(f"{self._simulator}; environment step {step}")

    def save_film(self, strip: FilmStrip) -> None:
        """Write the strip into the run directory."""
        strip.save(self.film_path)

    # Save, restore, end

    def state_dict(self) -> dict[str, Any]:
        """Where the files stand and what was gathered since the last row."""
        return {
            "metrics": self._metrics.offset(),
            "episodes": self._episodes.offset(),
            "sums": {key: value.clone() for key, value in self._sums.items()},
            "counts": dict(self._counts),
        }

    def start_anew(self) -> None:
        """Forget the rows of a run that ended before its first checkpoint: it is run again from the beginning."""
        self._metrics.rewind(0)
        self._episodes.rewind(0)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Rewind the files to where :meth:`state_dict` was taken: a killed run may have written past it."""
        self._metrics.rewind(state["metrics"])
        self._episodes.rewind(state["episodes"])
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])

    def close(self, summary: Mapping[str, Any]) -> None:
        """Close the files and the mirror."""
        self._metrics.close()
        self._episodes.close()
        if self._mirror is not None:
            self._mirror.keep(self.film_path, self._checkpoints)
            self._mirror.summarise(summary)
