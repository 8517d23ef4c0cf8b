"""What a person reads: the banner before a run, the verdict after it, and console.log."""

from __future__ import annotations

import logging
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from td3sweep import __version__
from td3sweep.collect.schedule import stalest
from td3sweep.config.env_settings import CarlaSettings
from td3sweep.config.settings import Settings, ShownSettings
from td3sweep.monitor.report import EXPLANATION, HEALTHY, UNDETERMINED
from td3sweep.record.progress import format_duration
from td3sweep.record.rundir import INTERRUPTED

if TYPE_CHECKING:
    from td3sweep.training.run import Outcome
    from td3sweep.training.trainer import Trainer

STANDIN_MAPS = "StandIn"  # how all of its maps' names begin, and none of CARLA's
DEMONSTRATORS = {
    "pid": "the route's PID baseline",
    "autopilot": "CARLA's autopilot",
    "recorded": "recorded episodes",
}
DRIVES = 0.5  # share of its starts that somebody who drives reaches the end of
TEST_EPISODES = 20  # of td3sweep.evaluate


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
    for line in who_showed_it(s):
        say(console, f"  {line.replace('it was', 'it is')}")
    say(console, f"  {s.steps} steps, {s.warmup} of them warm-up, seed {s.seed}; writing to {path}")


def simulator(settings: Settings) -> str:
    """What is driven, in one line; the stand-in is never called CARLA."""
    env = settings.env
    if not isinstance(env, CarlaSettings):
        return f"env=gym id={getattr(env, 'id', '')}"
    standin = env.server == "standin" or env.map.startswith(STANDIN_MAPS)  # however it was started
    what = "stand-in server, not CARLA" if standin else f"CARLA server, {env.server}"
    return f"env=carla ({what}) map={env.map} traffic={env.traffic} reward={settings.reward.name}"


def closing(console: Console, settings: Settings, trainer: Trainer, outcome: Outcome) -> None:
    """How it drove, the verdict with its evidence, what to do next, and the one line that scripts read."""
    summary = outcome.summary
    for line in (*how_it_drove(settings, summary), *who_showed_it(settings)):
        say(console, line)
    if trainer.recorder.film_path.exists():
        say(console, f"what it saw and where it drove: {trainer.recorder.film_path}")
    say(console, f"verdict: {summary['verdict']} - {EXPLANATION[summary['verdict']]}")
    for line in summary["evidence"]:
        say(console, f"  {line}")
    say(console, f"will more steps help? {more_steps(settings, summary)}")
    if settings.fault != "none":
        say(console, f"fault={settings.fault} was put in on purpose: these numbers say nothing about a correct run")
    say(console, f"next: {what_next(summary, outcome.directory, trainer.recorder.seconds_per('step'))}")
    say(console, outcome.line)


def how_it_drove(settings: Settings, summary: Mapping[str, Any]) -> list[str]:
    """What the last evaluation found, and where the best was another, what that one had found."""
    last = summary["evaluation"]
    if summary["ended"] == INTERRUPTED:
        return [f"interrupted at step {summary['env_steps']} of {settings.steps}, and saved"]
    if not last:
        return ["it was not evaluated"]
    routes = isinstance(settings.env, CarlaSettings)
    count = round(last["eval/episodes"])

    def found(success: float, ret: float) -> str:
        drove = f"drove {round(success * count)} of {count} evaluation starts to the end, " if routes else ""
        return f"{drove}return {ret:.2f}"

    drove = found(last["eval/success"], last["eval/return"])
    lines = [f"the policy {'' if routes else 'got '}{drove} (step {summary['evaluated_at']})"]
    if 0 < summary["best_at"] < summary["evaluated_at"]:
        best = found(summary["best_success"], summary["best_return"])
        lines.append(f"its best weights {best} (step {summary['best_at']}): checkpoints/best.pt")
    return lines


def more_steps(settings: Settings, summary: Mapping[str, Any]) -> str:
    """Whether more steps will help; a run that drives wherever it was put needs none to say so."""
    last = summary["evaluation"]
    if last and last["eval/success"] == 1.0 and summary["verdict"] in (HEALTHY, UNDETERMINED):
        return "it drives all of its evaluation starts already" if isinstance(settings.env, CarlaSettings) else "no"
    return f"{summary['more_steps_help']}: {summary['why']}"


def typed_python() -> str:
    """This Python as it is typed here: a virtual environment need not be activated."""
    found, mine = shutil.which("python"), Path(sys.executable)
    if found and Path(found).absolute() == mine.absolute():
        return "python"
    here = Path.cwd()
    return str(mine.relative_to(here) if mine.is_relative_to(here) else mine)


def again(directory: Path) -> str:
    """The command that goes on in a run's directory, as this one was typed; in words, where a program runs it."""
    words = [word for word in sys.orig_argv[1:] if not word.startswith(("hydra.run.dir=", "resume="))]
    if any(word == "td3sweep" or word.endswith("/td3sweep") for word in words):
        return shlex.join([typed_python(), *words, f"hydra.run.dir={directory}"]) + "   #"
    return f"the same command, in {directory},"


def who_showed_it(settings: Settings) -> list[str]:
    """That a run was shown how to drive, wherever it was."""
    shown = settings.demonstrations
    if not isinstance(shown, ShownSettings):
        return []
    steps = max(settings.warmup - shown.random_steps, 0)
    return [
        f"it was shown how: {steps} steps of {DEMONSTRATORS[shown.name]} in the warm-up (demonstrations={shown.name}); "
        "demonstrations=none learns from rewards alone"
    ]


def what_next(summary: Mapping[str, Any], directory: Path, seconds_per_step: float | None) -> str:
    """A command for whoever has just seen the end of this run, and about how long it takes."""
    last, python = summary["evaluation"], typed_python()
    if summary["ended"] == INTERRUPTED or not last:
        return f"{again(directory)} goes on"
    if last["eval/success"] >= DRIVES and seconds_per_step is not None:
        cost = format_duration(TEST_EPISODES * last["eval/length"] * seconds_per_step)
        return (
            f"{python} -m td3sweep.evaluate {directory}   # {TEST_EPISODES} starts that it never saw, with videos; "
            f"driving takes about {cost}"
        )
    return f"{python} -m td3sweep.diagnose {directory}   # what is wrong, with pictures; seconds"


def say(console: Console, text: str) -> None:
    """One line as it is: no markup, no highlighting, no wrapping."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
