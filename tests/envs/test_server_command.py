"""Servers from a command line of the user's, containers above all: started with flags, ended with all they began."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bare_drive import bare

from td3sweep.envs.carla.env import CarlaDriveEnv
from td3sweep.envs.carla.server import GRACE_S, Server
from td3sweep.errors import SimulatorError, UserError

pytest.importorskip("carla")
STANDIN = [sys.executable, "-m", "td3sweep.standin"]

# As docker does: the container runs elsewhere, and the client in the foreground passes SIGTERM on to it.
DOCKER = """#!{python}
import signal, subprocess, sys
box = subprocess.Popen(["sleep", "1000"], start_new_session=True)
print("client=%d box=%d args=%s" % (__import__("os").getpid(), box.pid, " ".join(sys.argv[1:])), flush=True)
signal.signal(signal.SIGTERM, lambda *_: box.terminate())
sys.exit(box.wait())
"""


@pytest.fixture
def docker(tmp_path):
    path = tmp_path / "docker"
    path.write_text(DOCKER.format(python=sys.executable))
    path.chmod(0o755)
    return [str(path), "run", "--rm", "--init", "carlasim/carla:0.9.16", "./CarlaUE4.sh"]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def pids(log):
    wait_until(lambda: log.exists() and "box=" in log.read_text())
    return [int(pid) for pid in re.findall(r"(?:client|box)=(\d+)", log.read_text())]


def test_any_command_that_serves_is_driven():
    with CarlaDriveEnv(bare(server="command", command=STANDIN)) as env:
        env.reset(seed=0)
        assert env.server_version == "0.9.16"
        pid = env._server._process.pid
    assert not alive(pid)


def test_the_flags_of_carla_come_last_and_the_gpu_is_said_twice(docker, tmp_path):
    server = Server("command", command=docker, gpu=3, flags=["-fps=20"], log_dir=str(tmp_path))
    server.start()
    assert server._environment()["CUDA_VISIBLE_DEVICES"] == "3"
    pids(log := tmp_path / "server.log")
    wanted = f"./CarlaUE4.sh -carla-rpc-port={server.port} -RenderOffScreen -nosound -quality-level=Low"
    assert f"{wanted} -graphicsadapter=3 -fps=20\n" in log.read_text()
    server.stop()


def test_a_container_ends_with_its_server(docker, tmp_path):
    server = Server("command", command=docker, log_dir=str(tmp_path))
    server.start()
    found = pids(tmp_path / "server.log")
    assert len(found) == 2
    assert all(alive(pid) for pid in found)
    begin = time.monotonic()
    server.stop()
    assert time.monotonic() - begin < 3.0  # by the signal, not by the grace's end
    assert not any(alive(pid) for pid in found)


def test_a_container_ends_when_its_trainer_is_killed(docker, tmp_path):
    code = (
        "import sys, time\nfrom td3sweep.envs.carla.server import Server\n"
        f"Server('command', command={docker!r}, log_dir={str(tmp_path)!r}).start()\ntime.sleep(1000)\n"
    )
    trainer = subprocess.Popen([sys.executable, "-c", code])
    found = pids(tmp_path / "server.log")
    trainer.kill()
    trainer.wait()
    wait_until(lambda: not any(alive(pid) for pid in found))


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ([], "needs a command line"),
        (["/nowhere/carla"], "no program /nowhere/carla here"),
        (["docker", "run", "--init", "image"], "add --rm after `run`"),
        (["docker", "run", "--rm", "image"], "add --init after `run`"),
        (["docker", "run", "--rm", "--init", "-d", "image"], "drop --detach"),
    ],
)
def test_commands_that_could_not_be_ended_are_refused(docker, monkeypatch, command, complaint):
    monkeypatch.setenv("PATH", str(Path(docker[0]).parent))
    with pytest.raises(UserError, match=rf"^env\.command.*{complaint}"):
        Server("command", command=command)


def test_grace_is_longer_than_docker_takes_to_stop_a_container():
    assert GRACE_S["command"] > 10.0


def test_a_command_that_ends_at_once_is_a_fault_with_its_log():
    server = Server("command", command=[sys.executable, "-c", "raise SystemExit('no such image')"])
    server.start()
    with pytest.raises(SimulatorError, match=r"command server is gone: exit code 1; .*no such image") as caught:
        server.wait_ready(20.0)
    assert caught.value.kind == "start"
    server.stop()


def test_a_server_that_a_signal_ended_is_told_as_a_shell_tells_it(tmp_path):
    command = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    server = Server("command", command=command)
    server.start()
    with pytest.raises(SimulatorError, match=f"exit code {128 + signal.SIGKILL}"):
        server.wait_ready(20.0)
    server.stop()


@pytest.mark.parametrize("version", ["0.10.0", "0.9.15"])
def test_a_running_server_of_another_version_is_refused_by_name(version):
    code = (
        f"import sys, td3sweep.standin.rpc as rpc\nrpc.VERSION = {version!r}\n"
        "from td3sweep.standin.__main__ import main\nsys.exit(main(sys.argv[1:]))"
    )
    server = Server("command", command=[sys.executable, "-c", code])
    server.start()
    try:
        with pytest.raises(UserError, match=rf"the server is CARLA {re.escape(version)}"):
            server.wait_ready(20.0)
    finally:
        server.stop()
