"""Follow a live run: read, judge and show again whenever its log has grown."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from td3sweep.diagnose.judge import Judgement
from td3sweep.logs.log import NothingYetError

POLL_S = 1.0
SHARE = 0.5  # of the time at most goes into reading and judging: a large log is read less often


def follow(
    path: Path,
    diagnose: Callable[[], Judgement],
    show: Callable[[Judgement], None],
    wait: Callable[[NothingYetError], None],
) -> None:
    """Show the judgement of the log at ``path`` now and after every change, until its writer says that it is over.

    Args:
        path: file or directory whose growth is watched.
        diagnose: reads and judges anew.
        show: shows a judgement.
        wait: told while the log holds nothing to judge.
    """
    seen: object = None
    while True:
        started = time.monotonic()
        now = _size(path)
        if now != seen:
            seen = now
            try:
                judgement = diagnose()
            except NothingYetError as nothing:
                wait(nothing)
            else:
                show(judgement)
                if judgement.log.finished:
                    return
        time.sleep(max(POLL_S, (time.monotonic() - started) * (1.0 / SHARE - 1.0)))


def _size(path: Path) -> tuple[tuple[str, int], ...]:
    """Names and sizes of all files at ``path``: what grows when anything is logged."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    sizes = []
    for file in files:
        try:
            sizes.append((str(file), file.stat().st_size))
        except FileNotFoundError:  # replaced or removed since it was listed
            continue
    return tuple(sizes)
