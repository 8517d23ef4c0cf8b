"""The door of ``python -m td3sweep.diagnose PATH``: read a log, judge it, show the judgement."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from td3sweep.config.failures import Parser, explain_failure, refuse, report
from td3sweep.diagnose.chart import as_chart
from td3sweep.diagnose.judge import Judgement, judge
from td3sweep.diagnose.picture import write_picture
from td3sweep.diagnose.show import as_json, as_table, as_text, label
from td3sweep.diagnose.watch import follow
from td3sweep.errors import UserError
from td3sweep.logs.find import read, read_all
from td3sweep.logs.log import Log, NothingYetError
from td3sweep.logs.named import under_our_names
from td3sweep.logs.names import GUESSES
from td3sweep.monitor.report import EXPLANATION

MANY = 5  # runs from which on a progress bar is shown
WIDE = 160  # columns where the output is no terminal
CLEAR = "\x1b[2J\x1b[H"


def main() -> None:
    """Run the command line; exit codes: 0 the log was read, whatever the verdict, 2 it could not be."""
    try:
        options = _parser().parse_args()
        if options.watch:
            follow(_one_of(options), lambda: _diagnose(options), lambda judgement: _show(judgement, options), _wait)
        else:
            _all(options)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (UserError, OSError) as error:
        refuse(*explain_failure(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _one_of(options: argparse.Namespace) -> Path:
    path: Path = options.path[0]
    if len(options.path) > 1:
        raise UserError(f"--watch follows one run, and {len(options.path)} paths are given; name one")
    return path


def _diagnose(options: argparse.Namespace) -> Judgement:
    return _judged(read(_one_of(options)), options)


def _judged(log: Log, options: argparse.Namespace) -> Judgement:
    named = under_our_names(log, dict(options.map), options.warmup)
    return judge(named, gamma=options.gamma, r_max=options.r_max)


def _all(options: argparse.Namespace) -> None:
    """Every run of every path: one is shown whole, several in one table."""
    logs: list[Log] = []
    failed: list[str] = []
    for path in options.path:
        try:
            logs += read_all(path, failed.append)
        except UserError as error:
            if len(options.path) == 1:
                raise
            failed.append(str(error))
    judgements = []
    progress = Progress(TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True,
                        console=Console(stderr=True), disable=len(logs) < MANY)  # fmt: skip
    with progress:
        for log in progress.track(logs):
            try:
                judgements.append(_judged(log, options))
            except UserError as error:
                if len(logs) == 1:
                    raise
                failed.append(f"{label(log)}: {error}")
    for line in failed:
        report(line)
    if not judgements:
        raise UserError(f"{options.path[0]}: no log that can be judged")
    if len(judgements) == 1 and len(logs) == 1:
        _show(judgements[0], options)
        return
    if options.output is not None:
        raise UserError(f"-o draws one run, and {len(judgements)} are here; name one of them")
    if options.json:
        for judgement in judgements:
            print(as_json(judgement), flush=True)
        return
    counts = Counter(judgement.report.verdict for judgement in judgements)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in EXPLANATION if counts[verdict])
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(f"{len(judgements)} runs, judged one by one: {told}", as_table(judgements), sep="\n", markup=False)


def _show(judgement: Judgement, options: argparse.Namespace) -> None:
    """Text and chart, or JSON; and the picture if one was asked for."""
    if options.output is not None:
        write_picture(judgement, options.output)
    if options.json:
        print(as_json(judgement), flush=True)
        return
    live = sys.stdout.isatty()
    clear = CLEAR if live and options.watch else ""
    text = as_text(judgement, shutil.get_terminal_size().columns if live else None)
    print(f"{clear}{text}\n{as_chart(judgement, colour=live)}", flush=True)


def _wait(nothing: NothingYetError) -> None:
    print(f"waiting: {nothing}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m td3sweep.diagnose",
        description="Is this run diverging or learning, since when, and will more steps help?",
        epilog=f"Names for --map: {', '.join(GUESSES)}, and every other metric of docs/monitor.md. Exit codes: 0 the "
        "log was read, whatever the verdict; 2 it could not be; 130 after Ctrl-C.",
    )
    add = parser.add_argument
    add("path", metavar="PATH", type=Path, nargs="+", help="run directory, TensorBoard event files, a table (CSV, "
        "JSON, npz, parquet, xlsx, a console log; compressed or not; - is stdin), wandb offline run, or a folder of "
        "such; several runs are judged one by one")  # fmt: skip
    add("--json", action="store_true", help="one JSON object on one line")
    add("--watch", action="store_true", help="follow a live run until it ends or Ctrl-C")
    add("-o", dest="output", metavar="PICTURE", type=Path, help="also draw a .png, .svg or .pdf")
    add("--map", metavar="TAG=NAME", type=_pair, action="append", default=[], help="what a series of the log means")
    add("--gamma", type=_discount, help="discount, where the log does not tell it; without it d1 is left out")
    add("--r-max", type=_positive, help="largest |reward| of one step, where the log does not tell it, for d1")
    add("--warmup", type=int, metavar="N", help="environment steps before learning begins")
    return parser


def _pair(text: str) -> tuple[str, str]:
    tag, equals, name = text.rpartition("=")
    if not (tag and equals and name):
        raise argparse.ArgumentTypeError(f"{text!r} is not TAG=NAME")
    return tag, name


def _discount(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} must lie in [0, 1]")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must be a number above 0")
    return value


if __name__ == "__main__":
    main()
