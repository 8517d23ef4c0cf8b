"""Trials as Ray actors: on a Ray of the sweep's own, or on a cluster that runs already."""

from __future__ import annotations

import os
import signal
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from td3sweep.errors import UserError
from td3sweep.sweep.engines import Job
from td3sweep.sweep.engines.child import EndNote

NAMESPACE = "td3sweep"
ANSWER_S = 3.0


class RayEngine:
    """Gives each trial a detached actor with a name, which any later controller of the same Ray can find.

    Ray itself never runs a trial twice: retries are the sweeper's.
    """

    label = "ray"

    def __init__(
        self,
        *,
        directory: Path,
        width: int,
        address: str | None,
        num_cpus: float,
        num_gpus: float,
        init: Mapping[str, Any],
    ) -> None:
        """See conf/hydra/launcher/ray.yaml; ``width`` is the controller's, Ray queues whatever it gets.

        Raises:
            UserError: Ray is missing, can't be reached, or this machine lacks what a trial asks for.
        """
        for name, value in (("num_cpus", num_cpus), ("num_gpus", num_gpus)):
            if not isinstance(value, int | float) or value < 0 or (value > 1 and value != int(value)):
                raise UserError(f"hydra.launcher.{name}={value}: give a whole number, or a fraction below 1")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise UserError(
                "hydra/launcher=ray: the package ray is missing; run `pip install 'td3sweep[ray]'`"
            ) from error
        self._ray = ray
        self._folder = Path(directory).absolute() / "ray"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._place = {"num_cpus": num_cpus, "num_gpus": num_gpus}
        self._begun: dict[str, Any] = {}  # by job: a reference that is there once its worker is
        quiet = {"log_to_driver": False, "logging_level": "ERROR", "namespace": NAMESPACE}
        where = {"address": "local", "include_dashboard": False} if address is None else {"address": address}
        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            _check_port(address)
            ray.init(**{**quiet, **where, **init})
        except (OSError, RuntimeError, ValueError, TypeError, ray.exceptions.RayError) as error:
            said = " ".join(str(error).split())
            raise UserError(
                f"hydra.launcher.address={address}: no Ray there, or its token (~/.ray/auth_token) is not ours: {said}"
            ) from error
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray puts its own in its place
        if address is None:
            self._check_local()

    def submit(self, job: Job) -> str:
        """See `Engine.submit`."""
        from td3sweep.sweep.engines.ray_actor import RayTrial

        job_id = f"{job.name}-{uuid.uuid4().hex[:12]}"
        options = {
            "name": job_id,
            "lifetime": "detached",
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": 2,  # `run` and one question
            **self._place,
        }
        actor = self._ray.remote(RayTrial).options(**options)
        trial = actor.remote(tuple(job.command), job.log.absolute(), self._note_path(job_id), self._place["num_cpus"])
        trial.run.remote()
        self._begun[job_id] = trial.begun.remote()
        return job_id

    def ended(self, job_id: str) -> str | None:
        """See `Engine.ended`."""
        note = EndNote(self._note_path(job_id))
        if (words := note.read()) is not None:
            self._begun.pop(job_id, None)
            return words
        if self._find(job_id) is not None:
            return None
        self._begun.pop(job_id, None)
        return note.read() or "gone"  # it may have ended between the two looks

    def stop(self, job_id: str) -> None:
        """See `Engine.stop`."""
        trial = self._find(job_id)
        if trial is None:
            return
        ours = job_id in self._begun
        begun, _ = self._ray.wait([self._begun.get(job_id) or trial.begun.remote()], timeout=0 if ours else ANSWER_S)
        if begun:
            trial.stop.remote()
        else:
            self._ray.kill(trial)
            EndNote(self._note_path(job_id)).write("CANCELLED")

    def close(self) -> None:
        """Shut down the Ray that this engine started, or let go of the one it attached to, where trials go on."""
        self._ray.shutdown()

    def _find(self, job_id: str) -> Any:
        try:
            return self._ray.get_actor(job_id, NAMESPACE)
        except ValueError:
            return None

    def _note_path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}.end"

    def _check_local(self) -> None:
        """A request that this machine can never grant would wait for ever."""
        there = self._ray.cluster_resources()
        for key, unit in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
            if self._place[key] > there.get(unit, 0):
                self.close()
                raise UserError(
                    f"hydra.launcher.{key}={self._place[key]}: this machine's Ray has {there.get(unit, 0):g} {unit}s; "
                    "ask for less, or attach to a cluster with hydra.launcher.address"
                )


def _check_port(address: str | None) -> None:
    """Raise OSError if nobody listens at host:port; `ray.init` would wait there for minutes."""
    host, _, port = (address or "").rpartition(":")
    if port.isdigit() and "://" not in host:
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
