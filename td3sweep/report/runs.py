"""One run as the report sees it, whoever wrote it: settings, how it ended, verdict, curves."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from td3sweep.config.saved import completed, flatten
from td3sweep.diagnose.judge import judge
from td3sweep.errors import UserError
from td3sweep.files import read_json
from td3sweep.logs.find import read
from td3sweep.logs.log import EVALUATION, Log, NothingYetError, number
from td3sweep.logs.named import under_our_names
from td3sweep.logs.rundir import CONFIG, METRICS, SUMMARY
from td3sweep.record.provenance import sessions_of
from td3sweep.record.rundir import CRASHED, ENDINGS, FINISHED, INTERRUPTED, NO_MONITOR, PRUNED, STOPPED
from td3sweep.stats import Floats

UNFINISHED, EMPTY, UNREADABLE, MISSING = "unfinished", "empty", "unreadable", "missing"
STATES = (FINISHED, STOPPED, PRUNED, INTERRUPTED, UNFINISHED, CRASHED, EMPTY, UNREADABLE, MISSING)
COMPARED = (FINISHED, STOPPED, PRUNED)  # an ending that says something about the settings
DIVERGED = ("d1", "d2", "d3", "nonfinite")  # values that left their range; D0 is an audit, D4 saturation
LENGTH, RETURN, EVAL, BIAS = "episode/length", "episode/return", "eval/return", "q/bias"
KEPT = ("q/actor", "q/q1", BIAS, EVAL)  # beside every grad/.../before and after
STANDS_AS_FINISHED = "its log cannot say whether it ended"

Series = tuple[Floats, Floats]  # environment steps and values, both (n,)


@dataclass
class Run:
    """A run, or the place where one should be.

    Attributes:
        name: path below its source.
        source: the DIR of the command line that held it.
        state: one of ``STATES``; ``why`` explains it where it is not simply finished.
        config: resolved settings, flat.
        overrides: what its command line set, as words.
        trial: sweep and number, for runs of a sweep; else None.
        verdict, evidence, alarms: the monitor's; ``more_steps`` its answer to whether more would help.
        series: thinned nowhere; by name.
        film: its film strip, where one was drawn.
        offline: wandb runs beside it that were never sent.
    """

    name: str
    path: Path
    source: str
    state: str
    why: str = ""
    kind: str = "run directory"
    config: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)
    seed: int | None = None
    trial: str | None = None
    verdict: str = ""
    evidence: tuple[str, ...] = ()
    alarms: list[dict[str, Any]] = field(default_factory=list)
    more_steps: str = ""
    steps: int = 0
    series: dict[str, Series] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    film: Path | None = None
    offline: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def compared(self) -> bool:
        """Whether its ending counts in comparisons."""
        return self.state in COMPARED

    @property
    def observed(self) -> bool:
        """Whether it could have diverged: its ending counts, and it learnt for at least one row of metrics."""
        return self.compared and bool(self.series)

    @property
    def failed_at(self) -> int | None:
        """Step of the first alarm of D1-D3, or of a number that was not finite."""
        steps = [a["step"] for a in self.alarms if a["level"] == "FAIL" and a["detector"] in DIVERGED]
        return min(steps, default=None)

    @property
    def first_alarm(self) -> dict[str, Any] | None:
        """The earliest alarm of any kind."""
        return min(self.alarms, key=lambda alarm: alarm["step"], default=None)


def read_run(path: Path, name: str, source: str) -> Run:
    """The run at ``path``; what cannot be read is said in its state, never raised."""
    run = Run(name, path, source, EMPTY, "no log in it")
    if path.is_dir():
        run.provenance = read_json(path / "provenance.json")
        run.film = next((film for film in [path / "film.png"] if film.exists()), None)
        run.offline = tuple(sorted(path.glob("wandb/offline-run-*")))
        run.overrides = _overrides(run.provenance)
        if not (path / METRICS).exists() and (path / CONFIG).exists():
            run.why = "settings, but not one row of metrics"
            _configure(run, {})
            _stopped_before_learning(run)
            return run
    try:
        return from_log(run, under_our_names(read(path), {}, None))
    except NothingYetError as error:
        run.why = str(error).removeprefix(f"{path}: ")
        _stopped_before_learning(run)
    except UserError as error:
        run.state, run.why = (EMPTY if "no log in it" in str(error) else UNREADABLE), str(error)
    return run


def from_log(run: Run, log: Log) -> Run:
    """Fill a run from its log under our names."""
    run.kind, run.notes = log.kind, tuple(log.notes)
    _configure(run, log.config)
    run.series = _series(log)
    run.steps = max([row.step for row in log.rows] + [episode.step for episode in log.episodes], default=0)
    if not log.rows and not log.episodes:
        run.state, run.why = EMPTY, "not one row of metrics"
        return run
    told = "verdict" in log.summary and (number(log.summary.get("env_steps")) or 0.0) >= run.steps
    if told:
        _summarise(run, log.summary)
        _doubt(run, log)
    else:  # there is no summary, or it tells of an earlier session
        run.state, run.why = _unsaid(log)
    if not told or log.summary.get("why") == NO_MONITOR:
        _judge(run, log)
    return run


def _doubt(run: Run, log: Log) -> None:
    """A log that lacks the last evaluation its summary tells of: its end cannot stand for the run's."""
    evaluated = number(log.summary.get("evaluated_at")) or 0.0
    last = max((row.step for row in log.rows if row.phase == EVALUATION), default=0)
    if run.compared and log.kind == "run directory" and last < evaluated:
        run.state = UNREADABLE
        run.why = (
            f"{METRICS} lacks the evaluation at step {evaluated:.0f} that {SUMMARY} tells of: it was cut, or the run "
            "is being extended"
        )


def _judge(run: Run, log: Log) -> None:
    """What the monitor says of the log, where none watched the run to its end."""
    report = judge(log, gamma=None, r_max=None).report
    run.verdict, run.alarms = report.verdict, [alarm.as_dict() for alarm in report.alarms]
    run.more_steps, run.evidence = report.more_steps_help, report.evidence


def _stopped_before_learning(run: Run) -> None:
    """A run that the audit of its wiring ended at step 0 has a verdict, but nothing logged."""
    summary = read_json(run.path / SUMMARY) if run.path.is_dir() else {}
    if "verdict" in summary:
        _configure(run, _saved(run.path / CONFIG))
        _summarise(run, summary)


def _saved(config: Path) -> dict[str, Any]:
    """``config.yaml`` as it was written; empty where it is missing or damaged."""
    try:
        found = yaml.safe_load(config.read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _summarise(run: Run, summary: dict[str, Any]) -> None:
    """What the running program said of itself."""
    run.verdict, run.alarms = summary["verdict"], list(summary.get("alarms", []))
    run.more_steps, run.evidence = summary.get("more_steps_help", ""), tuple(summary.get("evidence", ()))
    run.state, run.why = _ending(run, summary)


def _unsaid(log: Log) -> tuple[str, str]:
    """The state of a run without a summary of its own."""
    if log.kind == "run directory":
        return UNFINISHED, "no summary: it was killed, crashed, or still runs"
    if log.kind == "wandb" and not log.finished:
        return UNFINISHED, "its log has no end: it was killed, crashed, or still runs"
    return FINISHED, "" if log.finished else STANDS_AS_FINISHED


def _ending(run: Run, summary: dict[str, Any]) -> tuple[str, str]:
    """The state of a run with a summary."""
    failed = {alarm["detector"] for alarm in run.alarms if alarm["level"] == "FAIL"}
    ended = summary.get("ended")
    if ended not in ENDINGS:  # a summary from before they said it: D0 counts, even if its fault was asked for by name
        stopping = run.config.get("monitor.name") == "stop" and failed & set(run.config.get("monitor.stop_on", ()))
        ended = FINISHED if summary.get("finished") else STOPPED if stopping else INTERRUPTED
    by = sorted(failed - {"d0"} or failed)  # D0 looks before the first step: what failed later ended the run
    why = {
        FINISHED: "",
        STOPPED: f"ended at step {run.steps} by {', '.join(by)}",
        PRUNED: f"called hopeless at step {run.steps}",
        INTERRUPTED: f"a signal ended it at step {run.steps}",
        CRASHED: f"an error ended it at step {run.steps}",
    }
    return ended, why[ended]


def _configure(run: Run, config: dict[str, Any]) -> None:
    ours = isinstance(config.get("env"), dict) and isinstance(config.get("hyperparams"), dict)
    run.config = completed(config) if ours else flatten(config)
    seed = run.config.get("seed", run.provenance.get("seed"))
    run.seed = int(seed) if isinstance(seed, (int, float)) else None


def _overrides(provenance: dict[str, Any]) -> dict[str, str]:
    """``key=value`` words of the run's last command; those of a multirun name several values and tell nothing."""
    sessions = sessions_of(provenance) or [{}]
    return override_words(shlex.split(sessions[-1].get("command", "")))


def override_words(words: Iterable[str]) -> dict[str, str]:
    """``{"wiring": "crossed"}`` from ``["wiring=crossed"]``; Hydra's own keys and lists of choices are left out."""
    parts = [word.partition("=") for word in words if "=" in word and not word.startswith(("-", "/"))]
    pairs = {key.lstrip("+~"): value for key, _, value in parts}
    return {
        key: value
        for key, value in pairs.items()
        if not key.startswith(("hydra", "sweep.")) and ("," not in value or value.startswith("["))
    }


def _series(log: Log) -> dict[str, Series]:
    """The curves that the page draws, finite values only, by step."""
    points: dict[str, list[tuple[int, float]]] = {}
    for row in log.rows:
        for name, value in row.values.items():
            if name in KEPT or (name.startswith("grad/") and name.endswith(("before", "after"))):
                points.setdefault(name, []).append((row.step, value))
    for episode in log.episodes:
        if episode.phase != EVALUATION:
            for name, number in ((LENGTH, episode.length), (RETURN, episode.ret), (BIAS, episode.bias)):
                if number is not None:
                    points.setdefault(name, []).append((episode.step, number))
    arrays = {name: np.asarray(found, float) for name, found in points.items()}
    finite = {name: array[np.isfinite(array[:, 1])] for name, array in arrays.items()}
    return {name: (array[:, 0], array[:, 1]) for name, array in finite.items() if len(array)}
