"""One run from settings to outcome: directory, parts, training, summary."""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from td3sweep.assemble.environment import build_env
from td3sweep.collect.tapes import check_recording
from td3sweep.config.settings import Settings
from td3sweep.errors import UserError
from td3sweep.files import read_json
from td3sweep.process.lock import NAME as LOCK
from td3sweep.process.lock import alone_in
from td3sweep.process.signals import caught_signals
from td3sweep.record.console import banner, closing, console_log, simulator
from td3sweep.record.rundir import CRASHED, FINISHED, INTERRUPTED, NO_MONITOR, STOPPED, RunDirectory
from td3sweep.training.callbacks import Callback
from td3sweep.training.watching import Watching

if TYPE_CHECKING:
    from td3sweep.collect.remote import Fleet
    from td3sweep.training.trainer import Trainer

STOPPED_BY_MONITOR = 3
SIGNALLED = 128  # plus the signal's number
UNWATCHED: dict[str, Any] = {  # what a monitor's report says, with monitor=off
    "verdict": "undetermined",
    "first_alarm_step": None,
    "alarms": [],
    "evidence": [],
    "growth": None,
    "more_steps_help": "not yet known",
    "why": NO_MONITOR,
    "missing": [],
}


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its summary and the exit code of a single run."""

    directory: Path
    summary: dict[str, Any]
    exit_code: int

    @property
    def objective(self) -> float | None:
        """Mean undiscounted return of the last evaluation."""
        value = self.summary["final_return"]
        return None if value is None else float(value)

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended the run."""
        return self.exit_code >= SIGNALLED

    @property
    def line(self) -> str:
        """The last line a run prints."""
        fields = {"return": self.summary["final_return"], "length": self.summary["final_length"]}
        shown = " ".join(f"{key}={'none' if value is None else f'{value:.2f}'}" for key, value in fields.items())
        verdict = self.summary["verdict"].replace(" ", "_")
        return f"run={self.directory} steps={self.summary['env_steps']} {shown} verdict={verdict}"


def run(settings: Settings, path: Path, callbacks: Sequence[Callback] = (), *, horizon: int | None = None) -> Outcome:
    """Train as ``settings`` say in directory ``path``, resuming what is there.

    Args:
        settings: what to train, and how.
        path: the run's directory.
        callbacks: who looks on beside the monitor, and may end the run.
        horizon: environment steps over which a run that begins here lets noise and learning rates fall, where it will
            be extended that far; None: its own ``steps``.

    Raises:
        UserError: the settings cannot be used here.
        DirectoryInUseError: another run is going on in ``path``.
        SimulatorError: the simulator failed again and again; the run can be resumed.
    """
    check_recording(settings)
    with alone_in(path):
        return _run(settings, path, callbacks, horizon)


def _run(settings: Settings, path: Path, callbacks: Sequence[Callback], horizon: int | None) -> Outcome:
    directory = RunDirectory(path)
    directory.agree(settings)
    done = read_json(directory.summary)
    if done.get("finished") and done["env_steps"] >= settings.steps:
        outcome = Outcome(path, done, 0)
        Console(highlight=False).print(f"already finished (a larger steps extends it)\n{outcome.line}", soft_wrap=True)
        return outcome
    empty = all(file.name == LOCK for file in path.iterdir())
    directory.open(settings)
    try:
        return _train(settings, directory, callbacks, horizon)
    except UserError:
        if empty and not directory.metrics.exists():  # nothing was begun: no later resume=last shall find it
            for file in path.iterdir():
                if file.is_dir():
                    shutil.rmtree(file, ignore_errors=True)
                elif file.name != LOCK:
                    file.unlink()
        raise


def _train(settings: Settings, directory: RunDirectory, callbacks: Sequence[Callback], horizon: int | None) -> Outcome:
    path = directory.path
    with console_log(directory.console) as console, caught_signals() as received:
        banner(console, settings, path)
        env = build_env(settings, path) if settings.actors == 0 else build_actors(settings, path)
        try:
            from td3sweep.training.build import build_trainer  # torch loads while the server starts

            trainer = build_trainer(
                settings,
                directory,
                env,
                console=console,
                interrupted=lambda: bool(received),
                callbacks=callbacks,
                horizon=horizon,
            )
            directory.write_provenance(settings.seed, simulator(settings))
            try:
                trainer.run()
            except BaseException:
                summary = _close(settings, trainer)
                with suppress(OSError):  # a full disk may be the error that is to be told
                    directory.write_summary(summary)
                raise
            summary = _close(settings, trainer)
        finally:
            env.close()
        directory.write_summary(summary)
        code = SIGNALLED + received[0] if received else STOPPED_BY_MONITOR if trainer.stopped == STOPPED else 0
        outcome = Outcome(path, summary, code)
        closing(console, settings, trainer, outcome)
    return outcome


def build_actors(settings: Settings, path: Path) -> Fleet:
    """See :func:`td3sweep.training.build.build_actors`, which takes torch along."""
    from td3sweep.training.build import build_actors as build

    return build(settings, path)


def _close(settings: Settings, trainer: Trainer) -> dict[str, Any]:
    """End the records of a run; its summary."""
    summary = {
        "finished": finished(trainer),
        "ended": ending(trainer),
        "wiring": settings.wiring.name,
        "fault": settings.fault,
        "demonstrations": settings.demonstrations.name,
        **summarise(trainer),
    }
    trainer.recorder.close(summary)
    return summary


def finished(trainer: Trainer) -> bool:
    """Whether all steps are taken and evaluated; a run that a signal or a callback ended is not."""
    taken = trainer.step >= trainer.schedule.steps and trainer.evaluated_at == trainer.step
    return taken and not trainer.stopped


def ending(trainer: Trainer) -> str:
    """How a run ended: one of ``ENDINGS``. Where nobody asked for the end, an error was it."""
    if finished(trainer):
        return FINISHED
    if trainer.stopped:
        return trainer.stopped
    return INTERRUPTED if trainer.interrupted() else CRASHED


def summarise(trainer: Trainer) -> dict[str, Any]:
    """``summary.json`` of a run in its present state."""
    recorder = trainer.recorder
    watching = next((one for one in trainer.callbacks if isinstance(one, Watching)), None)
    per_update, per_step = recorder.seconds_per("update"), recorder.seconds_per("step")
    return {
        **(UNWATCHED if watching is None else watching.monitor.report().as_dict()),
        "final_return": trainer.evaluation.get("eval/return"),
        "final_length": trainer.evaluation.get("eval/length"),
        "evaluation": trainer.evaluation,
        "evaluated_at": trainer.evaluated_at,
        "best_return": trainer.best_return if trainer.best_at else None,
        "best_at": trainer.best_at,
        "best_success": trainer.best_success if trainer.best_at else None,
        "env_steps": trainer.step,
        "updates": trainer.agent.updates,
        "episodes": trainer.episodes,
        "faults": trainer.faults,
        "faults_by_kind": trainer.fault_kinds,
        "updates_per_s": None if per_update is None else 1.0 / per_update,
        "steps_per_s": None if per_step is None else 1.0 / per_step,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "seconds": time.monotonic() - recorder.started,
    }
