"""What a person reads: the banner before a run, the verdict after it, and console.log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from td3sweep import __version__
from td3sweep.monitor.verdict import EXPLANATION
from td3sweep.plan import stalest
from td3sweep.record.progress import format_duration
from td3sweep.settings import CarlaSettings, Settings

STANDIN_MAPS = "StandIn"  # how all of its maps' names begin, and none of CARLA's
SEED_STEPS, SEED_UPDATES, SEED_BATCH = 5000, 4000, 256  # experiment=seed_5k


@contextmanager
def console_log(path: Path) -> Iterator[Console]:
    """A console whose text, and every log message, also goes to the file at ``path``."""
    console = Tee(path)
    handler = ConsoleHandler(console)
    package = logging.getLogger("td3sweep")
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    package.propagate = False
    try:
        yield console
    finally:
        package.removeHandler(handler)
        console.file_console.file.close()


class ConsoleHandler(logging.Handler):
    """Log messages as plain lines, above a live progress bar if there is one."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        say(self._console, f"{record.levelname.lower()}: {record.getMessage()}")


class Tee(Console):
    """A console that repeats plain prints in a file; a live progress bar stays on the terminal."""

    def __init__(self, path: Path) -> None:
        super().__init__(highlight=False)
        self.file_console = Console(file=path.open("a"), width=160, highlight=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print to the terminal and to the file."""
        super().print(*objects, **options)
        if not self._live_rendering(objects):
            self.file_console.print(*objects, **options)
            self.file_console.file.flush()

    @staticmethod
    def _live_rendering(objects: tuple[Any, ...]) -> bool:
        return any(type(item).__module__.startswith("rich.control") for item in objects)


def banner(console: Console, settings: Settings, path: Path) -> None:
    """What is about to run."""
    s = settings
    crossed = "  << the known fault, for study" if s.wiring.name == "crossed" else ""
    fault = f"  fault={s.fault} << put in on purpose, for study" if s.fault != "none" else ""
    say(
        console,
        f"td3sweep {__version__}  cnn={s.cnn.name} recurrent={s.recurrent.name}{s.recurrent.hidden or ''}",
    )
    say(console, f"  {simulator(s)}")
    say(
        console,
        f"  wiring={s.wiring.name}{crossed} target={s.target.name} clip={s.clip.name} precision={s.precision}{fault}",
    )
    if s.actors:
        say(
            console,
            f"  {s.actors} actors act while the learner learns; an action is at most "
            f"{stalest(s.actors, s.updates_per_step)} updates old when stored; a resume is not bit for bit",
        )
    say(console, f"  {s.steps} steps, {s.warmup} of them warm-up, seed {s.seed}; writing to {path}")


def simulator(settings: Settings) -> str:
    """What is driven, in one line; the stand-in is never called CARLA."""
    env = settings.env
    if not isinstance(env, CarlaSettings):
        return f"env=gym id={getattr(env, 'id', '')}"
    standin = env.server == "standin" or env.map.startswith(STANDIN_MAPS)  # however it was started
    what = "stand-in server, not CARLA" if standin else f"CARLA server, {env.server}"
    return f"env=carla ({what}) map={env.map} traffic={env.traffic} reward={settings.reward.name}"


def closing(console: Console, settings: Settings, trainer: Any, outcome: Any) -> None:
    """The verdict with its evidence, what a full run would cost, and the one line that scripts read."""
    summary = outcome.summary
    say(console, f"verdict: {summary['verdict']} - {EXPLANATION[summary['verdict']]}")
    for line in summary["evidence"]:
        say(console, f"  {line}")
    say(console, f"will more steps help? {summary['more_steps_help']}: {summary['why']}")
    if 0 < summary["best_at"] < summary["evaluated_at"]:
        last = summary["final_return"]
        say(
            console,
            f"best evaluation: return {summary['best_return']:.2f} at step {summary['best_at']}, the last {last:.2f}; "
            "checkpoints/best.pt has its weights",
        )
    if settings.fault != "none":
        say(console, f"fault={settings.fault} was put in on purpose: these numbers say nothing about a correct run")
    length = settings.recurrent.sequence_length
    cost = seed_cost(trainer.recorder, max(settings.hyperparams.batch_size // length, 1) * length)
    if cost is not None and settings.name != "seed_5k":
        say(
            console,
            f"a full run is experiment=seed_5k ({SEED_STEPS} steps, {SEED_UPDATES} updates of {SEED_BATCH}): "
            f"with this CNN and memory about {format_duration(cost)} here",
        )
    say(console, outcome.line)


def seed_cost(recorder: Any, transitions: int) -> float | None:
    """Seconds of ``experiment=seed_5k``, scaled from a step and an update of ``transitions`` as measured."""
    per_step, per_update = recorder.seconds_per("step"), recorder.seconds_per("update")
    if per_step is None or per_update is None:
        return None
    return float(SEED_STEPS * per_step + SEED_UPDATES * per_update * SEED_BATCH / transitions)


def say(console: Console, text: str) -> None:
    """One line as it is: no markup, no highlighting, no wrapping."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
