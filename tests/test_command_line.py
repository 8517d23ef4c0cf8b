"""The door: one line and exit code 2 for what the user got wrong, 1 for what the machine or the simulator did."""

import os
import socket
import subprocess

import pytest
from command import QUICK, command


def refused(code, *arguments, **options):
    """The one line on stderr of a command that must end with ``code``."""
    found, _, err = command(*arguments, **options)
    assert found == code, err
    lines = [line for line in err.splitlines() if line.startswith("td3sweep: ")]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


def test_a_misspelt_key(tmp_path):
    line = refused(2, "hyperparams.gama=.9", f"hydra.run.dir={tmp_path}/run")
    assert line == "td3sweep: hyperparams.gama: unknown key; did you mean hyperparams.gamma?"
    assert not (tmp_path / "run").exists()


def test_a_value_out_of_range(tmp_path):
    wrong = "hyperparams.gamma=1.5"
    assert f"{wrong}: must lie between" in refused(2, wrong, f"hydra.run.dir={tmp_path}/run")
    assert not (tmp_path / "run").exists()  # an empty folder would be left by every slip
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").touch()
    refused(2, wrong, f"hydra.run.dir={tmp_path}/used")
    assert (tmp_path / "used" / "notes.txt").exists()


def test_a_group_set_to_null(tmp_path):
    assert "cannot be null" in refused(2, "wiring=null", f"hydra.run.dir={tmp_path}")


def test_resume_in_a_multirun(tmp_path):
    line = refused(2, "--multirun", "resume=last", *QUICK, f"hydra.sweep.dir={tmp_path}")
    assert "resume=last with --multirun" in line


@pytest.mark.parametrize("word", ["space=architecture", "sweep.plan=true"])
def test_search_settings_of_a_single_run(tmp_path, word):
    assert "add --multirun" in refused(2, word, *QUICK, f"hydra.run.dir={tmp_path}/run")
    assert not (tmp_path / "run").exists()


def test_an_experiment_that_brings_its_search_along_is_a_run_as_well(tmp_path):
    """The best command of such a sweep; what refuses this one comes after the search settings were read."""
    (tmp_path / "file").touch()
    line = refused(2, "experiment=ablation", "wiring=separate", *QUICK, f"hydra.run.dir={tmp_path}/file/run")
    assert line.startswith("td3sweep: hydra.run.dir: ")


@pytest.mark.slow
def test_a_port_that_is_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = min(taken.getsockname()[1], 65_532)
        line = refused(2, f"env.port={port}", *QUICK, f"hydra.run.dir={tmp_path}")
    assert f"env.port={port}" in line


def test_a_server_path_that_is_missing(tmp_path):
    line = refused(2, "env.server=launch", "env.path=/nowhere/CarlaUE4.sh", f"hydra.run.dir={tmp_path}")
    assert "env.path=/nowhere/CarlaUE4.sh" in line


def test_a_server_that_dies_at_start_shows_the_tail_of_its_log(tmp_path):
    line = refused(1, "env.flags=[-fault-die-at-start]", *QUICK, f"hydra.run.dir={tmp_path}")
    assert "last lines of its log: stand-in fault: died at start" in line


@pytest.mark.slow
@pytest.mark.parametrize("home", ["", None])
def test_home_unset(tmp_path, home, monkeypatch):
    monkeypatch.delenv("HOME")
    line = refused(2, *QUICK, f"hydra.run.dir={tmp_path}", env={} if home is None else {"HOME": home})
    assert "HOME is unset" in line


@pytest.mark.slow
def test_a_python_without_the_carla_wheel(tmp_path):
    (tmp_path / "carla.py").write_text("raise ModuleNotFoundError(\"No module named 'carla'\")")
    line = refused(2, *QUICK, f"hydra.run.dir={tmp_path}/run", env={"PYTHONPATH": str(tmp_path)})
    assert "needs the carla wheel" in line
    assert "env=gym" in line


def test_a_gymnasium_id_that_does_not_exist(tmp_path):
    assert "env.id=Nonsense-v0" in refused(2, "env=gym", "env.id=Nonsense-v0", f"hydra.run.dir={tmp_path}")


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    line = refused(2, f"hydra.run.dir={tmp_path}/file/run")
    assert "hydra.run.dir" in line
    assert "choose" in line


def test_no_permission_to_write():
    assert "hydra.run.dir" in refused(2, "hydra.run.dir=/sys/td3sweep")


def test_cuda_that_is_not_there(tmp_path):
    if os.path.exists("/dev/nvidia0"):
        pytest.skip("this machine has a CUDA device")
    assert "device=cuda" in refused(2, "device=cuda", *QUICK, f"hydra.run.dir={tmp_path}")


def test_help_lists_groups_keys_and_exit_codes():
    code, out, _ = command("--help")
    assert code == 0
    for text in ("cnn          nature | pooled", "hyperparams.gamma=0.99", "env.traffic=0", "Exit codes"):
        assert text in out


@pytest.mark.slow
def test_a_full_disk_ends_with_one_line_and_the_run_resumes(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=90m", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs may be mounted here: {mounted.stderr.decode().strip()}")
    try:
        arguments = [*QUICK, "save_every=30", f"hydra.run.dir={disk}/run"]
        line = refused(1, *arguments)
        assert "No space left on device" in line
        subprocess.run(["mount", "-o", "remount,size=900m", disk], check=True)
        code, out, err = command(*arguments)
        assert (code, "resumed at step" in out) == (0, True), err
    finally:
        subprocess.run(["umount", disk], check=True)
