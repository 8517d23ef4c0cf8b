"""Detached workers as an array of real Slurm jobs; a stand-in for `python` takes the command."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from jobs import lines

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]
SCRIPT = Path(__file__).parents[2] / "launchers/slurm/workers.sbatch"
# Notes its arguments; saves on a signal; the second attempt of a worker finishes.
STAND_IN = """\
#!/bin/bash
echo "$OMP_NUM_THREADS $*" >>log-$SLURM_ARRAY_TASK_ID
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
        "2 -m td3sweep --multirun space=small sweep.trials=9 hydra.sweep.dir=/a b/c sweep.width=1 hydra/launcher=local"
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


def test_a_directory_must_be_named(slurm, sbatch, tmp_path):
    job = sbatch("--output=out", SCRIPT, "space=small")
    assert lines(tmp_path / "out", 1) == [
        "workers.sbatch: name the directory that all workers share: hydra.sweep.dir=DIR"
    ]
    assert not (tmp_path / f"log-{job}").exists()
