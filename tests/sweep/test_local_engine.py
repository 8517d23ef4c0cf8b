"""Trials on this machine: logs appended, GPUs and cores shared out, ends told, none outlives its controller."""

import os
import subprocess
import sys
import time

import pytest

from td3sweep.sweep.engines import Job
from td3sweep.sweep.engines import local as module
from td3sweep.sweep.engines.local import LocalEngine


@pytest.fixture
def engine(tmp_path):
    engine = LocalEngine(tmp_path, 2, gpus=[4, 6])
    yield engine
    engine.close()


def job(tmp_path, code, slot=0):
    return Job("toy-0", [sys.executable, "-c", code], tmp_path / "0" / "worker.log", slot)


def wait(engine, job_id, seconds=20.0):
    deadline = time.monotonic() + seconds
    while (how := engine.ended(job_id)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return how


def test_output_is_appended_and_the_end_is_told(tmp_path, engine):
    assert wait(engine, engine.submit(job(tmp_path, "print('one')"))) == "exit code 0"
    assert wait(engine, engine.submit(job(tmp_path, "import sys; sys.exit('two')"))) == "exit code 1"
    assert (tmp_path / "0" / "worker.log").read_text() == "one\ntwo\n"
    assert engine.ended("1") == "gone"


def test_a_slot_has_its_gpu_and_its_share_of_the_cores(tmp_path, engine):
    code = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['OMP_NUM_THREADS'])"
    for slot in range(3):
        wait(engine, engine.submit(job(tmp_path, code, slot)))
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    assert (tmp_path / "0" / "worker.log").read_text() == f"4 {share}\n6 {share}\n4 {share}\n"


def test_an_empty_list_of_gpus_is_none_of_them(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    engine = LocalEngine(tmp_path, 1, gpus=[])
    wait(engine, engine.submit(job(tmp_path, "import os; print(repr(os.environ['CUDA_VISIBLE_DEVICES']))")))
    assert (tmp_path / "0" / "worker.log").read_text() == "''\n"


def test_a_killed_trial_is_told_by_its_signal(tmp_path, engine):
    job_id = engine.submit(job(tmp_path, "import time; time.sleep(60)"))
    os.kill(int(job_id), 9)
    assert wait(engine, job_id) == "ended by SIGKILL"


PATIENT = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('saved'), sys.exit(143))); "
    "print('ready', flush=True); time.sleep(60)"
)


def ready(tmp_path):
    log = tmp_path / "0" / "worker.log"
    while not log.exists() or "ready" not in log.read_text():
        time.sleep(0.01)


def test_stop_lets_it_save(tmp_path, engine):
    job_id = engine.submit(job(tmp_path, PATIENT))
    ready(tmp_path)
    engine.stop(job_id)
    assert wait(engine, job_id) == "exit code 143"
    assert (tmp_path / "0" / "worker.log").read_text() == "ready\nsaved\n"


def test_a_time_limit_lets_it_save_too(tmp_path):
    engine = LocalEngine(tmp_path, 1, timeout_min=1 / 60)
    job_id = engine.submit(job(tmp_path, PATIENT))
    ready(tmp_path)
    assert wait(engine, job_id) == "its 0.0166667 minutes were over"
    assert "saved" in (tmp_path / "0" / "worker.log").read_text()


def test_who_does_not_leave_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "POLITE_S", 0.2)
    engine = LocalEngine(tmp_path, 1)
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    job_id = engine.submit(job(tmp_path, stubborn))
    ready(tmp_path)
    engine.stop(job_id)
    assert wait(engine, job_id) == "ended by SIGKILL"


def test_trials_die_with_a_killed_controller(tmp_path):
    code = f"""
from pathlib import Path
from td3sweep.sweep.engines import Job
from td3sweep.sweep.engines.local import LocalEngine
import sys
engine = LocalEngine(Path({str(tmp_path)!r}), 1)
command = [sys.executable, "-c", "import time; time.sleep(60)"]
print(engine.submit(Job("x", command, Path({str(tmp_path)!r}) / "log", 0)))
sys.stdout.flush()
sys.stdin.read()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    controller = subprocess.Popen([sys.executable, "-c", code], **pipes, text=True)
    trial = int(controller.stdout.readline())
    assert os.path.exists(f"/proc/{trial}")
    controller.kill()
    controller.wait()
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{trial}"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_gpus_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert module.visible_gpus() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert module.visible_gpus() == []
