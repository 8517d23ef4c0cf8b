"""A server that has a bad day by plan.

``python -m benchmarks.robustness.faulty_server PLAN FLAG...`` becomes the stand-in.

Every start takes the first line off the plan file and plays it. A line holds flags of the stand-in (its fault
switches), or begins with a word of its own: ``gone SECONDS`` refuses to start for so long; ``port SECONDS`` has
somebody else listen on the server's port for so long once the server has ended. A plan that is used up leaves a
healthy server. What was played is appended to PLAN.played.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
from pathlib import Path

POLL_S = 0.01


def take(plan: Path) -> list[str]:
    """The words of the line to play now. Raises SystemExit while the server is gone."""
    with plan.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lines = file.read().splitlines()
        words = lines.pop(0).split() if lines else []
        if words[:1] != ["back-at"]:
            with plan.with_suffix(".played").open("a") as played:
                played.write(" ".join(words) + "\n")
        if words[:1] == ["gone"]:
            words = ["back-at", str(time.time() + float(words[1]))]
        if words[:1] == ["back-at"]:
            gone = time.time() < float(words[1])
            lines = [" ".join(words), *lines] if gone else lines
        else:
            gone = False
        file.seek(0)
        file.truncate()
        file.write("".join(line + "\n" for line in lines))
    if gone:
        raise SystemExit("the server is gone")
    return take(plan) if words[:1] == ["back-at"] else words


def squat(port: int, seconds: float) -> None:
    """In a process of its own, which outlives the server by that time: take the port as soon as it is free."""
    server = os.getpid()
    if os.fork():
        return
    os.setsid()
    while _runs(server):
        time.sleep(POLL_S)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with socket.create_server(("127.0.0.1", port)):
                time.sleep(max(end - time.monotonic(), 0.0))
        except OSError:
            time.sleep(POLL_S)
    os._exit(0)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def main() -> None:
    """Play one line, then be the stand-in."""
    plan, flags = Path(sys.argv[1]), sys.argv[2:]
    words = take(plan)
    if words[:1] == ["port"]:
        port = next(int(flag.partition("=")[2]) for flag in flags if flag.startswith("-carla-rpc-port="))
        squat(port, float(words[1]))
        words = words[2:]
    os.execv(sys.executable, [sys.executable, "-m", "td3sweep.standin", *flags, *words])


if __name__ == "__main__":
    main()
