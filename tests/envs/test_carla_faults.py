"""A simulator that fails: the episode is void, and the next reset finds a new server, whatever happened.

The client library now and then ends the process in which its server failed, so none of these fails in pytest's own.
"""

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from bare_drive import OF_TESTS, bare

from td3sweep.envs.carla.env import CarlaDriveEnv
from td3sweep.envs.carla.isolated import IsolatedCarlaEnv
from td3sweep.envs.carla.ports import free_block
from td3sweep.errors import SimulatorError, UserError

pytest.importorskip("carla")
ACTION = np.array([0.0, 0.3], np.float32)


def in_a_child(test):
    """Run a test in a process of its own; once more, twice at most, where a signal ended that: it was the library's."""

    @functools.wraps(test)
    def run(**arguments):
        for _ in range(3):
            command = [sys.executable, __file__, test.__name__, json.dumps(arguments)]
            done = subprocess.run(command, env=OF_TESTS, capture_output=True, text=True, check=False, timeout=55)
            if done.returncode >= 0:
                break
        assert done.returncode == 0, done.stderr

    return run


def run_until_fault(env, limit=400):
    for _ in range(limit):
        env.step(ACTION)
    raise AssertionError("the fault did not come")


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def server_pid(env):
    """Of the server itself, below its guard."""
    (server,) = children(env._server._process.pid)
    return server


def hash_of(env, seed):
    observation, _ = env.reset(seed=seed)
    seen = [observation["image"].tobytes()]
    for _ in range(10):
        observation, *_ = env.step(ACTION)
        seen.append(observation["image"].tobytes())
    return hash(tuple(seen))


FAULTS = [
    ("-fault-crash-after=60", "crash", "ticking: .*time-out.*exit code 139"),
    ("-fault-hang-after=60", "hang", "ticking: .*time-out"),
    ("-fault-drop-frame-every=60", "frame", r"camera frame \d+ did not arrive"),
    ("-fault-late-frame-every=60", "frame", r"camera frame \d+ did not arrive"),
]


@pytest.mark.parametrize(("flag", "kind", "message"), FAULTS)
@in_a_child
def test_after_a_fault_the_next_reset_starts_anew(flag, kind, message):
    with CarlaDriveEnv(bare(flags=[flag], timeouts={"tick": 1.5, "frame": 0.5})) as env:
        expected = hash_of(env, seed=3)
        first = server_pid(env)
        with pytest.raises(SimulatorError, match=message) as caught:
            run_until_fault(env)
        assert (env.faults, caught.value.kind) == (1, kind)
        assert "\n" not in str(caught.value)
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(ACTION)
        assert hash_of(env, seed=3) == expected
        assert server_pid(env) != first


@pytest.mark.slow
@pytest.mark.parametrize("flag", [flag for flag, *_ in FAULTS])
def test_with_traffic_the_isolated_environment_survives_too(flag, tmp_path):
    block = free_block()
    port = block.first
    block.release()
    with IsolatedCarlaEnv(
        bare(port=port, flags=[flag], traffic=4, log_dir=str(tmp_path), timeouts={"tick": 1.5, "frame": 0.5})
    ) as env:
        expected = hash_of(env, seed=3)
        for faults in (1, 2):
            with pytest.raises(SimulatorError):
                run_until_fault(env)
            assert env.faults == faults
            with pytest.raises(gymnasium.error.ResetNeeded):
                env.step(ACTION)
            assert hash_of(env, seed=3) == expected  # on the same port, as soon as it is free


@pytest.mark.slow
def test_a_worker_that_is_killed_or_hangs_is_replaced(monkeypatch, tmp_path):
    monkeypatch.setattr("td3sweep.envs.carla.isolated.MARGIN_S", 0.5)
    monkeypatch.setattr("td3sweep.envs.carla.isolated.GRACE_S", 0.5)
    with IsolatedCarlaEnv(bare(log_dir=str(tmp_path), timeouts={"tick": 2.0, "frame": 0.5})) as env:
        expected = hash_of(env, seed=3)
        env._worker.kill()
        said = rf"process is gone: ended by SIGKILL; see {tmp_path}/environment\.log"
        with pytest.raises(SimulatorError, match=said) as caught:
            env.step(ACTION)
        assert caught.value.kind == "client"  # as it came through the pipe
        assert hash_of(env, seed=3) == expected
        env._worker.send_signal(signal.SIGSTOP)
        with pytest.raises(SimulatorError, match="did not answer within"):
            env.step(ACTION)
        assert hash_of(env, seed=3) == expected
        assert env.faults == 2


def test_isolation_changes_nothing_else():
    with CarlaDriveEnv(bare()) as plain, IsolatedCarlaEnv(bare()) as isolated:
        assert hash_of(isolated, seed=6) == hash_of(plain, seed=6)
        assert isolated.server_version == plain.server_version != ""
        assert (isolated.render() == plain.render()).all()
        assert (isolated.vector_size, isolated.action_size) == (78, 2)
        with pytest.raises(ValueError, match="not finite"):
            isolated.step(np.array([np.nan, 0.0], np.float32))
        isolated.step(ACTION)  # an error of the caller's does not void the episode
        assert isolated.faults == 0
    with pytest.raises(UserError, match=r"env\.action_repeat=0"):
        IsolatedCarlaEnv(bare(action_repeat=0))


def test_the_isolated_worker_reports_a_taken_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with IsolatedCarlaEnv(bare(port=port)) as env, pytest.raises(UserError, match=rf"env\.port={port}"):
            env.reset(seed=0)


@in_a_child
def test_a_killed_server_is_replaced():
    with CarlaDriveEnv(bare(timeouts={"tick": 1.5})) as env:
        expected = hash_of(env, seed=3)
        os.kill(server_pid(env), signal.SIGKILL)
        with pytest.raises(SimulatorError):
            run_until_fault(env)
        assert hash_of(env, seed=3) == expected


@in_a_child
def test_a_server_that_never_loads_ends_in_time():
    begin = time.monotonic()
    with (
        CarlaDriveEnv(bare(flags=["-fault-hang-after=1"], timeouts={"start": 2.0, "load": 2.0, "tick": 1.0})) as env,
        pytest.raises(SimulatorError),
    ):
        env.reset(seed=0)
    assert env.faults == 1
    assert time.monotonic() - begin < 10.0


@in_a_child
def test_restart_every_so_many_episodes():
    with CarlaDriveEnv(bare(restart_every=2)) as env:
        pids = []
        for _ in range(5):
            env.reset(seed=1)
            pids.append(server_pid(env))
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
    assert env.faults == 0


def test_client_and_server_are_replaced_together_every_so_many_episodes():
    with IsolatedCarlaEnv(bare(restart_every=2)) as env:
        workers, firsts = [], []
        for _ in range(5):
            observation, _ = env.reset(seed=1)
            workers.append(env._worker.pid)
            firsts.append(observation["image"].tobytes())
    assert workers[0] == workers[1] != workers[2] == workers[3] != workers[4]
    assert len(set(firsts)) == 1
    assert env.faults == 0


@in_a_child
def test_a_slow_load_is_a_fault_of_its_kind():
    with (
        CarlaDriveEnv(bare(flags=["-fault-slow-load=9"], timeouts={"load": 1.0})) as env,
        pytest.raises(SimulatorError, match="loading the map") as caught,
    ):
        env.reset(seed=0)
    assert caught.value.kind == "load"


def descendants(pid):
    return [*children(pid), *(below for child in children(pid) for below in descendants(child))]


@pytest.mark.parametrize(
    "flag",
    ["-fault-slow-load=0", pytest.param("-fault-hang-after=30", marks=pytest.mark.slow)],
    ids=["idle", "hung"],
)
def test_kill_9_of_the_trainer_leaves_no_process(flag):
    code = (
        "import numpy as np\nfrom td3sweep.envs.carla.config import drive_config\n"
        "from td3sweep.envs.carla.isolated import IsolatedCarlaEnv\n"
        f"told = drive_config(flags=[{flag!r}, '-fault-count-driven'], timeouts={{'tick': 4.0}}, stalled_ticks=None)\n"
        "env = IsolatedCarlaEnv(told)\n"
        "env.reset(seed=0)\nprint('ready', flush=True)\n"
        "while True: env.step(np.zeros(2, np.float32))\n"
    )
    trainer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert trainer.stdout.readline() == "ready\n"
    time.sleep(1.0)  # into the hang
    family = descendants(trainer.pid)
    assert len(family) == 3  # the client's process, the server and its guard
    trainer.kill()
    trainer.communicate()
    deadline = time.monotonic() + 20.0
    while any(os.path.exists(f"/proc/{pid}") for pid in family):
        assert time.monotonic() < deadline, family
        time.sleep(0.1)


@in_a_child
def test_connect_leaves_the_server_running_and_the_world_empty():
    with CarlaDriveEnv(bare()) as owner:
        expected = hash_of(owner, seed=4)
        owner._simulation.close = lambda: None  # hand the running server over
        port, pid = owner._server.port, server_pid(owner)
        owner._simulation._clear()
        with CarlaDriveEnv(bare(server="connect", port=port)) as guest:
            assert hash_of(guest, seed=4) == expected
            world = guest._simulation._world
            assert len(world.get_actors().filter("vehicle.*")) == 1
        os.kill(pid, 0)  # still there
        with CarlaDriveEnv(bare(server="connect", port=port)) as guest:
            assert hash_of(guest, seed=4) == expected
        owner._server.stop()


def test_an_unknown_map_of_a_running_server_lists_its_maps():
    from td3sweep.envs.carla.server import Server

    server = Server("standin")
    server.start()
    try:
        with (
            CarlaDriveEnv(bare(server="connect", port=server.port, map="Town01")) as env,
            pytest.raises(UserError, match=r"env\.map=Town01: the server has no such map; .*StandInTown"),
        ):
            env.reset()
    finally:
        server.stop()


def test_a_script_that_forgets_to_close_ends_cleanly():
    code = (
        "from td3sweep.envs.carla.env import CarlaDriveEnv\n"
        "env = CarlaDriveEnv()\nenv.reset(seed=0)\nprint(env._server._process.pid)\n"
    )
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        with pytest.raises(ProcessLookupError):
            os.kill(int(done.stdout.split()[-1]), 0)


if __name__ == "__main__":
    name, arguments = sys.argv[1:]
    try:
        globals()[name].__wrapped__(**json.loads(arguments))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # not through the client library's static destructors
