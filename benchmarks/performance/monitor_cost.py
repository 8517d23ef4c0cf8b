"""What watching and logging cost: ``python -m benchmarks.performance.monitor_cost [overrides]``.

One short real run on the stand-in, `hyperparams=paper` (an update a step, batch 100, a row every 25 updates). Every
call of the monitor and the recorder, and the norms that only a row needs, is timed inside the run; what it prints is
their share of the learning loop's wall-clock time, so that a busy machine slows both alike. A second run has
``monitor=off``.
"""

from __future__ import annotations

import argparse
import json

from benchmarks.learning.former import PLAIN
from benchmarks.performance.inside import WATCHING, measure

SHORT = [
    *PLAIN,
    "steps=900", "warmup=400", "updates_per_step=1.0", "eval_every=1000000", "eval_episodes=1", "save_every=1000000",
    "threads=1",
]  # fmt: skip
GOAL = 0.02


def main() -> None:
    """Measure with the monitor and without, and print shares of the loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    found = {name: measure([*SHORT, *options.overrides, f"monitor={name}"]) for name in ("warn", "off")}
    for name, spent in found.items():
        loop = spent["loop"]
        shares = {part: spent.get(part, 0.0) / loop for part in WATCHING}
        total = sum(shares.values())
        parts = ", ".join(f"{part} {share:.2%}" for part, share in shares.items())
        print(f"monitor={name}: {total:.2%} of a loop of {loop:.1f} s and {spent['updates']:.0f} updates ({parts}); "
              f"goal {GOAL:.0%} {'holds' if total <= GOAL else 'is missed'}")  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
