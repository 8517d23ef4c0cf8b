"""The start-up scripts for CARLA with stand-ins that note their arguments, and one with the stand-in server itself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bare_drive import bare

from td3sweep.envs.carla.env import CarlaDriveEnv
from td3sweep.envs.carla.ports import block_at
from td3sweep.envs.carla.server import check_command
from td3sweep.errors import UserError

SCRIPTS = Path(__file__).parents[2] / "launchers/carla"
FLAGS = "-carla-rpc-port={port} -RenderOffScreen -nosound -quality-level=Low -graphicsadapter={gpu}"
NOTE = '#!/bin/bash\necho "$(basename "$0") $*"\n'
# As CarlaUE4.sh: a shell whose child is the server. This child writes its id and heeds only SIGTERM.
SERVER = '#!/bin/bash\necho "$*"\nsleep 1000 &\necho "child=$!"\nwait\n'
STUBBORN = '#!/bin/bash\ntrap "" TERM\necho "child=$$"\nwhile :; do sleep 0.1; done\n'


def program(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def noted(tmp_path):
    """Run a script with `docker`, `apptainer` and `CarlaUE4.sh` that only say how they were called."""
    for name in ("docker", "apptainer", "CarlaUE4.sh"):
        program(tmp_path / name, NOTE)

    def run(script, *arguments, **environment):
        path = f"{tmp_path}:{os.environ['PATH']}"
        return subprocess.run(
            [SCRIPTS / script, *map(str, arguments)],
            env={**os.environ, "PATH": path, **environment}, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.name)
def test_every_script_parses_and_may_be_run(script):
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("script", ["server.sh", "apptainer.sh", "per_gpu.sh"])
def test_without_arguments_it_says_its_usage(noted, script):
    done = noted(script)
    assert done.returncode != 0
    assert f"usage: {script}" in done.stderr


DOCKER = "docker run --rm --init --network host --gpus all --env NVIDIA_DRIVER_CAPABILITIES=all {} ./CarlaUE4.sh "
APPTAINER = "apptainer exec --nv --cleanenv --pwd {} carla.sif ./CarlaUE4.sh "


@pytest.mark.parametrize(
    ("script", "arguments", "environment", "called"),
    [
        ("server.sh", ["CarlaUE4.sh"], {}, "CarlaUE4.sh " + FLAGS.format(port=2000, gpu=0)),
        ("server.sh", ["CarlaUE4.sh", 3000, 2], {}, "CarlaUE4.sh " + FLAGS.format(port=3000, gpu=2)),
        ("docker.sh", [], {}, DOCKER.format("carlasim/carla:0.9.16") + FLAGS.format(port=2000, gpu=0)),
        ("docker.sh", [3000, 2], {"IMAGE": "mine"}, DOCKER.format("mine") + FLAGS.format(port=3000, gpu=2)),
        ("apptainer.sh", ["carla.sif"], {}, APPTAINER.format("/workspace") + FLAGS.format(port=2000, gpu=0)),
        (
            "apptainer.sh",
            ["carla.sif", 3000, 2],
            {"HOME_IN_IMAGE": "/home/carla"},
            APPTAINER.format("/home/carla") + FLAGS.format(port=3000, gpu=2),
        ),
    ],
)
def test_one_server(noted, script, arguments, environment, called):
    done = noted(script, *arguments, **environment)
    assert (done.returncode, done.stdout) == (0, called + "\n"), done.stderr


def test_the_docker_script_keeps_to_what_the_trainer_demands_of_a_container(noted, tmp_path, monkeypatch):
    words = noted("docker.sh").stdout.split()
    monkeypatch.setenv("PATH", str(tmp_path))
    check_command(words)


def test_a_block_of_ports_and_an_adapter_for_every_gpu(noted, tmp_path):
    done = noted("per_gpu.sh", "0,2,3", SCRIPTS / "server.sh", "CarlaUE4.sh", FIRST_PORT="3000")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"GPU {gpu}: port {port}, output in carla-{port}.log" for gpu, port in ((0, 3000), (2, 3004), (3, 3008))
    ]
    for gpu, port in ((0, 3000), (2, 3004), (3, 3008)):
        assert (tmp_path / f"carla-{port}.log").read_text() == f"CarlaUE4.sh {FLAGS.format(port=port, gpu=gpu)}\n"


def test_a_server_that_ends_is_told(noted, tmp_path):
    program(tmp_path / "CarlaUE4.sh", "#!/bin/bash\nexit 7\n")
    done = noted("per_gpu.sh", "0", SCRIPTS / "server.sh", "CarlaUE4.sh")
    assert done.stderr == "the server on port 2000 ended with exit code 7: see carla-2000.log\n"


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_its_end_is_the_end_of_every_server_and_their_children(tmp_path, number):
    server = program(tmp_path / "CarlaUE4.sh", SERVER)
    listens = ["env", "--default-signal=INT"]  # a background job, as the tests may be one, ignores it
    script = subprocess.Popen([*listens, SCRIPTS / "per_gpu.sh", "0,1", SCRIPTS / "server.sh", server], cwd=tmp_path)
    logs = [tmp_path / f"carla-{port}.log" for port in (2000, 2004)]
    until(lambda: all(log.exists() and "child=" in log.read_text() for log in logs))
    children = [int(log.read_text().rpartition("child=")[2]) for log in logs]
    assert all(map(alive, children))
    script.send_signal(number)
    assert script.wait(10) == 128 + number
    assert not any(map(alive, children))


@pytest.mark.slow
def test_a_server_that_ignores_sigterm_is_killed(tmp_path):
    server = program(tmp_path / "CarlaUE4.sh", STUBBORN)
    script = subprocess.Popen([SCRIPTS / "per_gpu.sh", "0", SCRIPTS / "server.sh", server], cwd=tmp_path)
    log = tmp_path / "carla-2000.log"
    until(lambda: log.exists() and "child=" in log.read_text())
    child = int(log.read_text().rpartition("child=")[2])
    script.terminate()
    assert script.wait(30) == 143
    assert not alive(child)


def two_blocks():
    """Two free blocks of ports side by side, held until they are released."""
    for first in range(25_000, 30_000, 8):
        try:
            return [block_at(first, 0.0), block_at(first + 4, 0.0)]
        except UserError:
            continue
    raise AssertionError("no free ports")


def test_what_it_starts_can_be_driven(tmp_path):
    """With the stand-in in CARLA's place: two servers, each by `env.server=connect` on its own port."""
    pytest.importorskip("carla")
    blocks = two_blocks()
    first = blocks[0].first
    standin = program(tmp_path / "CarlaUE4.sh", f'#!/bin/bash\nexec {sys.executable} -m td3sweep.standin "$@"\n')
    script = subprocess.Popen(
        [SCRIPTS / "per_gpu.sh", "0,1", SCRIPTS / "server.sh", standin],
        cwd=tmp_path, env={**os.environ, "FIRST_PORT": str(first)},
    )  # fmt: skip
    try:
        for port in (first, first + 4):
            with CarlaDriveEnv(bare(server="connect", port=port)) as env:
                env.reset(seed=0)
                assert env.server_version.startswith("0.9.16")
    finally:
        script.terminate()
        assert script.wait(20) == 143
        for block in blocks:
            block.release()
