"""Options that had another name: what was typed or saved with it still means the same."""

import functools
import re
import sys
from collections.abc import Iterable, Mapping

RENAMED: Mapping[str, Mapping[str, str]] = {
    "experiment": {"seed_5k": "described_5k"},
    "reward": {
        "seed_20nov": "described_20nov",
        "seed_later": "described_later",
        "seed_phase3": "described_phase3",
    },
}


def renamed(overrides: Iterable[str]) -> list[str]:
    """The overrides with today's names; each that had to be changed is told of once a process, on stderr."""
    words = []
    for word in overrides:
        group, _, value = word.partition("=")
        for former, name in RENAMED.get(group.lstrip("+~"), {}).items():
            value, changed = re.subn(rf"\b{former}\b", name, value)
            if changed:
                _tell(f"{group}={former}", f"{group}={name}")
        words.append(f"{group}={value}" if "=" in word else word)
    return words


@functools.cache
def _tell(former: str, name: str) -> None:
    print(f"td3sweep: {former} is deprecated; it is {name} now, and means the same", file=sys.stderr)
