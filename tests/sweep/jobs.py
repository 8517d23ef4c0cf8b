"""Waiting for what an engine runs."""

import time


def wait(engine, job_id, seconds=60.0):
    deadline = time.monotonic() + seconds
    while (end := engine.ended(job_id)) is None:
        assert time.monotonic() < deadline, "still there"
        time.sleep(0.05)
    return end


def lines(path, count, seconds=60.0):
    """The lines of a log, once there are as many."""
    deadline = time.monotonic() + seconds
    while True:
        found = path.read_text().splitlines() if path.exists() else []
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
