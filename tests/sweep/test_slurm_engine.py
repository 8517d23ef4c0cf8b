"""Trials on a real Slurm without accounting, and the ways in which they end."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from jobs import lines, wait

from td3sweep.config.presets import config_directory
from td3sweep.errors import SimulatorError, UserError
from td3sweep.sweep.engines import Job
from td3sweep.sweep.engines.slurm import SlurmEngine

pytest.importorskip("submitit")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]
# Saves on either signal, as a trial does, and has a child of its own that any signal ends.
PATIENT = """\
import os, signal, subprocess, sys, time
def leave(number, _):
    time.sleep(0.5)
    print("saved after", signal.Signals(number).name, "child", other.poll(), flush=True)
    other.kill()
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGUSR2, leave)
other = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
print(os.getpid(), flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def engine_of(slurm, tmp_path):
    """Engines on one sweep directory, with the shipped values."""
    shipped = yaml.safe_load((Path(config_directory()) / "hydra/launcher/slurm.yaml").read_text())
    values = {name: value for name, value in shipped.items() if not name.startswith("_")}
    values.update(cpus_per_task=1, timeout_min=5)
    engines = []

    def build(**changed):
        engines.append(SlurmEngine(directory=tmp_path / "sweep", width=2, **{**values, **changed}))
        return engines[-1]

    yield build
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(engine_of):
    return engine_of()


@pytest.fixture
def job(tmp_path):
    def build(*command, log="log"):
        return Job("trial-3", command, tmp_path / log, 0)

    return build


@pytest.fixture
def patient(job):
    return job(sys.executable, "-c", PATIENT)


def dead(pid, seconds=20.0):
    deadline = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_exit_codes_log_and_threads(engine_of, slurm, job, tmp_path):
    engine = engine_of(cpus_per_task=2)
    (tmp_path / "log").write_text("before\n")
    failed = engine.submit(job("sh", "-c", "echo $OMP_NUM_THREADS:$CUDA_VISIBLE_DEVICES; exit 7"))
    fine = engine.submit(job("true", log="fine"))
    assert engine.ended(failed) is None
    assert slurm.ask("squeue", "--noheader", "--format=%j %C", f"--jobs={fine}") == "trial-3 2"
    assert wait(engine, failed) == "exit code 7"
    assert wait(engine, fine) == "exit code 0"
    assert (tmp_path / "log").read_text() == "before\n2:\n"
    assert (slurm.state(failed), slurm.state(fine)) == ("FAILED", "COMPLETED")


def test_two_jobs_two_gpus(engine_of, job, tmp_path):
    engine = engine_of(gpus_per_node=1)
    show = ("sh", "-c", "echo $CUDA_VISIBLE_DEVICES; sleep 3")
    ids = [engine.submit(job(*show, log=f"log{n}")) for n in range(2)]
    assert {lines(tmp_path / f"log{n}", 1)[0] for n in range(2)} == {"0", "1"}
    assert [wait(engine, job_id) for job_id in ids] == ["exit code 0"] * 2


def test_a_killed_command_is_noticed(engine, slurm, patient, tmp_path):
    job_id = engine.submit(patient)
    pid = lines(tmp_path / "log", 1)[0]
    started = time.monotonic()
    subprocess.run(["kill", "-9", pid], check=True)
    assert wait(engine, job_id) == "ended by SIGKILL"
    assert time.monotonic() - started < 10


def test_a_killed_job_is_noticed_and_takes_its_command_along(engine, slurm, patient, tmp_path):
    job_id = engine.submit(patient)
    pid = lines(tmp_path / "log", 1)[0]
    started = time.monotonic()
    assert slurm.ask("scancel", "--batch", "--signal=KILL", job_id) is not None
    assert wait(engine, job_id) == "FAILED"
    assert time.monotonic() - started < 10
    assert dead(pid)


def test_a_cancelled_job_saves(engine, slurm, patient, tmp_path):
    """Plain scancel signals every process, so what the trial itself started may die before it has saved."""
    job_id = engine.submit(patient)
    pid = lines(tmp_path / "log", 1)[0]
    assert slurm.ask("scancel", job_id) is not None
    assert wait(engine, job_id) in ("exit code 143", "CANCELLED")
    assert "saved after SIGTERM" in lines(tmp_path / "log", 2)[1]
    assert dead(pid)


def test_warned_jobs_save_and_go_on_under_the_same_id(engine_of, slurm, patient, tmp_path):
    engine = engine_of()
    job_id = engine.submit(patient)
    lines(tmp_path / "log", 1)
    for attempt in (1, 2):
        assert slurm.ask("scancel", "--batch", "--signal=USR2", job_id) is not None
        deadline = time.monotonic() + 60
        while len(lines(tmp_path / "log", 1)) < 1 + 2 * attempt:
            assert engine.ended(job_id) is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
    # Another controller finds the job, and stops it for good.
    another = engine_of()
    assert another.ended(job_id) is None
    another.stop(job_id)
    assert wait(another, job_id) == "exit code 143"
    saved = lines(tmp_path / "log", 6)[1::2]
    assert saved == ["saved after SIGUSR2 child None"] * 2 + ["saved after SIGTERM child None"]
    time.sleep(8)  # longer than a requeued job is held here
    assert slurm.state(job_id) == "FAILED"
    assert len(lines(tmp_path / "log", 6)) == 6


@pytest.mark.timeout(300)
def test_time_limit(engine_of, slurm, patient, tmp_path):
    """Slurm itself warns before the limit of a minute; at most once more, as asked."""
    engine = engine_of(timeout_min=1, signal_delay_s=50, max_num_timeout=0)
    job_id = engine.submit(patient)
    assert wait(engine, job_id, 120) == "exit code 140"
    assert lines(tmp_path / "log", 2)[1] == "saved after SIGUSR2 child None"


def test_a_job_that_waits_is_taken_out_of_the_queue(engine_of, slurm, job, tmp_path):
    engine = engine_of(cpus_per_task=8)
    first = engine.submit(job("sh", "-c", "echo; sleep 600", log="first"))
    lines(tmp_path / "first", 1)
    second = engine.submit(job("touch", str(tmp_path / "ran")))
    assert slurm.state(second) == "PENDING"
    engine.stop(second)
    assert wait(engine, second) == "CANCELLED"
    engine.stop(first)  # a command that does not save ends by the signal
    assert wait(engine, first) == "ended by SIGTERM"
    assert not (tmp_path / "ran").exists()


def test_slurmctld_away(engine, slurm, patient, job, tmp_path):
    """Nothing is known while it is away, and nothing was lost."""
    job_id = engine.submit(patient)
    short = engine.submit(job("sh", "-c", "sleep 12; exit 5", log="short"))
    lines(tmp_path / "log", 1)
    assert engine.ended(job_id) is None
    slurm.wait_until_saved()
    slurm.kill_controller()
    try:
        time.sleep(2.5)
        started = time.monotonic()
        assert engine.ended(job_id) is None
        assert time.monotonic() - started < 15
        assert engine.ended(short) is None
        with pytest.raises(SimulatorError, match="takes no job just now"):
            engine.submit(job("true"))
        started = time.monotonic()
        engine.stop("999999")
        assert time.monotonic() - started < 2
    finally:
        slurm.start_controller()
    assert wait(engine, short) == "exit code 5"
    assert engine.ended(job_id) is None
    engine.stop(job_id)
    assert wait(engine, job_id) == "exit code 143"


def test_refusals(engine_of, job, monkeypatch):
    with pytest.raises(UserError, match=r"sbatch refuses the job: .*invalid partition"):
        engine_of(partition="nowhere").submit(job("true"))
    with pytest.raises(UserError, match=r"hydra.launcher.timeout_min=0: give a whole number from 1"):
        engine_of(timeout_min=0)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        with pytest.raises(UserError, match="sbatch, squeue, scancel, scontrol not found"):
            engine_of()
