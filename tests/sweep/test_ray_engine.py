"""Trials on a real Ray, started by the engine or already there."""

import os
import signal
import subprocess
import sys
import time

import pytest
from jobs import lines, wait

from td3sweep.errors import UserError
from td3sweep.sweep.engines import Job
from td3sweep.sweep.engines.ray import RayEngine

os.environ["RAY_AUTH_MODE"] = "disabled"  # a token of the user's own is for clusters of his own
pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]
PLAIN = {"width": 2, "address": None, "num_cpus": 1, "num_gpus": 0, "init": {"num_cpus": 2}}
# Says its process id, saves on SIGTERM.
PATIENT = """\
import os, signal, sys, time
def leave(number, _):
    time.sleep(0.5)
    print("saved", flush=True)
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, leave)
print(os.getpid(), flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def engine_of():
    engines = []

    def build(directory, **values):
        engines.append(RayEngine(directory=directory, **{**PLAIN, **values}))
        return engines[-1]

    yield build
    for engine in engines:
        engine.close()


@pytest.fixture
def job(tmp_path):
    def build(*command, log="log"):
        return Job("trial", command, tmp_path / log, 0)

    return build


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


def dies(pid, seconds=20.0):
    deadline = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_own_ray(engine_of, job, tmp_path, capfd):
    engine = engine_of(tmp_path, init={"num_cpus": 2, "num_gpus": 1})
    # Exit codes in words; the log is appended to.
    (tmp_path / "log").write_text("before\n")
    failed = engine.submit(job("sh", "-c", "echo $OMP_NUM_THREADS:$CUDA_VISIBLE_DEVICES; exit 7"))
    assert wait(engine, failed) == "exit code 7"
    assert (tmp_path / "log").read_text() == "before\n1:\n"
    assert wait(engine, engine.submit(job("true"))) == "exit code 0"
    assert "such file" in (wait(engine, engine.submit(job("/no/such/program"))) and (tmp_path / "log").read_text())

    # Two at once; the third waits, is taken out of the queue, and never runs.
    running = [engine.submit(job(sys.executable, "-c", PATIENT, log=f"log{n}")) for n in range(3)]
    pids = [int(lines(tmp_path / f"log{n}", 1)[0]) for n in range(2)]
    engine.stop(running[2])
    assert engine.ended(running[2]) == "CANCELLED"
    assert engine.ended(running[0]) is None

    # A stopped one saves; another engine object knows the rest by their ids.
    engine.stop(running[0])
    assert wait(engine, running[0]) == "exit code 143"
    assert lines(tmp_path / "log0", 2)[1] == "saved"

    # A child killed outright is noticed at once, and its place is free again.
    started = time.monotonic()
    os.kill(pids[1], signal.SIGKILL)
    assert wait(engine, running[1]) == "ended by SIGKILL"
    assert time.monotonic() - started < 5
    assert not (tmp_path / "log2").exists()

    # Ray itself has said nothing until here; it reports the following.
    assert capfd.readouterr() == ("", "")

    # A worker killed outright takes its command along.
    lost = engine.submit(job("sh", "-c", "echo $$; echo $PPID; exec sleep 600", log="lost"))
    command, worker = (int(line) for line in lines(tmp_path / "lost", 2))
    os.kill(worker, signal.SIGKILL)
    assert wait(engine, lost) == "gone"
    assert dies(command)

    # Two halves of one GPU.
    engine._place["num_gpus"] = 0.5
    halves = [engine.submit(job("sh", "-c", "echo gpu $CUDA_VISIBLE_DEVICES; sleep 2", log=f"h{n}")) for n in range(2)]
    begun = time.monotonic()
    assert [wait(engine, half) for half in halves] == ["exit code 0"] * 2
    assert time.monotonic() - begun < 30
    assert [lines(tmp_path / f"h{n}", 1) for n in range(2)] == [["gpu 0"], ["gpu 0"]]

    assert engine.ended("trial-of-long-ago") == "gone"
    engine.stop("trial-of-long-ago")
    last = engine.submit(job(sys.executable, "-c", PATIENT, log="last"))
    pid = int(lines(tmp_path / "last", 1)[0])
    engine.close()
    assert dies(pid)

    # The next controller's own Ray knows nothing of it.
    again = engine_of(tmp_path)
    assert again.ended(last) == "gone"
    assert again.ended(failed) == "exit code 7"


def test_more_than_there_is(engine_of, tmp_path):
    with pytest.raises(UserError, match="num_cpus=3: this machine's Ray has 2 CPUs"):
        engine_of(tmp_path, num_cpus=3)


CONTROLLER = """\
import sys, time
from pathlib import Path
from td3sweep.sweep.engines import Job
from td3sweep.sweep.engines.ray import RayEngine
from td3sweep.sweep.engines.ray import RayEngine
address, directory = sys.argv[1] or None, Path(sys.argv[2])
engine = RayEngine(directory=directory, width=1, address=address, num_cpus=1, num_gpus=0, init={})
print(engine.submit(Job("trial", ["sh", "-c", "echo $$; trap 'exit 143' TERM; while :; do sleep 0.1; done"],
    directory / "log", 0)), flush=True)
time.sleep(600)
"""


def killed_controller(address, directory):
    """The job id and the process of a trial whose controller is killed outright once the trial runs."""
    command = [sys.executable, "-c", CONTROLLER, address, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as controller:
        job_id = controller.stdout.readline().strip()
        pid = int(lines(directory / "log", 1)[0])
        controller.kill()
    return job_id, pid


def test_killed_controller_takes_its_own_ray_along(tmp_path):
    _, pid = killed_controller("", tmp_path)
    assert dies(pid)


def test_attached_ray_outlives_the_controller(engine_of, tmp_path):
    """The cluster here is the local Ray of another process, ended by ending that process."""
    head = """\
import ray, sys
context = ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
print(context.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", head],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as cluster:
        address = cluster.stdout.readline().strip()
        job_id, pid = killed_controller(address, tmp_path)
        time.sleep(3)
        assert alive(pid)
        engine = engine_of(tmp_path, address=address, init={})
        assert engine.ended(job_id) is None
        engine.stop(job_id)
        assert wait(engine, job_id) == "exit code 143"
        engine.close()
        assert cluster.poll() is None
        cluster.stdin.close()
    with pytest.raises(UserError, match="no Ray there"):
        RayEngine(directory=tmp_path, **{**PLAIN, "address": address, "init": {}})
