"""How often is the verdict on a log right? ``python -m benchmarks.verdicts [--kinds] [--json] [--calibration]``.

Every run of docs/data/verdicts.jsonl.xz was trained for it (``python -m benchmarks.verdicts.collect``): a TD3 of one
file that can be broken in named ways, and stable-baselines3's own learners, on Pendulum-v1. What is true of a run was
measured after it, without its log: whether its policy is better than random actions, and whether its Q is what
followed. The verdict sees the log alone, with neither discount nor rewards told. Odd seeds are reported; even ones
are those that thresholds were set on (``--calibration`` shows them).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.verdicts.collect import DATA, read
from td3sweep.diagnose.judge import judge
from td3sweep.logs.log import Log, Row
from td3sweep.logs.named import under_our_names
from td3sweep.monitor.report import FAILURES, HEALTHY, LEARNS, NOT_LEARNING, SUSPICIOUS, UNDETERMINED
from td3sweep.stats import wilson

BETTER = -800.0  # mean return of a test: random actions reach -1,200 with an SD of 250, a good policy -150
SANE = 5.0  # |Q less what followed| over the spread of what followed
NOT_FROM_A_LOG = {  # what no log of these series can show, or what a run may have and still learn
    "action scaling missing", "exploration off", "replay of one episode", "buffer of 100",
}  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """A run, what was true of it, and what its log was taken to say."""

    writer: str
    kind: str
    seed: int
    learnt: bool
    sane: bool
    verdict: str
    cause: str
    delay: int | None

    @property
    def sound(self) -> bool:
        """It learnt, and its values are what followed."""
        return self.learnt and self.sane


def judged(run: dict[str, Any]) -> Judged:
    """Judge one run by its rows."""
    log = Log(Path(run["kind"]), "benchmark", counted=True)
    log.rows = [Row(place, row) for place, row in enumerate(run["rows"])]
    report = judge(under_our_names(log, {}, None), gamma=None, r_max=None).report
    standing = [alarm for alarm, until in zip(report.alarms, report.until, strict=True) if until is None]
    causes = {alarm.cause for alarm in standing if alarm.level == "FAIL"}
    return Judged(
        run["writer"],
        run["kind"],
        run["seed"],
        run["learnt"] > BETTER,
        abs(run["value_error"]) < SANE or run["kind"].startswith("SAC"),  # whose Q holds an entropy that returns lack
        report.verdict,
        "H6-like" if "H6-like" in causes else "",
        report.since,
    )


def share(runs: Iterable[Judged], of: Iterable[str]) -> tuple[int, int]:
    """How many of some runs got one of these verdicts, and how many there are."""
    verdicts = [run.verdict for run in runs]
    return sum(verdict in of for verdict in verdicts), len(verdicts)


def shares(runs: list[Judged]) -> dict[str, tuple[int, int]]:
    """The error rates that the page states."""
    sound = [run for run in runs if run.sound]
    broken = [run for run in runs if not run.sound]
    crossed = [run for run in broken if run.kind == "crossed encoders" and run.verdict in FAILURES]
    named = [run for run in runs if run.cause]
    return {
        "healthy or learning, of runs that did not learn or whose Q is off": share(broken, (HEALTHY, LEARNS)),
        "healthy, of those": share(broken, (HEALTHY,)),
        "a failure, of sound runs": share(sound, FAILURES),
        "a failure or a warning, of sound runs": share(sound, (*FAILURES, SUSPICIOUS)),
        "not learning yet, of sound runs": share(sound, (NOT_LEARNING,)),
        "a failure, a warning or not learning, of broken runs": share(broken, (*FAILURES, SUSPICIOUS, NOT_LEARNING)),
        "undetermined, of all": share(runs, (UNDETERMINED,)),
        "crossed wiring named, of crossed runs that were called failures": (
            sum(run.cause == "H6-like" for run in crossed), len(crossed),
        ),
        "crossed, of runs in which it was named": (sum(run.kind == "crossed encoders" for run in named), len(named)),
    }  # fmt: skip


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.verdicts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", action="store_true", help="the verdicts of each kind of run as well")
    parser.add_argument("--calibration", action="store_true", help="the even seeds, on which thresholds were set")
    parser.add_argument("--json", action="store_true", help="the shares as JSON")
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    console = Console(width=140)
    runs = [run for run in read(options.data) if run["seed"] % 2 == (0 if options.calibration else 1)]
    found = [judged(run) for run in track(runs, "judging", console=Console(stderr=True), transient=True)]
    rates = shares(found)
    if options.json:
        print(json.dumps(rates))
        return
    table = Table("verdict", "runs", "share", "95 % interval", box=None)
    for name, (count, of) in rates.items():
        told = wilson(count, of)
        interval = "" if told.low is None or told.high is None else f"{told.low:.1%} to {told.high:.1%}"
        table.add_row(name, f"{count} of {of}", f"{told.value:.1%}", interval)
    console.print(table)
    if options.kinds:
        _show_kinds(found, console)


def _show_kinds(found: list[Judged], console: Console) -> None:
    table = Table("writer", "kind", "learnt", "Q sane", "verdicts", box=None)
    for writer, kind in dict.fromkeys((run.writer, run.kind) for run in found):
        own = [run for run in found if (run.writer, run.kind) == (writer, kind)]
        verdicts = ", ".join(
            f"{count} {verdict}" for verdict, count in Counter(run.verdict for run in own).most_common()
        )
        learnt, sane = sum(run.learnt for run in own), sum(run.sane for run in own)
        table.add_row(writer, kind, f"{learnt}/{len(own)}", f"{sane}/{len(own)}", verdicts)
    console.print(table)


if __name__ == "__main__":
    main()
