"""Server life cycle, with small scripts in the place of CarlaUE4.sh."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from td3sweep.envs.carla.client import check_versions, load_carla
from td3sweep.envs.carla.ports import BLOCK, block_at, free_block, taken_port
from td3sweep.envs.carla.server import GRACE_S, Server
from td3sweep.errors import SimulatorError, UserError

pytest.importorskip("carla")


def script(tmp_path, body):
    """An executable in the place of CarlaUE4.sh."""
    path = tmp_path / "CarlaUE4.sh"
    path.write_text("#!/bin/bash\n" + textwrap.dedent(body))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def alive(pid):
    """Whether the process runs; a zombie that nobody reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_ready_means_version_and_a_tick():
    server = Server("standin")
    server.start()
    begin = time.monotonic()
    try:
        client = server.wait_ready(30.0)
        assert client.get_server_version().startswith("0.9.16")
        assert client.get_world().get_snapshot().frame > 0
        assert time.monotonic() - begin < 10.0
    finally:
        server.stop()


def test_start_returns_at_once_and_stop_ends_the_process():
    server = Server("standin")
    begin = time.monotonic()
    server.start()
    assert time.monotonic() - begin < 0.5
    pid = server._process.pid
    server.stop()
    assert not alive(pid)
    assert taken_port(server.port) is None
    server.stop()  # twice is fine


def test_an_early_end_shows_the_end_of_the_log(tmp_path):
    path = script(tmp_path, "echo starting\necho 'no Vulkan device' >&2\nexit 7\n")
    server = Server("launch", path=path, log_dir=str(tmp_path / "logs"))
    server.start()
    with pytest.raises(SimulatorError, match=r"(?s)is gone: exit code 7; last lines .*no Vulkan device"):
        server.wait_ready(20.0)
    server.stop()
    assert "no Vulkan device" in (tmp_path / "logs" / "server.log").read_text()


def test_an_early_end_of_the_standin_too():
    server = Server("standin", flags=["-fault-die-at-start"])
    server.start()
    with pytest.raises(SimulatorError, match=r"(?s)standin server is gone: exit code \d+; last lines .+"):
        server.wait_ready(20.0)
    server.stop()


def test_an_open_port_is_not_readiness():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        server = Server("connect", port=mute.getsockname()[1])
        server.start()
        with pytest.raises(SimulatorError, match="was not ready after 2 s"):
            server.wait_ready(2.0)
        server.stop()


def test_nobody_listens():
    block = free_block()
    server = Server("connect", port=block.first)
    server.start()
    with pytest.raises(SimulatorError, match=rf"no connect server accepted a connection at 127\.0\.0\.1:{block.first}"):
        server.wait_ready(0.3)
    server.stop()
    block.release()


def test_paths_and_ports_are_checked_at_once(tmp_path):
    with pytest.raises(UserError, match=r"env\.path=/nowhere/CarlaUE4\.sh: no such file"):
        Server("launch", path="/nowhere/CarlaUE4.sh")
    plain = tmp_path / "CarlaUE4.sh"
    plain.write_text("")
    with pytest.raises(UserError, match="not executable"):
        Server("launch", path=str(plain))
    with pytest.raises(UserError, match=r"env\.path=null"):
        Server("launch")
    with pytest.raises(UserError, match=r"env\.port=null"):
        Server("connect")
    with pytest.raises(UserError, match=r"env\.port=80:"):
        Server("standin", port=80).start()


@pytest.mark.parametrize("offset", range(BLOCK))
def test_a_taken_port_is_named(offset):
    block = free_block()
    first = block.first
    block.release()
    with socket.create_server(("127.0.0.1", first + offset)):
        server = Server("standin", port=first)
        with pytest.raises(UserError, match=rf"env\.port={first}: port {first + offset} is in use"):
            server.start()
        assert not server.started


def test_an_asked_port_is_used_and_can_be_used_again():
    block = free_block()
    first = block.first
    block.release()
    server = Server("standin", port=first)
    ports = set()
    for _ in range(2):
        server.start()
        server.wait_ready(20.0)
        assert server.port == first
        ports.add(server.traffic_manager_port)
        server.stop()
    assert not ports & set(range(first, first + 3))


def test_a_port_taken_at_a_restart_may_be_left_again(monkeypatch):
    monkeypatch.setattr("td3sweep.envs.carla.server.PATIENCE_S", 0.2)
    block = free_block()
    first = block.first
    block.release()
    server = Server("standin", port=first)
    server.start()
    server.stop()
    with (
        socket.create_server(("127.0.0.1", first)),
        pytest.raises(SimulatorError, match=rf"port {first} is in") as found,
    ):
        server.start()
    assert found.value.kind == "port"
    server.start()
    server.wait_ready(20.0)
    server.stop()
    with pytest.raises(UserError, match=r"env\.port=80:"):
        Server("standin", port=80).start(again=True)


def test_blocks_are_disjoint_in_a_process_and_between_processes():
    code = (
        "import sys, td3sweep.envs.carla.ports as ports\n"
        "ports.os.getpid = lambda: 0\n"  # every process starts its search at the same place
        "blocks = [ports.free_block() for _ in range(20)]\n"
        "print(*(block.first for block in blocks), flush=True)\n"
        "sys.stdin.read()\n"
        "[block.release() for block in blocks]\n"
    )
    searchers = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    firsts = [int(first) for searcher in searchers for first in searcher.stdout.readline().split()]
    for searcher in searchers:
        searcher.communicate("")
    assert len(firsts) == 80 == len(set(firsts))
    assert all(first % BLOCK == 0 for first in firsts)


def test_a_block_is_free_again_when_its_process_is_killed():
    code = "import sys; from td3sweep.envs.carla.ports import free_block; block = free_block()\n"
    code += "print(block.first, flush=True)\nsys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    first = int(holder.stdout.readline())
    with pytest.raises(UserError, match="in use"):
        block_at(first)
    holder.kill()
    holder.communicate()
    block_at(first).release()


def test_launch_passes_port_and_flags_and_ends_the_whole_group(tmp_path):
    path = script(tmp_path, 'sleep 1000 &\necho "sleep=$! args=$*"\nwait\n')
    server = Server("launch", path=path, flags=["-graphicsadapter=1"], log_dir=str(tmp_path))
    server.start()
    log = tmp_path / "server.log"
    wait_until(lambda: "sleep=" in log.read_text())
    assert f"-carla-rpc-port={server.port} -RenderOffScreen" in log.read_text()
    assert "-graphicsadapter=1" in log.read_text()
    sleep = int(re.search(r"sleep=(\d+)", log.read_text()).group(1))
    assert alive(sleep)
    server.stop()
    wait_until(lambda: not alive(sleep))


@pytest.mark.parametrize(
    ("devices", "flags"),
    [("2,3", ["-graphicsadapter=2"]), ("", []), ("GPU-7f1c", []), ("0", ["-graphicsadapter=0"])],
)
def test_launch_uses_the_gpu_that_the_job_was_given(tmp_path, monkeypatch, devices, flags):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    server = Server("launch", path=script(tmp_path, 'echo "args=$*"\nsleep 1000\n'), log_dir=str(tmp_path))
    server.start()
    wait_until(lambda: "args=" in (tmp_path / "server.log").read_text())
    server.stop()
    assert re.findall(r"-graphicsadapter=\S+", (tmp_path / "server.log").read_text()) == flags


def test_a_server_that_ignores_sigterm_is_killed(tmp_path, monkeypatch):
    monkeypatch.setitem(GRACE_S, "launch", 0.3)
    path = script(tmp_path, "trap '' TERM\necho deaf=$$\nwhile true; do sleep 0.1; done\n")
    server = Server("launch", path=path, log_dir=str(tmp_path))
    server.start()
    log = tmp_path / "server.log"
    wait_until(lambda: "deaf=" in log.read_text())
    deaf = int(re.search(r"deaf=(\d+)", log.read_text()).group(1))
    server.stop()  # kills the group and reaps its leader; what the leader started takes a moment to be gone
    wait_until(lambda: not alive(deaf))


CHILDREN = "/proc/{0}/task/{0}/children"


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize("mode", ["standin", "launch"])
def test_a_killed_parent_leaves_no_server(tmp_path, mode, stopped):
    path = script(tmp_path, "echo listening\nsleep 1000\n") if mode == "launch" else None
    code = (
        "import sys, time\nfrom td3sweep.envs.carla.server import Server\n"
        f"server = Server({mode!r}, path={path!r}, log_dir={str(tmp_path)!r})\nserver.start()\n"
        "print(server._process.pid, flush=True)\ntime.sleep(1000)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        guard = int(parent.stdout.readline())
        wait_until(lambda: "listening" in (tmp_path / "server.log").read_text())
        (server,) = [int(pid) for pid in Path(CHILDREN.format(guard)).read_text().split()]
        if stopped:
            os.kill(server, signal.SIGSTOP)
        assert alive(guard)
        assert alive(server)
    finally:
        parent.kill()
        parent.communicate()
    wait_until(lambda: not alive(guard) and not alive(server), 5.0)


def test_a_foreign_server_is_never_ended():
    foreign = Server("standin")
    foreign.start()
    try:
        foreign.wait_ready(20.0)
        guest = Server("connect", port=foreign.port)
        guest.start()
        guest.wait_ready(20.0)
        guest.stop()
        assert alive(foreign._process.pid)
        os.kill(foreign._process.pid, 0)
    finally:
        foreign.stop()


def test_a_temporary_log_goes_with_the_server():
    server = Server("standin")
    server.start()
    log = server._log_path
    assert log.exists()
    server.stop()
    assert not log.exists()


def test_versions():
    check_versions("0.9.16", "0.9.16")
    check_versions("0.9.16", "0.9.16-4-gabcdef")
    with pytest.raises(UserError, match=r"CARLA 0\.10\.0 \(Unreal Engine 5\), which speaks another protocol"):
        check_versions("0.9.16", "0.10.0")
    with pytest.raises(UserError, match=r"CARLA 0\.9\.15 but the installed wheel is 0\.9\.16"):
        check_versions("0.9.16", "0.9.15")


def test_without_home_the_wheel_is_not_even_touched(monkeypatch):
    monkeypatch.delenv("HOME")
    with pytest.raises(UserError, match="HOME is unset"):
        load_carla()


def test_without_a_wheel_the_user_learns_what_would_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "carla", None)
    with pytest.raises(UserError, match=r"env=carla needs the carla wheel .*use env=gym"):
        load_carla()
