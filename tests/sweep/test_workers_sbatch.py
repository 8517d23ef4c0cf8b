"""Detached workers as an array of real Slurm jobs: the script with a stand-in for `python`, and a real sweep."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import QUICK
from jobs import lines

from td3sweep.sweep import frame

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]
SCRIPT = Path(__file__).parents[2] / "launchers/slurm/workers.sbatch"
# Notes its arguments; saves on a signal; the second attempt of a worker finishes.
STAND_IN = """\
#!/bin/bash
echo "$*" >>log-$SLURM_ARRAY_TASK_ID
trap 'sleep 0.5; echo saved USR2 >>log-$SLURM_ARRAY_TASK_ID; exit 140' USR2
trap 'sleep 0.5; echo saved TERM >>log-$SLURM_ARRAY_TASK_ID; exit 143' TERM
[ "$(grep -c multirun log-$SLURM_ARRAY_TASK_ID)" = 2 ] && exit 5
while :; do sleep 0.1; done
"""


@pytest.fixture
def sbatch(slurm, tmp_path):
    """Submit the script with a stand-in for Python; returns what sbatch says."""
    python = tmp_path / "python"
    python.write_text(STAND_IN)
    python.chmod(0o755)

    def submit(*options):
        return subprocess.run(
            ["sbatch", "--parsable", "--cpus-per-task=2", f"--chdir={tmp_path}", *options],
            env={**os.environ, "PYTHON": str(python)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    return submit


def test_an_array_of_workers(slurm, sbatch, tmp_path):
    array = sbatch("--array=1-2", SCRIPT, "space=small", "sweep.trials=9", "hydra.sweep.dir=/a b/c")
    command = (
        "-m td3sweep --multirun hydra.launcher.threads=2 space=small sweep.trials=9 hydra.sweep.dir=/a b/c "
        "sweep.width=1 hydra/launcher=local"
    )
    assert lines(tmp_path / "log-1", 1) == lines(tmp_path / "log-2", 1) == [command]
    # Time is nearly up for the first: it saves, is requeued under its id, and ends with its command's code.
    assert slurm.ask("scancel", "--batch", "--signal=USR2", f"{array}_1") is not None
    assert lines(tmp_path / "log-1", 3) == [command, "saved USR2", command]
    # The second is told to leave: it saves, and does not come back.
    assert slurm.ask("scancel", "--batch", "--signal=TERM", f"{array}_2") is not None
    assert lines(tmp_path / "log-2", 2) == [command, "saved TERM"]
    time.sleep(8)  # longer than a requeued job is held here
    ends = slurm.ask("squeue", "--noheader", "--states=all", "--Format=ArrayTaskID,State,exit_code", f"--jobs={array}")
    # A process's status: the exit code in the second byte.
    wanted = [["1", "FAILED", str(5 << 8)], ["2", "FAILED", str(143 << 8)]]
    assert sorted(line.split() for line in ends.splitlines()) == wanted


def test_one_server_for_all_workers_is_refused(slurm, sbatch, tmp_path):
    job = sbatch("--output=out", SCRIPT, "hydra.sweep.dir=/a", "env.server=connect", "env.port=2000")
    assert "env.server=connect: every worker would drive the one server" in lines(tmp_path / "out", 1)[0]
    assert not (tmp_path / f"log-{job}").exists()


def test_a_worker_that_was_granted_no_gpu_sees_none(slurm, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/bash\necho \"gpus='$CUDA_VISIBLE_DEVICES' ${CUDA_VISIBLE_DEVICES+set}\"\n")
    python.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    command = ["sbatch", "--parsable", "--output=out", f"--chdir={tmp_path}", SCRIPT, "hydra.sweep.dir=/a"]
    subprocess.run(command, env={**environment, "PYTHON": str(python)}, check=True, capture_output=True)
    assert lines(tmp_path / "out", 1) == ["gpus='' set"]


def test_a_directory_must_be_named(slurm, sbatch, tmp_path):
    job = sbatch("--output=out", SCRIPT, "space=small")
    assert lines(tmp_path / "out", 1) == [
        "workers.sbatch: name the directory that all workers share: hydra.sweep.dir=DIR"
    ]
    assert not (tmp_path / f"log-{job}").exists()


def test_a_real_sweep_without_a_controller(slurm, tmp_path):
    sweep = tmp_path / "sweep"
    search = ["hyperparams.gamma=interval(0.9,0.99)", "sweep.trials=4", "sweep.enqueue=[]"]
    task = [*QUICK, "steps=120", "eval_every=20", "save_every=20", f"hydra.sweep.dir={sweep}"]
    array = subprocess.run(
        ["sbatch", "--parsable", "--array=1-2", f"--chdir={tmp_path}", SCRIPT, *task, *search],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()

    def until(true, seconds):
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, "".join(path.read_text() for path in tmp_path.glob("td3sweep-*.log"))
            time.sleep(0.2)

    # Time is nearly up for the first while its trial runs: it saves, is requeued under its id and goes on.
    until(lambda: any(sweep.glob("*/seed-0/checkpoints/*.pt")), 90)
    assert slurm.ask("scancel", "--batch", "--signal=USR2", f"{array}_1") is not None
    ends = ["squeue", "--noheader", "--states=all", "--Format=ArrayTaskID,State,RestartCnt", f"--jobs={array}"]
    done = [["1", "COMPLETED", "1"], ["2", "COMPLETED", "0"]]
    until(lambda: sorted(line.split() for line in (slurm.ask(*ends) or "").splitlines()) == done, 180)

    rows = frame(sweep)
    assert len(rows) == rows["first"].nunique() == 4
    assert set(rows["state"]) == {"COMPLETE"}
    for first in rows["first"]:
        last = json.loads((sweep / f"{first}/seed-0/metrics.jsonl").read_text().splitlines()[-1])
        assert last["env_step"] == 120
