"""Server life cycle: start, find ready, end. A process that this module did not start is never ended."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from td3sweep.envs.carla.client import connect, load_carla
from td3sweep.envs.carla.ports import PortBlock, block_at, free_block, port_allowed
from td3sweep.errors import SimulatorError, UserError
from td3sweep.names import ServerMode
from td3sweep.process import guard
from td3sweep.process.children import how
from td3sweep.standin.maps import DEFAULT_MAP, MAP_NAMES

LAUNCH_FLAGS = ("-RenderOffScreen", "-nosound", "-quality-level=Low")
POLL_S = 0.02
GRACE_S = {"standin": 5.0, "launch": 5.0, "command": 15.0}  # from SIGTERM to SIGKILL; containers take their time
PATIENCE_S = 10.0  # for an explicit port that a dead server of ours is just leaving
TAIL_LINES = 12
CONTAINER_CLIENTS = ("docker", "podman")


class Server:
    """One CARLA server, or stand-in, on a block of ports of its own.

    Every `start()` takes a fresh block unless the user named a port: a Traffic Manager is bound to its
    port for the life of this process, so one that served a dead server must not be met again.
    """

    def __init__(
        self,
        mode: ServerMode = "standin",
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        path: str | None = None,
        command: Sequence[str] = (),
        gpu: int | None = None,
        flags: Sequence[str] = (),
        map_name: str = DEFAULT_MAP,
        log_dir: str | None = None,
    ) -> None:
        """
        Args:
            mode: `standin`, `launch` and `command` start a process here; `connect` uses one that runs already.
            host: where to connect; the other modes run on this machine.
            port: RPC port; None takes a free block, and is not possible with `connect`.
            path: CarlaUE4.sh, for `launch`.
            command: for `command`, what runs a server in the foreground; the flags of CarlaUE4.sh are added at its end.
            gpu: what the server renders on; None takes the first of CUDA_VISIBLE_DEVICES.
            flags: more command-line flags for the process.
            map_name: the map with which a stand-in starts.
            log_dir: where the process's output goes; None uses a temporary file, removed with the server.

        Raises:
            UserError: the mode is unknown, or lacks its path or port.
        """
        if mode not in ("standin", "launch", "command", "connect"):
            raise UserError(f"env.server={mode}: choose standin, launch, command or connect")
        if mode == "standin" and map_name not in MAP_NAMES:
            raise UserError(
                f"env.map={map_name}: the stand-in has only {', '.join(MAP_NAMES)}; CARLA's towns need "
                "env.server=launch env.path=.../CarlaUE4.sh, or env.server=connect env.port=2000"
            )
        if mode == "launch":
            _check_path(path)
        if mode == "command":
            check_command(command)
        if mode == "connect" and port is None:
            raise UserError("env.port=null: env.server=connect needs the port of the running server, often 2000")
        self.mode = mode
        self.host = host if mode == "connect" else "127.0.0.1"
        self.port = port or 0
        self.traffic_manager_port = 0
        self.starts = 0
        self._asked_port = port
        self._program = list(command) if mode == "command" else [str(path)]
        self._gpu = gpu
        self._flags = tuple(flags)
        self._map_name = map_name
        self._log_dir = log_dir
        self._log_path: Path | None = None
        self._log_begin = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._blocks: list[PortBlock] = []

    @property
    def started(self) -> bool:
        """Whether `start()` was called and `stop()` was not."""
        return bool(self._blocks)

    def start(self, again: bool = False) -> None:
        """Begin to start the server and return at once; `wait_ready()` does the waiting.

        Args:
            again: another object's server had the port before; this one's own earlier starts are known.

        Raises:
            UserError: the port asked for is taken at the first start.
            SimulatorError: it is taken at a later one, and was not left within `PATIENCE_S`.
        """
        if self.started:
            return
        again = again or self.starts > 0
        self.starts += 1
        if self.mode == "connect" or self._asked_port is None:
            self._blocks = [free_block()]
        else:
            self._blocks = [self._asked_block(self._asked_port, again), free_block()]
        if self.mode != "connect":
            self.port = self._blocks[0].first
        self.traffic_manager_port = self._blocks[-1].traffic_manager
        if self.mode == "connect":
            return
        try:
            with self._open_log() as output:
                # No pipe: a full one would freeze the server. Its own session: its group can be ended as one.
                self._process = subprocess.Popen(
                    self._command(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    env=self._environment(),
                )
        except OSError as error:
            self.stop()
            raise SimulatorError(f"the {self.mode} server could not be started: {error}", "start") from error

    def wait_ready(self, timeout: float = 60.0) -> Any:
        """Wait until the server answers and ticks; an open port alone says nothing.

        Returns:
            A connected `carla.Client`.

        Raises:
            SimulatorError: the process ended (with the tail of its log), or the time is over.
            UserError: the server's version is not the wheel's.
        """
        carla = load_carla()
        deadline = time.monotonic() + timeout
        self._wait_for_port(deadline)
        while True:
            left = deadline - time.monotonic()
            try:
                # Half of what is left at most: a client whose first connection was dropped never recovers.
                client = connect(carla, self.host, self.port, max(0.5, left / 2))
                world = client.get_world()
                if world.get_settings().synchronous_mode:
                    world.tick()
                else:
                    world.wait_for_tick(max(0.5, left / 2))
                return client
            except (SimulatorError, RuntimeError) as error:
                self.check_alive()
                if time.monotonic() >= deadline:
                    raise SimulatorError(
                        f"the {self.mode} server at {self.host}:{self.port} was not ready "
                        f"after {timeout:g} s: {error}" + self._tail(),
                        "start",
                    ) from error

    @property
    def ended(self) -> str | None:
        """How the process ended that `start()` began, with the end of its log; None while it runs or is not ours."""
        end = None if self._process is None else _ended(self._process)
        return None if end is None else f"the {self.mode} server is gone: {end}" + self._tail()

    def check_alive(self) -> None:
        """Raise SimulatorError if the process has ended before it was ready."""
        if end := self.ended:
            raise SimulatorError(end, "start")

    def stop(self) -> None:
        """End the process group that `start()` made, if it made one, and give the ports back."""
        process, self._process = self._process, None
        if process is not None:
            _end_group(process, GRACE_S[self.mode])
        for block in self._blocks:
            block.release()
        self._blocks = []
        if self._log_path is not None and self._log_dir is None:
            self._log_path.unlink(missing_ok=True)
            self._log_path = None

    def _command(self) -> list[str]:
        rpc_port = f"-carla-rpc-port={self.port}"
        if self.mode == "standin":
            program = [sys.executable, "-m", "td3sweep.standin"]
            flags = [rpc_port, f"-map={self._map_name}", *self._flags]
        else:
            program = self._program
            chosen = any(flag.startswith("-graphicsadapter") for flag in self._flags)
            flags = [rpc_port, *LAUNCH_FLAGS, *([] if chosen else self._adapter()), *self._flags]
        # Neither this process's variables nor its packages are for the guard, which starts the sooner for it.
        return [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), *program, *flags]

    def _adapter(self) -> list[str]:
        """The flag that puts the server on its GPU: the one asked for, else this process's first."""
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0]
        gpu = self._gpu if self._gpu is not None else int(first) if first.isdigit() else None
        return [] if gpu is None else [f"-graphicsadapter={gpu}"]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **({} if self._gpu is None else {"CUDA_VISIBLE_DEVICES": str(self._gpu)})}

    def _asked_block(self, port: int, again: bool) -> PortBlock:
        try:
            return block_at(port, PATIENCE_S if again else 0.0)
        except UserError as error:
            if again and port_allowed(port):
                raise SimulatorError(f"starting the server again: {error}", "port") from error
            raise

    def _open_log(self) -> BinaryIO:
        if self._log_dir is None:
            handle, name = tempfile.mkstemp(prefix="td3sweep-server-", suffix=".log")
            os.close(handle)
            self._log_path = Path(name)
        else:
            Path(self._log_dir).mkdir(parents=True, exist_ok=True)
            self._log_path = Path(self._log_dir) / "server.log"
        output = self._log_path.open("ab")
        self._log_begin = output.tell()
        return output

    def _tail(self) -> str:
        if self._log_path is None:
            return ""
        with self._log_path.open("rb") as output:
            output.seek(self._log_begin)
            lines = output.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        return "; last lines of its log: " + " / ".join(lines) if lines else "; its log is empty"

    def _wait_for_port(self, deadline: float) -> None:
        """Return once the port accepts a connection, so that no client is spent on a server still loading."""
        while True:
            try:
                socket.create_connection((self.host, self.port), timeout=1.0).close()
                return
            except OSError as error:
                self.check_alive()
                if time.monotonic() >= deadline:
                    raise SimulatorError(
                        f"no {self.mode} server accepted a connection at {self.host}:{self.port} "
                        f"(env.host, env.port): {error}" + self._tail(),
                        "start",
                    ) from error
                time.sleep(POLL_S)


def _check_path(path: str | None) -> None:
    if path is None:
        raise UserError("env.path=null: env.server=launch needs the path of CarlaUE4.sh")
    if not Path(path).is_file():
        raise UserError(f"env.path={path}: no such file; give the path of CarlaUE4.sh, or use env.server=standin")
    if not os.access(path, os.X_OK):
        raise UserError(f"env.path={path}: not executable; run `chmod +x` on it")


def check_command(command: Sequence[str]) -> None:
    """Refuse a command line whose server could not be ended.

    `docker run` in the foreground passes SIGTERM on to the container's first process. If that is CarlaUE4.sh, a shell,
    it ignores it, as first processes do, and the container outlives the client that is then killed: hence `--init`.

    Raises:
        UserError: the line is empty, its program is missing, or it is such a container.
    """
    if not command:
        raise UserError("env.command=[]: env.server=command needs a command line that runs a server in the foreground")
    if shutil.which(command[0]) is None:
        raise UserError(f"env.command: no program {command[0]} here; install it or give its path")
    if Path(command[0]).name in CONTAINER_CLIENTS and "run" in command:
        if {"-d", "--detach", "--detach=true"} & set(command):
            raise UserError("env.command: a detached container cannot be ended with the run; drop --detach")
        for option in ("--rm", "--init"):
            if option not in command:
                raise UserError(f"env.command: add {option} after `run`, or containers would outlive the run")


def _end_group(process: subprocess.Popen[bytes], grace: float) -> None:
    """SIGTERM, a grace, SIGKILL, to the group that `process` leads.

    The leader is reaped last: until then its id cannot pass to a stranger, so the signals cannot reach one.
    """
    _signal_group(process.pid, signal.SIGTERM)
    _signal_group(process.pid, signal.SIGCONT)  # a stopped process takes no SIGTERM
    deadline = time.monotonic() + grace
    while _ended(process) is None and time.monotonic() < deadline:
        time.sleep(POLL_S)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


def _ended(process: subprocess.Popen[bytes]) -> str | None:
    """How the process ended, or None; leaves it unreaped, so that its id stays its own."""
    info = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    if info is None:
        return None
    if info.si_code == os.CLD_EXITED:
        return how(info.si_status)
    return how(-info.si_status)
