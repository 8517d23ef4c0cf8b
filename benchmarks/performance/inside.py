"""Where the time of a real run goes, from its first update to its last step: calls are timed inside the run itself."""

from __future__ import annotations

import io
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.monitor.runs import run_ours
from td3sweep.agent.td3 import TD3
from td3sweep.monitor.verdict import Monitor
from td3sweep.record.recorder import Recorder
from td3sweep.replay.frames import FrameReplay
from td3sweep.training.trainer import Trainer

WATCHING = ("monitor", "logging", "norms of weights")
PARTS = {
    "monitor": (Monitor, ("reward", "watch", "episode", "evaluation", "wiring")),
    "logging": (Recorder, ("gather", "gathered", "log", "episode", "alarm", "show")),
    "norms of weights": (TD3, ("weight_norms", "learning_rates")),
    "update": (TD3, ("update",)),
    "sample": (FrameReplay, ("sample",)),
    "act": (TD3, ("act",)),
    "apart": (Trainer, ("_evaluate", "_save")),  # no part of act + env + store + learn
}


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    """Add up seconds by name from the first update on; a call inside another timed one counts once, for the outer."""
    inside: list[str] = []
    begun = 0.0

    def wrap(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal begun
            if inside:
                return plain(*arguments, **named)
            started = time.perf_counter()
            if name == "update" and not begun:
                spent.clear()
                begun = started
            inside.append(name)
            try:
                return plain(*arguments, **named)
            finally:
                inside.pop()
                spent[name] += time.perf_counter() - started

        return call

    def whole(plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                return plain(*arguments, **named)
            finally:
                spent["loop"] = time.perf_counter() - begun - spent["apart"]

        return call

    with ExitStack() as patches:
        for name, (owner, methods) in PARTS.items():
            for method in methods:
                patches.enter_context(patch.object(owner, method, wrap(name, getattr(owner, method))))
        patches.enter_context(patch.object(Trainer, "run", whole(Trainer.run)))
        yield


def measure(overrides: list[str]) -> dict[str, float]:
    """Seconds by name of one run (``loop``: all of it but evaluations and checkpoints) and its updates.

    Args:
        overrides: of the run; it must learn.
    """
    spent: dict[str, float] = defaultdict(float)
    screen = redirect_stdout(io.StringIO())  # stdout is for the result
    with tempfile.TemporaryDirectory() as folder, screen, timed(spent):
        _, summary = run_ours(overrides, Path(folder))
    return {**spent, "updates": float(summary["updates"])}
