"""The CARLA environment in a process of its own, so that whatever the client library does cannot end the trainer.

When a server dies, the client's Traffic Manager throws in a thread of its own and aborts the whole process, and some
calls hold Python's global lock while they wait for a server that hangs. Neither can be caught from within. Here the
trainer talks to a worker process through a pipe, with a time limit above all others; a worker that dies, hangs or
reports a SimulatorError is replaced at the next `reset()`. So is one that has served its number of episodes: real
servers leak, and the library beside them may.
"""

import contextlib
import faulthandler
import logging
import os
import subprocess
import sys
from dataclasses import replace
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, BinaryIO

import gymnasium

from td3sweep.envs.carla.config import DriveConfig
from td3sweep.envs.carla.env import CarlaDriveEnv
from td3sweep.envs.protocol import Action, Observation
from td3sweep.errors import SimulatorError, UserError
from td3sweep.process.children import end, leave_signals_to_the_trainer

log = logging.getLogger(__name__)

MARGIN_S = 10.0  # above the time limits inside, which should come first
WATCHDOG_S = 20.0  # above them as well: for a worker that is stuck when its trainer is gone
LOG = "environment.log"
GRACE_S = 5.0  # for a worker to leave after a fault
CLOSE_S = 20.0  # for one to leave the server tidily

PASSED_ON = (UserError, SimulatorError, ValueError, gymnasium.error.ResetNeeded)


class IsolatedCarlaEnv(gymnasium.Env[Observation, Action]):
    """`CarlaDriveEnv`, told the same and with the same episodes, in a worker process."""

    metadata = CarlaDriveEnv.metadata

    def __init__(self, config: DriveConfig) -> None:
        """
        Args:
            config: see `CarlaDriveEnv`; checked here at once. Its `restart_every` replaces the client's process with
                the server, or alone where the server is not ours.

        Raises:
            UserError: as there.
        """
        prototype = CarlaDriveEnv(config)  # starts nothing, and knows the spaces
        self.observation_space = prototype.observation_space
        self.action_space = prototype.action_space
        self.vector_size, self.action_size = prototype.vector_size, prototype.action_size
        self.render_mode = prototype.render_mode
        self.faults = 0
        self.server_version = ""
        self._step_limit, self._reset_limit = (limit + MARGIN_S for limit in prototype.time_limits)
        self._restart_every = config.env.restart_every
        self._config = replace(config, env=replace(config.env, restart_every=None))
        self._workers = 0
        self._episodes = 0  # of the present worker
        self._worker: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any] | None = None

    def start(self) -> None:
        """Begin to start the worker and its server, and return at once."""
        if self._worker is not None:
            return
        self._episodes = 0
        self._workers += 1
        self._pipe, theirs = Pipe()
        with theirs, _log(self._config.log_dir) as output:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "td3sweep.envs.carla.isolated", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # an interrupt from the terminal is the trainer's to handle
            )
        self._pipe.send((self._config, self._workers > 1))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """See `CarlaDriveEnv.reset`."""
        if self._restart_every and self._episodes >= self._restart_every:
            self._end_worker(CLOSE_S)
        self.start()
        self._episodes += 1
        self.server_version, (observation, info) = self._call("reset", (seed, options), self._reset_limit)
        if info["cars_spawned"] < info["cars_asked"]:  # said in the worker as well, where nobody reads it
            log.warning("asked for %d cars, got %d", info["cars_asked"], info["cars_spawned"])
        return observation, info

    def step(self, action: Action | None) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """See `CarlaDriveEnv.step`."""
        if self._worker is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        return self._call("step", (action,), self._step_limit)  # type: ignore[no-any-return]

    def render(self) -> Any:
        """See `CarlaDriveEnv.render`."""
        return None if self._worker is None else self._call("render", (), self._step_limit)

    def close(self) -> None:
        """Leave the server tidily, and end the worker."""
        self._end_worker(CLOSE_S)

    def _call(self, method: str, arguments: tuple[Any, ...], limit: float) -> Any:
        assert self._pipe is not None
        try:
            self._pipe.send((method, arguments))
            if not self._pipe.poll(limit):
                raise SimulatorError(f"{method}: the environment's process did not answer within {limit:g} s", "client")
            answer = self._pipe.recv()
            if isinstance(answer, SimulatorError):
                raise answer
        except (SimulatorError, EOFError, OSError) as error:
            self.faults += 1
            how = self._end_worker(GRACE_S)
            if isinstance(error, SimulatorError):
                raise
            folder = self._config.log_dir
            where = f"; see {Path(folder) / LOG}" if folder else ""
            raise SimulatorError(f"{method}: the environment's process is gone: {how}{where}", "client") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _end_worker(self, grace: float) -> str:
        """End the worker and say how it had ended; a server of its own follows it (`server.py`)."""
        worker, self._worker = self._worker, None
        pipe, self._pipe = self._pipe, None
        if worker is None or pipe is None:
            return ""
        pipe.close()  # a worker that still runs reads the end of the pipe, closes its environment and leaves
        return end(worker, grace)


@contextlib.contextmanager
def _log(folder: str | None) -> Any:
    """Where the client library's own messages go; without a folder, where the trainer's go."""
    if folder is None:
        yield None
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    output: BinaryIO
    with (Path(folder) / LOG).open("ab") as output:
        yield output


def serve(pipe: Any) -> None:
    """The worker: answer calls until the pipe ends."""
    config, again = pipe.recv()
    env = CarlaDriveEnv(config)
    limit = sum(env.time_limits) + WATCHDOG_S
    failure: Exception | None = None
    try:
        env.start(again)
    except (UserError, SimulatorError) as error:
        failure = error  # reported by the first call
    try:
        while True:
            method, values = pipe.recv()
            try:
                faulthandler.dump_traceback_later(limit, exit=True)  # needs no lock of Python's, unlike all else here
                if failure:
                    raise failure
                if method == "reset":
                    result: Any = env.reset(seed=values[0], options=values[1])
                    pipe.send((env.server_version, result))
                else:
                    pipe.send(getattr(env, method)(*values))
            except PASSED_ON as error:
                pipe.send(error)
            faulthandler.cancel_dump_traceback_later()
    except (EOFError, OSError):
        pass  # the trainer is gone, or has had enough
    finally:
        faulthandler.dump_traceback_later(limit, exit=True)
        env.close()


if __name__ == "__main__":
    leave_signals_to_the_trainer()  # which closes the pipe when it has saved
    serve(Connection(int(sys.argv[1])))
    sys.stdout.flush()
    os._exit(0)  # not through the client library's static destructors, which abort now and then
