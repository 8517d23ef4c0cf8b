"""The door of ``python -m td3sweep.report DIR... -o report.html [--wandb ENTITY/PROJECT] [--json]``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from td3sweep.config.failures import Parser, explain_failure, refuse
from td3sweep.errors import UserError


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit codes: 0 the report was made, 2 it could not be."""
    try:
        _report(_parser().parse_args(arguments))
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (UserError, OSError) as error:
        refuse(*explain_failure(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _report(options: argparse.Namespace) -> None:
    try:
        from td3sweep.report.findings import as_json, find
        from td3sweep.report.page import render, write
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is not installed, and reports need it; pip install 'td3sweep[report]'"
        ) from error
    findings = find(options.sources)
    text = render(findings)
    write(options.output, text)
    if options.json:
        print(as_json(findings), flush=True)
    else:
        print(findings.answer.text.replace("`", ""))
        print(
            ", ".join(f"{count} {state}" for state, count in findings.states.items()), f"of {len(findings.runs)} runs"
        )
        print(f"page: {options.output} ({len(text.encode()) / 1e6:.1f} MB)", flush=True)
    if options.wandb is not None:
        from td3sweep.report.wandb_report import publish

        print(publish(findings, options.wandb, options.output), file=sys.stderr if options.json else sys.stdout)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m td3sweep.report",
        description="Which factor changed divergence and return, by how much, how sure, and would more steps help?",
        epilog="Exit codes: 0 the report was made, 2 it could not be; 130 after Ctrl-C. docs/reports.md explains it.",
    )
    add = parser.add_argument
    add("sources", metavar="DIR", nargs="+", help="run or sweep directories in any nesting, logs of other programs, "
        "wandb offline runs, or wandb:ENTITY/PROJECT")  # fmt: skip
    add("-o", dest="output", metavar="PAGE", type=Path, default=Path("report.html"), help="the page (report.html)")
    add("--wandb", metavar="ENTITY/PROJECT", type=_project, help="also make it a W&B report of that project")
    add("--json", action="store_true", help="print the statistics as one JSON object")
    return parser


def _project(text: str) -> tuple[str, str]:
    entity, slash, project = text.partition("/")
    if not (entity and slash and project) or "/" in project:
        raise argparse.ArgumentTypeError(f"{text!r} is not ENTITY/PROJECT")
    return entity, project


if __name__ == "__main__":
    main()
