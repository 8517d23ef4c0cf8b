"""Run a command that must not outlive its parent: `python guard.py PARENT_PID COMMAND ARGUMENT...`

CarlaUE4.sh is a shell script that starts the simulator as a child and knows nothing of the trainer; a server that
hangs or is stopped cannot know. When the trainer is killed outright, nobody would end it. This small process stands
between the two. It must lead a process group of its own (start it with `start_new_session=True`), because it ends that
whole group.

It runs as a script and imports the standard library only, so that it stays small beside a simulator.
"""

import os
import signal
import subprocess
import sys
import time

POLL_S = 0.05
GRACE_S = 15.0  # a container takes its time; a server that heeds no signal is killed after it


def main(parent: int, command: list[str]) -> int:
    """Run `command` until it ends or the parent does; return its exit code, 128 + N where signal N ended it."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # meant for the group: leave when the command has left
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while child.poll() is None:
        if os.getppid() != parent:
            os.killpg(0, signal.SIGTERM)
            os.killpg(0, signal.SIGCONT)  # a stopped process takes no SIGTERM
            deadline = time.monotonic() + GRACE_S
            while child.poll() is None and time.monotonic() < deadline:
                time.sleep(POLL_S)
            os.killpg(0, signal.SIGKILL)
        time.sleep(POLL_S)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode  # as a shell says it


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
