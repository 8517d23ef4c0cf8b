"""The product's own command, which also reports when it first stepped.

``python -m benchmarks.performance.first_step [overrides]`` is ``python -m td3sweep`` with one line more on stdout,
``first step at SECONDS`` (since the epoch). Only the environment's class is loaded earlier than usual, which
loads nothing that the command would not.
"""

from __future__ import annotations

import functools
import time
from typing import Any

from td3sweep.__main__ import main
from td3sweep.envs.carla.isolated import IsolatedCarlaEnv

MARK = "first step at"
plain = IsolatedCarlaEnv.step
told: list[float] = []


@functools.wraps(plain)
def step(env: IsolatedCarlaEnv, *arguments: Any) -> Any:
    """The step, and the time after the first one."""
    result = plain(env, *arguments)
    if not told:
        told.append(time.time())
        print(MARK, told[0], flush=True)
    return result


if __name__ == "__main__":
    IsolatedCarlaEnv.step = step  # type: ignore[method-assign]
    main()
