"""Actors' processes: start them, talk to them, end them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from td3sweep.collect.messages import ActorJob
from td3sweep.process.children import end

GRACE_S = 15.0  # for an actor that leaves its simulator tidily


class Remote:
    """The process of one actor, and the pipe to it.

    Attributes:
        pipe: to it; what is read there is an answer (`messages.py`) or an exception.
        alive: False once it is ended, or was seen to have ended.
    """

    def __init__(self, job: ActorJob, parameters: int, log: Path) -> None:
        """
        Args:
            job: what it is told.
            parameters: descriptor of the file for :class:`SharedParameters`.
            log: file for whatever it prints.
        """
        self._job, self._parameters, self._log = job, parameters, log
        self._process: subprocess.Popen[bytes] | None = None
        self.pipe: Connection[Any, Any]
        self.alive = False

    def start(self) -> None:
        """Start it, anew if need be, and return at once."""
        self.end()
        self.pipe, theirs = Pipe()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        passed = (theirs.fileno(), self._parameters)
        with theirs, self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "td3sweep.collect.actor_process", *map(str, (*passed, os.getpid()))],
                pass_fds=passed,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # an interrupt from the terminal is the trainer's to handle
            )
        self.alive = True
        self.send(self._job)

    def send(self, message: Any) -> None:
        """Tell it something; one that is gone is noticed by whoever reads its answers."""
        with contextlib.suppress(OSError):
            self.pipe.send(message)

    def receive(self) -> Any:
        """Its next answer; None, and not ``alive``, if it is gone."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.alive = False
            return None

    def leave(self) -> None:
        """Ask it to leave; :meth:`end` waits for it."""
        self.alive = False
        if self._process is not None:
            self.pipe.close()

    def end(self) -> str:
        """End it, and say how it ended."""
        self.leave()
        process, self._process = self._process, None
        if process is None:
            return ""
        return f"{end(process, GRACE_S)} ({self._log})"


class Fleet:
    """All actors of a run; stands where a run in one process has its environment.

    Attributes:
        remotes: the actors.
        parameters: descriptor of the file in which they find the policy's parameters.
        vector_size, action_size: numbers of an observation's vector and of an action.
    """

    def __init__(self, jobs: Sequence[tuple[ActorJob, Path]], vector_size: int, action_size: int) -> None:
        """Start them all; ``jobs`` says what each is told, and where it logs."""
        self.parameters = os.memfd_create("td3sweep-policy")
        self.remotes = [Remote(job, self.parameters, log) for job, log in jobs]
        for remote in self.remotes:
            remote.start()
        self.vector_size, self.action_size = vector_size, action_size

    def close(self) -> None:
        """End them all, side by side."""
        for remote in self.remotes:
            remote.leave()
        for remote in self.remotes:
            remote.end()
        os.close(self.parameters)
