"""What watching and logging cost: ``python -m benchmarks.monitor_cost [overrides]``.

One short real run on the stand-in, default settings (an update a step, batch 100, a row every 25 updates) but for its
length. Every call of the monitor and the recorder, and the norms that only a row needs, is timed inside the run; what
it prints is their share of the loop's wall-clock time, so that a busy machine slows both alike. A second run has
``monitor=off``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.monitor_runs import run_ours
from td3sweep.agent.td3 import TD3
from td3sweep.monitor.verdict import Monitor
from td3sweep.record.recorder import Recorder
from td3sweep.trainer import Trainer

SHORT = [
    "steps=900", "warmup=400", "updates_per_step=1.0", "eval_every=1000000", "eval_episodes=1", "save_every=1000000",
    "threads=1",
]  # fmt: skip
TIMED = {
    "monitor": (Monitor, ("reward", "watch", "episode", "evaluation", "wiring")),
    "logging": (Recorder, ("gather", "gathered", "log", "episode", "alarm", "show")),
    "norms of weights": (TD3, ("weight_norms", "learning_rates")),
}
GOAL = 0.02


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    """Add up seconds by name; a call inside another timed one counts once, for the outer."""
    inside: list[str] = []

    def wrap(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if inside and name != "loop":
                return plain(*arguments, **named)
            if name != "loop":
                inside.append(name)
            begun = time.perf_counter()
            try:
                return plain(*arguments, **named)
            finally:
                spent[name] += time.perf_counter() - begun
                if name != "loop":
                    inside.pop()

        return call

    with ExitStack() as patches:
        for name, (owner, methods) in (TIMED | {"loop": (Trainer, ("run",))}).items():
            for method in methods:
                patches.enter_context(patch.object(owner, method, wrap(name, getattr(owner, method))))
        yield


def measure(overrides: list[str]) -> dict[str, float]:
    """Seconds by name of one run, `loop` all of it, and its updates."""
    spent: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as folder, timed(spent):
        _, summary = run_ours([*SHORT, *overrides], Path(folder))
    return {**spent, "updates": summary["updates"]}


def main() -> None:
    """Measure with the monitor and without, and print shares of the loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    found = {name: measure([*options.overrides, f"monitor={name}"]) for name in ("warn", "off")}
    for name, spent in found.items():
        loop = spent["loop"]
        shares = {part: spent.get(part, 0.0) / loop for part in TIMED}
        total = sum(shares.values())
        parts = ", ".join(f"{part} {share:.2%}" for part, share in shares.items())
        print(f"monitor={name}: {total:.2%} of a loop of {loop:.1f} s and {spent['updates']:.0f} updates ({parts}); "
              f"goal {GOAL:.0%} {'holds' if total <= GOAL else 'is missed'}")  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
