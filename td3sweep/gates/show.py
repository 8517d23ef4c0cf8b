"""A judgement as a table for people, and the lines that end the command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from td3sweep.gates.ladder import Climb, GateJudgement
from td3sweep.gates.rules import FAILS, NOT_ASKED, PASS, UNKNOWN
from td3sweep.record.console import say

COLOURS = {PASS: "green", FAILS: "bold red", UNKNOWN: "yellow", NOT_ASKED: "dim"}


def print_judgement(judgement: GateJudgement, console: Console) -> None:
    """Every rule with what was measured and its limit, the notes below, then the gate in one line."""
    when = " (judged before)" if judgement.before else ""
    if not (judgement.before and judgement.passed):
        table = Table(title=f"gate {judgement.gate}, step {judgement.step}{when}", title_justify="left")
        for name in ("rule", "what"):
            table.add_column(name)
        for name in ("measured", "limit"):
            table.add_column(name, justify="right")
        table.add_column("outcome")
        for one in judgement.findings:
            measured = "" if one.measured is None else f"{one.measured:.4g}"
            outcome = f"[{COLOURS[one.outcome]}]{one.outcome}[/]"
            table.add_row(one.rule, one.what, measured, f"{one.limit:g}", outcome)
        console.print(table)
        for one in judgement.findings:
            if one.note:
                say(console, f"  {one.rule} {one.outcome}: {one.note}")
    say(console, _line(judgement) + when)


def _line(judgement: GateJudgement) -> str:
    if judgement.passed:
        unknown = ", ".join(finding.rule for finding in judgement.unknown)
        return f"gate {judgement.gate}: passed" + (
            f"; not known yet, and not held against it: {unknown}" * bool(unknown)
        )
    failed = ", ".join(finding.rule for finding in judgement.stopping if finding.outcome == FAILS)
    unknown = ", ".join(finding.rule for finding in judgement.stopping if finding.outcome == UNKNOWN)
    why = f"{failed} failed" if failed else f"{unknown} must be known and is not"
    return f"gate {judgement.gate}: FAILED: {why}"


def closing(climb: Climb, gates: Sequence[int], path: Path) -> list[str]:
    """What to do next, where a gate failed or a signal came, and the one line that scripts read."""
    passed = [one.gate for one in climb.judged if one.passed]
    left = gates[len(climb.judged) :]
    lines = []
    if climb.failed is not None:
        dropped = f"; no step was taken towards {_list(left)}" if left else ""
        remedy = "mend the cause and start anew in another --dir"
        if all(finding.outcome == UNKNOWN for finding in climb.failed.stopping):
            remedy = f"give a later gate (--gates {2 * climb.failed.gate} in the same --dir) or a smaller log_every"
        lines.append(f"stopped at gate {climb.failed.gate}{dropped}: {remedy}")
    elif climb.signalled is not None:
        lines.append("stopped by a signal; the same command goes on")
    failed = "none" if climb.failed is None else str(climb.failed.gate)
    verdict = climb.judged[-1].verdict.replace(" ", "_") if climb.judged else "none"
    lines.append(f"gates={path} passed={_list(passed) or 'none'} failed={failed} verdict={verdict}")
    return lines


def _list(gates: Sequence[int]) -> str:
    return ",".join(map(str, gates))
