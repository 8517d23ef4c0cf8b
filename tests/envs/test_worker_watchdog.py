"""A client library that holds Python's lock for ever, in a worker whose trainer is gone: the watchdog ends it."""

import os
import subprocess
import sys
import time
from multiprocessing.connection import Pipe

import pytest

pytest.importorskip("carla")

STUCK = """
import ctypes, sys
from multiprocessing.connection import Connection
from td3sweep.envs.carla import isolated

class Stuck:
    time_limits = (0.1, 0.1)
    server_version = ""
    def __init__(self, config): pass
    def start(self, again): pass
    def close(self): pass
    def reset(self, **_): ctypes.PyDLL(None).sleep(1000)  # with the lock: no thread of Python's runs

isolated.CarlaDriveEnv = Stuck
isolated.WATCHDOG_S = 1.0
isolated.serve(Connection(int(sys.argv[1])))
"""


def test_a_stuck_worker_ends_itself():
    ours, theirs = Pipe()
    worker = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stderr=subprocess.PIPE,
        text=True,
    )
    theirs.close()
    ours.send((None, False))
    ours.send(("reset", (0, None)))
    begin = time.monotonic()
    ours.close()  # as when the trainer is killed
    _, said = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert "Timeout" in said
    assert "in reset" in said
    assert time.monotonic() - begin < 50.0
    assert not os.path.exists(f"/proc/{worker.pid}")
